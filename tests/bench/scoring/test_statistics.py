"""The paired test by hand, and Holm's correction; how often the test is wrong is in ``problems/test_genes.py``."""

import numpy as np
import pytest
from scipy import stats

from bftembed.bench.scoring.statistics import holm, paired_bootstrap


def test_the_difference_is_normal_with_the_spread_of_its_draws():
    rng = np.random.default_rng(2)
    first = rng.normal(0.8, 0.05, 1000)
    second = first - 0.1 + rng.normal(0, 0.03, 1000)
    second[7] = np.nan
    error = np.nanstd(first - second, ddof=1)
    found = paired_bootstrap(0.07, first, second)
    assert found.mean == 0.07  # of the scores, whatever the mean of the draws
    assert (found.low, found.high) == pytest.approx(stats.norm(0.07, error).interval(0.95))
    assert found.p_value == pytest.approx(2 * stats.norm.cdf(-0.07 / error))


def test_a_clear_difference_survives_thirty_tests():
    rng = np.random.default_rng(3)
    base = rng.normal(0.5, 0.02, 1000)
    clear = paired_bootstrap(0.2, base + 0.2, base + rng.normal(0, 0.02, 1000))
    assert max(holm([clear.p_value, *[0.5] * 30])[:1]) < 0.05
    assert paired_bootstrap(0.0, base, base).p_value == 1.0


@pytest.mark.parametrize(("shift", "p_value"), [(0.0, 1.0), (0.25, 0.0)])
def test_equal_differences_have_no_spread(shift, p_value):
    draws = np.full(4, 0.5)
    assert paired_bootstrap(shift, draws + shift, draws) == (shift, shift, shift, p_value)


@pytest.mark.parametrize("n", [0, 1])
def test_too_few_draws_give_no_p_value(n):
    assert np.isnan(paired_bootstrap(1.0, np.ones(n), np.zeros(n)).p_value)


def test_holm_by_hand():
    found = holm([0.01, float("nan"), 0.04, 0.03])
    assert found[0] == pytest.approx(0.03)
    assert np.isnan(found[1])
    assert found[2] == pytest.approx(0.06)
    assert found[3] == pytest.approx(0.06)
    assert np.isnan(holm([float("nan")])[0])
