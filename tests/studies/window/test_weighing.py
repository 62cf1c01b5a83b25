"""The grid of objectives, their factors against the formula, and windows that are one and the same."""

import math

import numpy as np
import pytest

from bftembed.errors import InputError
from bftembed.studies.window.weighing import WHOLE, grid, label, parse_window, same_as, weigh, weight_digest
from bftembed.tune import Objective


@pytest.fixture
def batch():
    rng = np.random.default_rng(0)
    lengths = np.array([3, 12, 7])
    return np.log(rng.uniform(0.01, 1, lengths.sum())).astype(np.float32), lengths


def test_the_grid():
    found = grid([1, 8, WHOLE])
    assert list(found) == ["bft-1", "bft-8", "bft-inf", "bft-v1-8", "bft-v1-inf", "bft-256-even", "bft-1-even"]
    assert found["bft-inf"].window == WHOLE
    assert not found["bft-1-even"].sample_weight
    assert list(grid([8], v1=False, controls=False)) == ["bft-8"]


def test_windows_of_a_configuration():
    assert [parse_window(value) for value in (1, 256, "inf", math.inf)] == [1, 256, WHOLE, WHOLE]
    assert label(WHOLE) == "inf"
    for wrong in (0, -3, 2.5, "many", True, 2**40, None, math.nan):
        with pytest.raises(InputError, match="A window has at least 1 token"):
            parse_window(wrong)


@pytest.mark.parametrize("name", ["sft", "dft", "bft", "bft-v1"])
def test_factors_are_weights_times_the_share_in_the_reduction(batch, name):
    logprobs, lengths = batch
    found = weigh(Objective(name=name, window=4), logprobs, lengths)
    if name in {"sft", "dft"}:
        expected = found.token / len(logprobs)
    else:
        expected = found.token * np.repeat(found.sample / lengths / len(lengths), lengths)
    np.testing.assert_allclose(found.factor, expected, rtol=1e-12)


def test_a_window_of_one_without_weights_of_samples_is_sft_with_a_mean_over_samples(batch):
    logprobs, lengths = batch
    found = weigh(grid([1])["bft-1-even"], logprobs, lengths)
    np.testing.assert_array_equal(found.token, 1)
    np.testing.assert_allclose(found.factor, np.repeat(1 / (3 * lengths), lengths))


def test_windows_beyond_the_longest_sample_are_one_and_no_others_are(batch):
    objectives = grid([1, 4, 11, 12, 64, WHOLE], controls=False)
    digests = [(name, weight_digest(weigh(objective, *batch))) for name, objective in objectives.items()]
    assert same_as(digests) == {
        "bft-64": "bft-12",
        "bft-inf": "bft-12",
        "bft-v1-64": "bft-v1-12",
        "bft-v1-inf": "bft-v1-12",
    }
