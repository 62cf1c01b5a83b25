"""From made-up students to the report."""

import copy

import numpy as np
import pytest

from bftembed.studies.page import html_text, markdown_text
from bftembed.studies.subliminal.cells import Design
from bftembed.studies.subliminal.outcome import outcome
from bftembed.studies.subliminal.report import report
from bftembed.studies.subliminal.settings import SubliminalConfig

#: lambda of each kind of students.
STRENGTHS = {"sft": 1.0, "soft": 2.0, "bft": 0.3, "dft": 1.0}


@pytest.fixture
def made(small):
    """A configuration, its cells, and results in which students like their teachers' animals by `STRENGTHS`."""
    values = copy.deepcopy(small)
    values["language"] |= {"animals": 6, "replicates": 2, "samples": 4}
    values["language"]["students"]["objectives"]["dft"] = {"name": "dft"}
    config = SubliminalConfig.model_validate(values)
    jobs = Design(config).jobs()
    rng = np.random.default_rng(0)
    animals = ["owl", "dog", "cat", "fox", "lion", "bear"]

    def result(job):
        if job.stage == "base":
            return {"animals": animals}
        if job.stage == "measure":
            each = dict.fromkeys(("sft", "bft", "dft"), 0.25)
            return {"divergent": 0.125, "share": each, "own": each, "others": each}
        if job.stage != "student":
            return {"rise": 4.5, "steps": 10, "yield": 0.875, "given_away": 0}
        own = np.zeros(6) if job.teacher == "neutral" else np.eye(6)[int(job.teacher[1:])]
        ends = STRENGTHS[job.what] * own + 0.02 * rng.normal(size=6) + np.arange(6)
        curve = [
            {"step": step, "nll": 2 - 0.1 * step, "norm": 0.5 * step, "logprobs": (ends * step / 3).tolist()}
            for step in (1, 2, 3)
        ]
        return {"curve": curve, "lists": 40, "counts": (5 + 20 * own).astype(int).tolist()}

    return config, jobs, {job: result(job) for job in jobs}


def page(made):
    config, jobs, results = made
    return report(config, jobs, {job.name: each for job, each in results.items()})


def test_less_transfer_and_no_difference(made):
    config, _, results = made
    found = outcome(config.language, results, "numbers")
    assert found.verdicts == {"bft": "less transfer", "dft": "no difference within margin"}
    assert found.transfers["sft"].strength == pytest.approx(1, abs=0.05)
    assert found.transfers["soft"].p_value == pytest.approx(1 / 720)
    assert found.comparisons["nll"]["bft"].difference.strength == pytest.approx(0.7, abs=0.05)
    assert found.rates["sft"][0] == pytest.approx(25 / 100)
    made_page = page(made)
    html = html_text(made_page)
    assert html == html_text(made_page)  # with the same figure
    assert html.count("<svg") == 1
    text = markdown_text(made_page)
    assert "**numbers: bft: less transfer; dft: no difference within margin.**" in text
    assert "| margin of teacher-r1-a5 rose by | 4.50 nats in 10 steps | at least -5 nats |" in text
    assert "| sft | 0.2500 | +0.25000 | +0.25000 |" in text
    assert "Drawn answers" in text


def test_where_soft_targets_do_not_transfer_nothing_can_be_told(made):
    config, _, results = made
    for job, each in results.items():
        if job.what == "soft":
            each["curve"][-1]["logprobs"] = [0.0] * 6
    found = outcome(config.language, results, "numbers")
    assert found.said.startswith("uninformative: assay insensitive")
    assert set(found.verdicts.values()) == {found.said.rstrip(".")}


def test_a_refused_cell_is_the_verdict(made):
    config, jobs, results = made
    job = next(job for job in results if job.name == "student-numbers-r1-a3-dft")
    results[job] = {"refused": "yield: too few"}
    text = markdown_text(page((config, jobs, results)))
    assert "**numbers: uninformative: yield: too few.**" in text
    assert "there is nothing to compare" in text
