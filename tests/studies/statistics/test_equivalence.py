"""Variance components and the interval of a range, against statsmodels, scipy and simulation."""

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from bftembed.errors import InputError
from bftembed.studies.statistics.equivalence import (
    judge_equivalence,
    range_interval,
    seed_deviation,
    variance_components,
)

TABLES = arrays(
    float,
    st.tuples(st.integers(2, 5), st.integers(2, 6)),
    elements=st.floats(-10, 10).map(lambda value: round(value, 3)),
)


@pytest.fixture
def table():
    rng = np.random.default_rng(3)
    return np.linspace(0, 1, 5)[:, None] + rng.normal(size=(1, 4)) + 0.3 * rng.normal(size=(5, 4))


def test_components_agree_with_an_analysis_of_variance(table):
    from statsmodels.formula.api import ols
    from statsmodels.stats.anova import anova_lm

    long = pd.DataFrame([(i, j, x) for (i, j), x in np.ndenumerate(table)], columns=["level", "seed", "value"])
    anova = anova_lm(ols("value ~ C(level) + C(seed)", long).fit())
    squares = anova["mean_sq"]
    found = variance_components(table)
    assert found.residual == pytest.approx(squares["Residual"])
    assert found.levels == pytest.approx((squares["C(level)"] - squares["Residual"]) / 4)
    assert found.seeds == pytest.approx((squares["C(seed)"] - squares["Residual"]) / 5)
    assert (found.f, found.p_f) == pytest.approx(tuple(stats.f_oneway(*table)))


def test_permutation_within_seeds_is_exact_where_it_can_be():
    table = np.array([[0.0, 5.0, 9.0], [1.0, 6.5, 9.2]])
    swaps = np.array(list(itertools.product((False, True), repeat=3)))[:, None]
    spread = np.abs(np.where(swaps, table[::-1], table).mean(axis=2) @ [1, -1])
    expected = np.mean(spread >= spread[0] - 1e-12)
    assert variance_components(table).p_within == pytest.approx(expected)


def test_permutation_sees_a_difference_that_seeds_hide(table):
    hidden = table + 100 * np.arange(4)
    assert variance_components(hidden).p_f > 0.9
    assert variance_components(hidden).p_within == variance_components(table).p_within < 0.01


def test_nothing_that_varies_has_no_f():
    found = variance_components(np.ones((3, 2)))
    assert np.isnan(found.f)
    assert np.isnan(found.p_f)
    assert (found.levels, found.seeds, found.residual, found.p_within) == (0, 0, 0, 1)


def test_two_levels_are_a_paired_t_interval(table):
    expected = stats.ttest_rel(table[4], table[0]).confidence_interval(0.9)
    found = range_interval(table[[0, 4]])
    assert found.high == pytest.approx(expected.high)
    assert found.observed == pytest.approx(table[4].mean() - table[0].mean())


def test_the_upper_limit_is_below_a_margin_where_every_pair_passes_two_one_sided_tests(table):
    found = range_interval(table)
    for margin in (found.high * 0.999, found.high * 1.001):
        p_values = []
        for one, other in itertools.combinations(table, 2):
            less = stats.ttest_1samp(one - other, margin, alternative="less").pvalue
            more = stats.ttest_1samp(one - other, -margin, alternative="greater").pvalue
            p_values.append(max(less, more))
        assert (max(p_values) < 0.05) == (found.high < margin)


@given(TABLES, st.floats(-100, 100), st.floats(0.01, 100))
def test_an_interval_holds_what_was_observed_and_moves_with_its_units(table, shift, factor):
    found = range_interval(table)
    assert 0 <= found.low <= found.observed + 1e-12
    assert found.observed <= found.high + 1e-12
    assert found.observed == pytest.approx(np.ptp(table.mean(axis=1)), abs=1e-9)
    moved = range_interval(factor * table[::-1] + shift + np.arange(table.shape[1]))
    assert np.asarray(moved) == pytest.approx(factor * np.asarray(found), abs=1e-6)


