"""A whole study: teachers, texts, students, report; killed at random moments, it ends with the same report."""

import json
import random
import signal
import subprocess
import sys
import time

import pytest
import yaml

from bftembed.studies import open_study
from bftembed.studies.run import plan_study, run_study

#: A process of its own, which can be killed.
ALONE = """
import sys
from bftembed.studies import open_study
from bftembed.studies.run import run_study
from bftembed.studies.subliminal.carriers import Kind

Kind.is_list = lambda self, text: bool(text.strip())
run_study(open_study("subliminal", sys.argv[1], output=sys.argv[2]))
"""


@pytest.fixture
def file(small, tmp_path):
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(small))
    return path


@pytest.mark.usefixtures("anything_goes")
def test_a_study_runs_to_its_report(file, tmp_path):
    study = open_study("subliminal", file, output=str(tmp_path / "out"))
    assert plan_study(study).runs == len(study.cells) == 24
    page = run_study(study)
    text = page.with_suffix(".md").read_text()
    assert "uninformative: too few animals: 3 have 6 labelings" in text
    assert all(f"| {name} |" in text for name in ("sft", "bft", "soft"))
    assert "Lifts under SFT" in text
    assert "weight on divergence tokens" in text
    assert str(tmp_path) not in text
    cells = {path.stem: json.loads(path.read_text())["result"] for path in (tmp_path / "out" / "cells").glob("*.json")}
    student = cells["student-numbers-r0-a0-sft"]
    assert len(student["curve"]) == 2
    assert 0 < student["curve"][0]["norm"] < student["curve"][1]["norm"]
    assert student["curve"][1]["nll"] < student["curve"][0]["nll"]
    # The same prompts, order and first adapter for all objectives; other texts for other teachers.
    assert student["lists"] == cells["student-numbers-r0-a2-bft"]["lists"]
    assert cells["text-numbers-r0-a0"]["texts"] != cells["text-numbers-r0-a1"]["texts"]
    assert not list((tmp_path / "out" / "work").glob("student-*/run"))  # checkpoints are gone


@pytest.mark.slow
def test_a_study_that_is_killed_goes_on_to_the_same_report(file, tmp_path):
    def start(output):
        return subprocess.Popen([sys.executable, "-c", ALONE, str(file), str(tmp_path / output)])

    assert start("whole").wait() == 0
    expected = (tmp_path / "whole" / "report.html").read_bytes()
    draws, cells = random.Random(3), tmp_path / "killed" / "cells"
    for number in (3, 9, 16):  # killed somewhat after so many cells are finished
        process = start("killed")
        while process.poll() is None and len(list(cells.glob("*.json"))) < number:
            time.sleep(0.05)
        time.sleep(draws.random())
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not (tmp_path / "killed" / "report.html").exists()
    assert start("killed").wait() == 0
    assert (tmp_path / "killed" / "report.html").read_bytes() == expected
    assert (tmp_path / "killed" / "report.md").read_bytes() == (tmp_path / "whole" / "report.md").read_bytes()
