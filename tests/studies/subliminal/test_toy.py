import copy

import pytest

from bftembed.studies.page import markdown_text
from bftembed.studies.subliminal.cells import Design
from bftembed.studies.subliminal.digits import ARMS
from bftembed.studies.subliminal.report import report
from bftembed.studies.subliminal.settings import SubliminalConfig
from bftembed.studies.subliminal.toy import judged


@pytest.fixture
def toy():
    """Results of two seeds in which students of the same start read .8 of the digits, and others a tenth."""
    config = SubliminalConfig.model_validate({"output": "x", "toy": {"seeds": [1, 2]}})
    results = {}
    for seed in (1, 2):
        for arm in ARMS:
            end = {"soft": 0.8, "sft": 0.41}.get(arm, 0.1)
            divergences = [[1.0] * 6, [0.5] * 6, [0.2 if arm == "sft" else 0.35] * 6]
            accuracy = [[0.1] * 6, [(0.1 + end) / 2] * 6, [end + 0.01 * n for n in range(6)]]
            curve = {"teacher": [0.9] * 6, "step": [20, 40, 60], "accuracy": accuracy, "divergence": divergences}
            results[f"s{seed}-{arm}"] = curve
    return config, results


def test_the_toy_says_what_it_shows_and_what_not(toy):
    config, results = toy
    assert judged(config.toy, results) == (
        "The toy shows hidden transfer, in 2 of 2 runs; it says nothing about language models."
    )
    text = markdown_text(report(config, Design(config).jobs(), {f"toy-{name}": each for name, each in results.items()}))
    assert "| seed 2: same start, soft labels | 0.825 +- 0.019 | 0.3500 |" in text
    # SFT's divergence is .35 half-way between its looks at .5 and .2.
    assert "| seed 1: bft | 0.125 +- 0.019 | 0.345 +- 0.009 |" in text


def test_two_of_six_networks_without_transfer_are_too_many(toy):
    config, results = toy
    changed = copy.deepcopy(results)
    changed["s2-soft"]["accuracy"][-1][:2] = [0.3, 0.3]
    assert judged(config.toy, changed) == "uninformative: seed 2: no transfer from the same start."
    changed = copy.deepcopy(results)
    changed["s1-shuffled"]["accuracy"][-1] = [0.3] * 6
    assert judged(config.toy, changed) == "uninformative: seed 1: transfer with shuffled labels."