def _rejections(means, *, noise, margin, n, seeds, rng):
    count = 0
    for _ in range(n):
        table = means[:, None] + rng.normal(size=(1, seeds)) + noise[:, None] * rng.normal(size=(len(means), seeds))
        count += judge_equivalence(table, margin=margin).verdict == "robust"
    return count / n


@pytest.mark.parametrize("noise", [np.full(4, 0.1), np.array([0.3, 0.1, 0.1, 0.1])], ids=["equal", "unequal"])
def test_levels_that_differ_by_the_margin_are_rarely_called_robust(noise):
    rate = _rejections(np.array([1.0, 0, 0, 0]), noise=noise, margin=1.0, n=800, seeds=5, rng=np.random.default_rng(1))
    assert rate <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 800)


def test_equal_levels_are_called_robust_where_seeds_suffice():
    rate = _rejections(np.zeros(4), noise=np.full(4, 0.1), margin=0.3, n=100, seeds=5, rng=np.random.default_rng(2))
    assert rate > 0.9


def test_a_margin_in_deviations_over_seeds_is_the_lower_limit(table):
    deviation, lower = seed_deviation(table)
    assert deviation == pytest.approx(np.sqrt(table.var(axis=1, ddof=1).mean()))
    assert lower == pytest.approx(np.sqrt(3 * deviation**2 / stats.chi2.ppf(0.95, 3)))
    assert judge_equivalence(table, seed_deviations=2.0).margin == pytest.approx(2 * lower)


def test_verdicts():
    near, far = np.array([[0.0, 1, 2], [0.01, 1.01, 2.02]]), np.array([[0.0, 1, 2], [5.01, 6.01, 7.02]])
    assert judge_equivalence(near, margin=0.1).verdict == "robust"
    assert judge_equivalence(far, margin=0.1).verdict == "not robust"
    noisy = judge_equivalence([[0.0, 1, 2], [2.0, 1, 0]], margin=0.1)
    assert noisy.verdict == "cannot be told"
    assert "3 seeds are too few" in noisy.reason
    assert "more than 1,000 are needed" in noisy.reason or " are needed" in noisy.reason
    undecided = judge_equivalence([[0.0, 1, 2.0], [0.09, 1.1, 2.11]], margin=0.1)
    assert undecided.verdict == "cannot be told"
    assert "holds the margin" in undecided.reason


def test_as_many_seeds_as_asked_for_would_suffice():
    table = np.array([[0.0, 0.3, -0.3], [0.0, -0.3, 0.3]])
    reason = judge_equivalence(table, margin=0.5).reason
    needed = int(reason.split("about ")[1].split(" are")[0])
    scale = (table[0] - table[1]).std(ddof=1)
    widths = [stats.t.ppf(0.95, n - 1) * scale / np.sqrt(n) for n in (needed - 1, needed)]
    assert widths[1] < 0.5 <= widths[0]


@pytest.mark.parametrize(("table", "what"), [(np.ones((3, 1)), "one seed only"), (np.ones((1, 3)), "one level only")])
def test_one_seed_or_level_tells_nothing(table, what):
    found = judge_equivalence(table, margin=1.0)
    assert found.verdict == "cannot be told"
    assert what in found.reason
    assert np.isnan(found.interval.high)


def test_what_is_no_table_is_refused():
    with pytest.raises(InputError, match=r"at least two levels and two seeds.*\(3, 1\)"):
        range_interval(np.ones((3, 1)))
    with pytest.raises(InputError, match="level 1 and seed 0 is nan; run that cell again"):
        variance_components([[1.0, 2.0], [np.nan, 2.0]])
    for margins in ({}, {"margin": 0.0}, {"margin": 1.0, "seed_deviations": 1.0}, {"seed_deviations": -1.0}):
        with pytest.raises(InputError, match="State the margin once"):
            judge_equivalence(np.ones((2, 2)), **margins)
