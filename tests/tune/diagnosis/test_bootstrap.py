import numpy as np
import pytest
import scipy.stats

from bftembed.tune.diagnosis.bootstrap import percentile_interval, resampled_sums


def test_resampled_sums_have_the_mean_and_variance_of_draws_with_replacement():
    rng = np.random.default_rng(3)
    values = rng.gamma(2, size=(25, 3))
    sums = resampled_sums(values, 40_000, rng)
    assert sums.shape == (40_000, 3)
    spread = np.sqrt(25 * values.var(axis=0))
    np.testing.assert_allclose(sums.mean(axis=0), values.sum(axis=0), atol=5 * spread.max() / 200)
    np.testing.assert_allclose(sums.std(axis=0), spread, rtol=0.03)
    # Columns are drawn together.
    np.testing.assert_allclose(np.corrcoef(sums.T), np.corrcoef(values.T), atol=0.05)


def test_the_interval_of_a_ratio_is_that_of_scipy():
    rng = np.random.default_rng(5)
    counts = np.stack([rng.poisson(4, 60), rng.poisson(9, 60)], axis=1).astype(float)
    sums = resampled_sums(counts, 20_000, rng)
    ours = percentile_interval(sums[:, 0] / sums[:, 1], 0.9)
    theirs = scipy.stats.bootstrap(
        (counts[:, 0], counts[:, 1]),
        lambda a, b, axis: a.sum(axis=axis) / b.sum(axis=axis),
        paired=True,
        vectorized=True,
        n_resamples=20_000,
        confidence_level=0.9,
        method="percentile",
        rng=np.random.default_rng(6),
    ).confidence_interval
    np.testing.assert_allclose(ours, [theirs.low, theirs.high], atol=0.01)


def test_limits_are_order_statistics_and_may_be_infinite():
    estimates = np.arange(101.0)[::-1, None] * [1.0, 2.0]
    np.testing.assert_array_equal(percentile_interval(estimates, 0.9), [[5, 10], [95, 190]])
    estimates[:30] = np.inf
    np.testing.assert_array_equal(percentile_interval(estimates, 0.9), [[5, 10], [np.inf, np.inf]])


@pytest.mark.parametrize(("n_missing", "known"), [(0, True), (5, True), (6, False), (100, False)])
def test_no_interval_where_too_many_resamples_give_no_estimate(n_missing, known):
    estimates = np.arange(100.0)
    estimates[:n_missing] = np.nan
    assert np.isfinite(percentile_interval(estimates, 0.95)).all() == known


def test_no_interval_where_all_resamples_agree():
    assert np.isnan(percentile_interval(np.zeros((50, 2)), 0.95)).all()
