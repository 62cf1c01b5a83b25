"""Intervals over runs and items against Student's, a linear model's mean squares, and simulated studies."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.formula.api import ols

from bftembed.errors import InputError
from bftembed.studies.statistics.hierarchical import coverage, interval, paired


def table(rng, seed_sd=1.0, item_sd=1.0, rest_sd=1.0, n_seeds=3, n_items=8):
    noise = rest_sd * rng.standard_normal((n_seeds, n_items))
    return seed_sd * rng.standard_normal((n_seeds, 1)) + item_sd * rng.standard_normal((1, n_items)) + noise


def student(values):
    found = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    return found.low, found.high


def test_equal_items_leave_students_interval_of_the_runs():
    values = np.repeat([[1.0], [2.5], [4.0]], 7, axis=1)
    found = interval(values)
    np.testing.assert_allclose((found.low, found.high), student([1.0, 2.5, 4.0]))
    assert found.seed_sd == pytest.approx(1.5)


def test_equal_runs_leave_students_interval_of_the_items():
    items = np.random.default_rng(0).standard_normal(9)
    found = interval(np.tile(items, (3, 1)))
    np.testing.assert_allclose((found.low, found.high), student(items))
    assert found.seed_sd == 0


@pytest.mark.parametrize("seed", range(4))
def test_both_by_the_mean_squares_of_a_linear_model(seed):
    values = table(np.random.default_rng(seed), seed_sd=2, item_sd=2, n_seeds=4)
    n_seeds, n_items = values.shape
    long = (
        pd.DataFrame(values).melt(ignore_index=False, var_name="item", value_name="x").rename_axis("run").reset_index()
    )
    anova = sm.stats.anova_lm(ols("x ~ C(run) + C(item)", long).fit(), typ=1)
    runs, items, rest = anova["sum_sq"] / anova["df"]
    assert min(runs, items) > rest  # the case without truncation
    total = runs + items - rest
    degrees = total**2 / (
        runs**2 / (n_seeds - 1) + items**2 / (n_items - 1) + rest**2 / ((n_seeds - 1) * (n_items - 1))
    )
    half = stats.t.ppf(0.975, degrees) * np.sqrt(total / values.size)
    found = interval(values)
    assert found.mean == pytest.approx(values.mean())
    assert (found.high - found.low) / 2 == pytest.approx(half)


def test_a_weighted_mean_is_the_ratio_of_the_sums():
    rng = np.random.default_rng(3)
    values, tokens = table(rng), rng.integers(1, 9, 8)
    found = interval(values, tokens)
    assert found.mean == pytest.approx(np.mean((values * tokens).sum(1) / tokens.sum()))
    assert interval(values, np.full(8, 5)) == pytest.approx(interval(values))


def test_the_interval_of_a_ratio_is_about_that_of_the_jackknife():
    """Of equal runs it is that of the delta method, which leaving out one item at a time comes close to."""
    rng = np.random.default_rng(5)
    items, tokens = rng.standard_normal(200), rng.integers(20, 200, 200).astype(float)
    without = [np.average(np.delete(items, i), weights=np.delete(tokens, i)) for i in range(200)]
    error = np.sqrt(199 / 200 * np.sum((without - np.mean(without)) ** 2))
    found = interval(np.tile(items, (2, 1)), tokens)
    assert (found.high - found.low) / 2 == pytest.approx(stats.t.ppf(0.975, 199) * error, rel=0.02)


def test_a_difference_is_that_of_each_run_and_item():
    rng = np.random.default_rng(1)
    shared = table(rng, 5, 5)
    first, second = shared + rng.normal(0.3, 0.1, shared.shape), shared
    found = paired(first, second)
    assert found == interval(first - second)
    assert found.low > 0  # where the means themselves overlap
    assert interval(first).low < interval(second).high


def test_one_run_has_no_interval():
    found = interval([[1.0, 2.0, 3.0]])
    assert found == (2.0, None, None, None, 1, 3)
    assert interval([[1.0], [2.0]]).low is None


def test_an_item_that_one_run_lacks_is_left_out_of_all():
    values = np.array([[1.0, np.nan, 3.0], [2.0, 9.0, 4.0]])
    assert interval(values, [1, 1, 2]) == interval(values[:, [0, 2]], [1, 2])
    assert interval(values).n_items == 2


def test_what_has_no_mean():
    with pytest.raises(InputError, match="no item of which every run has a value"):
        interval([[np.nan], [1.0]])
    with pytest.raises(InputError, match="a value is infinite"):
        interval([[np.inf, 1.0], [1.0, 2.0]])
    with pytest.raises(InputError, match="one number above zero for each of 2 items"):
        interval([[1.0, 2.0]], [1.0, 0.0])
    with pytest.raises(InputError, match=r"same runs and items; got \(2, 1\) and \(1, 1\)"):
        paired([[1.0], [2.0]], [[1.0]])


@given(st.integers(0, 2**32 - 1), st.floats(-10, 10), st.floats(0.1, 10))
def test_it_moves_and_stretches_with_the_values(seed, shift, factor):
    values = table(np.random.default_rng(seed))
    before, after = interval(values), interval(values * factor + shift)
    np.testing.assert_allclose(after[:3], np.array(before[:3]) * factor + shift, atol=1e-9)


@pytest.mark.parametrize("sd", [(1, 0.25, 0.25), (1, 1, 1), (0.2, 1, 1), (0, 1, 1), (1, 5, 1), (0, 0, 1)])
def test_nineteen_of_twenty_simulated_studies_hold_the_truth(sd):
    share = coverage(seed_sd=sd[0], item_sd=sd[1], rest_sd=sd[2], n_draws=4000)
    assert 0.925 < share < 0.985


def test_percentiles_of_resampled_runs_and_items_are_too_narrow_with_three_runs():
    rng, held = np.random.default_rng(1), []
    for _ in range(300):
        values = table(rng, 1, 0.25, 0.25, n_items=24)
        runs, items = rng.integers(0, 3, (400, 3)), rng.integers(0, 24, (400, 24))
        low, high = np.percentile(values[runs[:, :, None], items[:, None, :]].mean((1, 2)), [2.5, 97.5])
        held.append(low <= 0 <= high)
    assert np.mean(held) < 0.82
