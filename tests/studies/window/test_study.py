"""The study of the window on a tiny model: cells, one run for windows that are the same, kills, bad input."""

import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import yaml

from bftembed.errors import DataError, InputError, ModelError
from bftembed.studies import open_study
from bftembed.studies.run import plan_study, run_study
from bftembed.studies.window.study import probe
from bftembed.studies.window.weighing import WHOLE, grid

TEXT = "TP53 activates apoptosis because the kinase pathway of EGFR is inhibited by a receptor and so on"


def samples(path, n, length):
    words = TEXT.split() * length
    rows = [{"prompt": f"Tell of {i}", "response": " ".join(words[i : i + length])} for i in range(n)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@pytest.fixture(scope="module")
def settings(tiny_model, mirror, tmp_path_factory):
    folder = tmp_path_factory.mktemp("window")
    return {
        "windows": [1, 8, ".inf"],
        "range_from": 8,
        "recipe": {
            "model": str(tiny_model),
            "max_length": 96,
            "lora": {"r": 2},
            "training": {"max_steps": 2, "batch_size": 2, "save_steps": 1, "schedule": "constant", "warmup": 0},
        },
        "learning_rate": 0.01,
        "seeds": [0],
        "data": {
            "train": samples(folder / "train.jsonl", 4, 20),
            "validation": {"other": samples(folder / "other.jsonl", 2, 9), "again": samples(folder / "z.jsonl", 2, 5)},
        },
        "companion": {"corpora": [samples(folder / "words.jsonl", 5, 30)], "max_length": 96, "resamples": 50},
    }


def written(settings, folder, **changes):
    """The file of a configuration with some of its values changed."""
    folder.mkdir(parents=True, exist_ok=True)
    values = {"output": str(folder / "out"), **settings, **changes}
    text = yaml.safe_dump(values, sort_keys=False).replace("'.inf'", ".inf")
    (folder / "window.yaml").write_text(text)
    return folder / "window.yaml"


def killed_at(config, output, place):
    """Run a study in a process of its own until a file is there, then kill it."""
    command = [sys.executable, "-m", "bftembed", "study", "window", str(config)]
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not any(output.glob(place)) and running.poll() is None:
        time.sleep(0.05)
    running.send_signal(signal.SIGKILL)
    running.wait()
    assert running.returncode == -signal.SIGKILL


@pytest.fixture(scope="module")
def finished(settings, tmp_path_factory):
    study = open_study("window", written(settings, tmp_path_factory.mktemp("finished")))
    plan = plan_study(study)
    run_study(study)
    return study, plan


def test_a_plan_counts_what_is_run(finished):
    study, plan = finished
    runs = ["bft-1-seed0", "bft-8-seed0", "bft-inf-seed0", "bft-256-even-seed0", "bft-1-even-seed0"]
    names = [cell.name for cell in study.cells]
    assert [name.rpartition("-")[0] for name in names[:2]] == ["companion-words", "weights"]
    assert names[2:] == ["untuned", *runs]
    assert (plan.runs, plan.finished) == (8, 0)
    assert plan.cost.trained > 0
    again = plan_study(study)
    assert (again.runs, again.finished, again.hours) == (0, 8, 0)


def test_the_report(finished):
    study, _ = finished
    text = (study.directory / "report.md").read_text()
    verdict = text.split("\n\n")[1]
    # Samples are far shorter than the default window; the first validation file is the headline.
    assert verdict.startswith("**uninformative: 0% of the training samples have more than 256")
    assert "1: 0%, 8: 0%, inf: 100%" in verdict
    assert verdict.endswith("(Perplexity: other).**")
    assert text.index("## Perplexity: other") < text.index("## Perplexity: again")
    assert "| bft-inf | " in text
    assert "## Where the gradient goes: words" in text
    assert "There is no share of these" in text  # no mutation is in the texts
    page = (study.directory / "report.html").read_text()
    assert page.count("<svg") == 3


def test_runs_of_other_windows_are_other_runs(finished):
    study, _ = finished
    nll = {
        name: json.loads((study.directory / "cells" / f"{name}-seed0.json").read_text())["result"]["nll"]["other"]
        for name in ("bft-1", "bft-8", "bft-inf", "bft-1-even")
    }
    assert len(set(nll.values())) == 4


def test_a_killed_study_ends_with_the_same_report(finished, settings, tmp_path):
    study, _ = finished
    config = written(settings, tmp_path)
    killed_at(config, tmp_path / "out", "work/bft-8-seed0/run/checkpoint-1")
    again = open_study("window", config)
    assert 1 <= plan_study(again).finished < 8
    run_study(again)
    for name in ("report.md", "report.html"):
        assert (again.directory / name).read_bytes() == (study.directory / name).read_bytes()


def test_windows_longer_than_every_sample_are_one_run(finished, settings, tmp_path):
    study = open_study("window", written(settings, tmp_path, windows=[8, 90, 512, "inf"]))
    assert study.design.same == {"bft-512": "bft-90", "bft-inf": "bft-90"}
    assert [cell.name for cell in study.cells][3:] == [
        f"{n}-seed0" for n in ("bft-8", "bft-90", "bft-256-even", "bft-1-even")
    ]


def test_the_longest_samples_tell_windows_apart():
    lengths = np.array([3] * 500 + [40])
    assert probe(grid([8, 39, 40, WHOLE], v1=False, controls=False), lengths) == {"bft-inf": "bft-40"}


def test_without_data_nothing_is_trained(settings, tmp_path):
    study = open_study("window", written(settings, tmp_path, data=None))
    run_study(study)
    assert [cell.name.rpartition("-")[0] for cell in study.cells] == ["companion-words"]
    text = (study.directory / "report.md").read_text()
    assert "cannot be told: nothing was trained" in text


@pytest.mark.slow
def test_a_study_killed_at_three_moments_ends_with_the_same_report(finished, settings, tmp_path):
    study, _ = finished
    config = written(settings, tmp_path)
    places = [
        "work/texts-words-*/confidence-0.npy",
        "work/bft-1-seed0/run/checkpoint-2",
        "cells/bft-256-even-seed0.json",
    ]
    for place in places:
        killed_at(config, tmp_path / "out", place)
    again = open_study("window", config)
    run_study(again)
    for name in ("report.md", "report.html"):
        assert (again.directory / name).read_bytes() == (study.directory / name).read_bytes()


@pytest.mark.parametrize("name", ["companion", "embedded-cpu", "embedded-gpu", "7b-gpu", "70b-8gpu"])
def test_configurations_that_come_with_the_package(name, tmp_path):
    study = open_study("window", name, output=str(tmp_path))
    assert (study.config.data is None) == (name == "companion")
    if name != "companion":
        assert len(study.config.seeds) >= 3
        assert sum(window >= study.config.range_from for window in study.config.windows) >= 3


def test_an_estimate_needs_no_model_and_a_run_does(settings, mirror, tmp_path):
    recipe = {"model": "nobody/nothing", "max_length": 96}
    study = open_study("window", written(settings, tmp_path, recipe=recipe))
    assert plan_study(study).runs == 8
    with pytest.raises(ModelError, match="nobody/nothing"):
        run_study(study)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"windows": [0, 8]}, "A window has at least 1 token|a window has at least 1 token"),
        ({"windows": [8, 8]}, "there twice"),
        ({"windows": []}, "at least 1 item"),
        ({"windows": [1]}, "no window has at least `range_from`"),
        ({"seeds": [1, 1]}, "there twice"),
        ({"seeds": []}, "at least 1 item"),
        ({"margin": {"perplexity": 0}}, "greater than 0"),
        ({"data": {"train": "x.jsonl", "validation": {}}}, "there is no validation data"),
        ({"data": None, "companion": None}, "nothing to do"),
        ({"companion": {"corpora": ["a/refseq.txt", "refseq"]}}, "the same name"),
        ({"recipe": {"training": {"seed": 3}}}, "axis of the study"),
        ({"widows": [8]}, "Did you mean|did you mean"),
    ],
)
def test_bad_configurations(settings, tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        open_study("window", written(settings, tmp_path, **changes))


def test_bad_data(settings, tmp_path):
    gone = {"train": "gone.jsonl", "validation": {"a": settings["data"]["train"]}}
    with pytest.raises(DataError, match=r"gone\.jsonl"):
        plan_study(open_study("window", written(settings, tmp_path, data=gone)))
    with pytest.raises(InputError, match=r"`data.train` asks for 100,000 samples"):
        plan_study(open_study("window", written(settings, tmp_path, data={"train": 100_000})))
    with pytest.raises(InputError, match="neither a file nor a built-in corpus"):
        plan_study(open_study("window", written(settings, tmp_path, companion={"corpora": ["refsek"]})))
