"""The corrected t-test against scipy's where they agree, Holm by hand, and the error rates of both tests."""

import numpy as np
import pytest
from scipy import stats

from bftembed.bench.scoring.statistics import corrected_t_test, holm, paired_bootstrap


def test_without_correction_it_is_the_paired_t_test():
    rng = np.random.default_rng(0)
    first, second = rng.normal(0.8, 0.1, (5, 5)), rng.normal(0.75, 0.1, (5, 5))
    found = corrected_t_test(first, second, 0.0)
    expected = stats.ttest_rel(first.ravel(), second.ravel())
    assert found.p_value == pytest.approx(expected.pvalue)
    interval = expected.confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))


def test_the_correction_is_that_of_nadeau_and_bengio():
    rng = np.random.default_rng(1)
    first, second = rng.normal(0.8, 0.1, (2, 5)), rng.normal(0.75, 0.1, (2, 5))
    d = (first - second).ravel()
    t = d.mean() / np.sqrt(d.var(ddof=1) * (1 / 10 + 0.25))
    assert corrected_t_test(first, second, 0.25).p_value == pytest.approx(2 * stats.t.sf(abs(t), 9))


def test_folds_without_a_value_are_left_out():
    first = np.array([[0.8, 0.7, np.nan, 0.9]])
    second = np.array([[0.7, 0.65, 0.5, 0.6]])
    whole = corrected_t_test(first[:, [0, 1, 3]], second[:, [0, 1, 3]], 0.25)
    assert corrected_t_test(first, second, 0.25) == whole


@pytest.mark.parametrize(("shift", "p_value"), [(0.0, 1.0), (0.1, 0.0)])
def test_equal_differences_have_no_spread(shift, p_value):
    values = np.full((2, 3), 0.5)
    found = corrected_t_test(values + shift, values, 0.25)
    assert found.p_value == p_value
    assert found.mean == pytest.approx(shift)


@pytest.mark.parametrize("n", [0, 1])
def test_too_few_folds_give_no_p_value(n):
    assert np.isnan(corrected_t_test(np.ones((1, n)), np.zeros((1, n)), 0.25).p_value)
    assert np.isnan(paired_bootstrap(1.0, np.ones(n), np.zeros(n)).p_value)


def test_bootstrap_of_a_known_difference():
    rng = np.random.default_rng(2)
    base = rng.normal(size=(1000, 200)).mean(axis=1)
    clear = paired_bootstrap(0.48, base + 0.5, base + rng.normal(0, 0.05, 1000))
    assert clear.mean == 0.48  # of the scores, whatever the mean of the draws
    assert clear.low > 0.3
    assert clear.p_value < 0.01
    none = paired_bootstrap(0.0, base, base + rng.normal(0, 0.05, 1000))
    assert none.low < 0 < none.high
    assert none.p_value > 0.5
    assert paired_bootstrap(0.0, base, base).p_value == 1.0


def test_holm_by_hand():
    found = holm([0.01, float("nan"), 0.04, 0.03])
    assert found[0] == pytest.approx(0.03)
    assert np.isnan(found[1])
    assert found[2] == pytest.approx(0.06)
    assert found[3] == pytest.approx(0.06)
    assert np.isnan(holm([float("nan")])[0])
