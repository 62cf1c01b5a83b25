import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from bftembed.errors import InputError
from bftembed.studies.statistics.labelings import (
    centred,
    equivalence_test,
    labeling_test,
    logit_lifts,
    relabelled,
    sign_flip_test,
    standard_error,
    strength,
    target_rate,
    transfer,
    visible_if_independent,
)

matrices = arrays(np.float64, (4, 4), elements=st.floats(-10, 10, width=32))


@pytest.fixture
def rng():
    return np.random.default_rng(3)


def linear_model(matrix):
    """Least squares with effects of rows, of columns, and of the diagonal."""
    import statsmodels.api as sm

    k = len(matrix)
    rows, columns = np.divmod(np.arange(k * k), k)
    design = np.column_stack([np.eye(k)[rows], np.eye(k)[columns][:, 1:], rows == columns]).astype(float)
    return sm.OLS(matrix.ravel(), design).fit()


def test_lambda_and_its_error_are_those_of_the_linear_model(rng):
    for k in (3, 5, 6):
        matrix = rng.normal(size=(k, k)) + 0.4 * np.eye(k)
        fit = linear_model(matrix)
        assert strength(matrix) == pytest.approx(fit.params[-1])
        assert standard_error(matrix) == pytest.approx(fit.bse[-1])
        assert fit.df_resid == k * (k - 2)


@given(matrices, arrays(np.float64, 4, elements=st.floats(-5, 5)), arrays(np.float64, 4, elements=st.floats(-5, 5)))
def test_effects_of_rows_and_columns_cancel(matrix, rows, columns):
    moved = matrix + rows[:, None] + columns
    assert strength(moved) == pytest.approx(float(strength(matrix)), abs=1e-9)
    assert centred(moved) == pytest.approx(centred(matrix), abs=1e-9)


@pytest.mark.parametrize("scale", [1e-15, 1.0, 1e12])
def test_the_unit_of_the_matrix_is_nothing(rng, scale):
    matrix = rng.normal(size=(4, 4)) + np.eye(4)
    assert labeling_test(scale * matrix, two_sided=True) == labeling_test(matrix, two_sided=True) < 1


@given(matrices)
def test_the_labelings_are_all_pairings_of_brute_force_and_their_mean_is_zero(matrix):
    brute = [sum(matrix[i, j] for i, j in enumerate(order)) for order in itertools.permutations(range(4))]
    offset = strength(matrix) * 3 - brute[0]  # what the centring takes from every sum
    assert relabelled(matrix) == pytest.approx((np.array(brute) + offset) / 3, abs=1e-9)
    assert relabelled(matrix).mean() == pytest.approx(0, abs=1e-9)


def test_p_values_are_those_of_scipy(rng):
    for _ in range(5):
        matrix = rng.normal(size=(5, 5)) + 0.3 * np.eye(5)
        scipys = stats.permutation_test(
            (np.arange(5),),
            lambda order, m=matrix: m[np.arange(5), order].sum(),
            permutation_type="pairings",
            vectorized=False,
            n_resamples=np.inf,
            alternative="greater",
        )
        assert labeling_test(matrix) == pytest.approx(scipys.pvalue)
        every = np.abs(relabelled(matrix))
        assert labeling_test(matrix, two_sided=True) == pytest.approx((every >= every[0] - 1e-12).mean())


def test_ties_count_for_the_null():
    assert labeling_test(np.zeros((5, 5))) == 1
    assert labeling_test(np.ones((4, 4)) * 0.1, two_sided=True) == 1
    assert labeling_test(-np.eye(4)) == 1
    assert labeling_test(np.eye(6) * 0.1 + 0.7) == 1 / math.factorial(6)


def test_a_persistent_affinity_is_one_finding_and_not_one_for_each_replicate(rng):
    """Averaging over replicates: five copies of one matrix have the p-value of one."""
    matrix = rng.normal(size=(5, 5, 1))
    copies = np.repeat(matrix, 5, axis=2)
    assert transfer(copies).p_value == transfer(matrix).p_value
    assert transfer(copies).error == pytest.approx(transfer(matrix).error)


def test_the_interval_is_over_replicates(rng):
    lifts = rng.normal(size=(5, 5, 6)) + 0.5 * np.eye(5)[:, :, None]
    found = transfer(lifts, seed=1)
    assert found.low < found.strength < found.high
    each = strength(np.moveaxis(lifts, 2, 0))
    expected = stats.bootstrap((each,), np.mean, method="percentile", n_resamples=5000, rng=0).confidence_interval
    assert found.low == pytest.approx(expected.low, abs=0.03)
    assert found.high == pytest.approx(expected.high, abs=0.03)
    assert found.visible == pytest.approx(2.8016 * found.error, rel=1e-4)
    assert math.isnan(transfer(lifts[:, :, :1]).low)


def test_signs_are_flipped_exactly_where_they_are_few(rng):
    lifts = rng.normal(size=(3, 3, 3)) + 0.4 * np.eye(3)[:, :, None]
    cells = np.diagonal(centred(np.moveaxis(lifts, 2, 0)), axis1=1, axis2=2).ravel()
    means = [np.dot(signs, cells) / 9 for signs in itertools.product((1, -1), repeat=9)]
    assert sign_flip_test(lifts) == pytest.approx(np.mean(np.abs(means) >= abs(cells.mean()) - 1e-12))
    many = rng.normal(size=(6, 6, 4)) + np.eye(6)[:, :, None]
    assert sign_flip_test(many) == sign_flip_test(many) < 0.01


def test_equivalence_is_two_t_tests(rng):
    lifts = 0.2 * rng.normal(size=(5, 5, 4))
    fit = linear_model(lifts.mean(axis=2))
    below = fit.t_test((np.eye(10)[-1], -0.3))
    above = fit.t_test((np.eye(10)[-1], 0.3))
    expected = max(stats.t.sf(below.tvalue.item(), 15), stats.t.cdf(above.tvalue.item(), 15))
    assert equivalence_test(lifts, 0.3) == pytest.approx(expected)
    assert equivalence_test(np.zeros((4, 4, 2)), 0.1) == 0
    assert equivalence_test(np.eye(4)[:, :, None], 0.1) == 1


def test_what_is_visible_with_independent_cells(rng):
    """The s.d. of lambda over many null matrices is what both errors estimate."""
    null = rng.normal(size=(400, 5, 5, 4)) * 0.3
    errors = [transfer(one).error for one in null[:100]]
    true = strength(null.mean(axis=3)).std()
    assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(true, rel=0.12)
    independent = [visible_if_independent(one) / 2.8016 for one in null[:100]]
    assert np.sqrt(np.mean(np.square(independent))) == pytest.approx(true, rel=0.12)


@pytest.mark.parametrize("affinity", [0.0, 0.15, 0.4])
def test_false_findings_are_as_rare_as_they_should_be(affinity):
    """Matrices without transfer, with answers that all students like and affinities that persist over replicates."""
    rng = np.random.default_rng(11)
    n = 4000
    cells = rng.normal(size=(n, 5, 5, 4)) * 0.3 + rng.normal(size=(n, 1, 5, 4)) * 0.5
    mean = (cells + affinity * rng.normal(size=(n, 5, 5, 1))).mean(axis=3)
    for two_sided in (False, True):
        assert 0.04 <= (labeling_test(mean, two_sided=two_sided) <= 0.05).mean() <= 0.06


def test_transfer_is_found_and_affinities_are_not_transfer():
    rng = np.random.default_rng(12)
    cells = rng.normal(size=(1000, 6, 6, 4)) * 0.3 + 0.15 * rng.normal(size=(1000, 6, 6, 1))
    assert (labeling_test(cells.mean(axis=3) + 0.3 * np.eye(6)) <= 0.05).mean() > 0.85
    # What the averaged test is for: permuting within each replicate takes a persistent affinity for transfer.
    every = sum(relabelled(cells[..., r])[:, rng.permuted(np.arange(720))] for r in range(4))
    own = sum(relabelled(cells[..., r])[:, 0] for r in range(4))
    blockwise = ((every >= own[:, None]).sum(axis=1) + 1) / 721
    assert (blockwise <= 0.05).mean() > 0.07


def test_logits_of_rates_and_the_rate_of_the_target():
    counts = np.full((3, 3, 2), 10)
    counts[np.arange(3), np.arange(3)] = 40
    assert logit_lifts(counts, 100)[0, 0, 0] == pytest.approx(math.log(40.5 / 60.5))
    rate, low, high = target_rate(counts, 100)
    interval = stats.binomtest(240, 600).proportion_ci(method="wilson")
    assert (rate, low, high) == pytest.approx((0.4, interval.low, interval.high))
    assert strength(logit_lifts(counts, 100).mean(axis=2)) == pytest.approx(
        math.log(40.5 / 60.5) - math.log(10.5 / 90.5)
    )


def test_bad_input():
    with pytest.raises(InputError, match="square of at least 3 x 3"):
        strength(np.eye(2))
    with pytest.raises(InputError, match="square"):
        labeling_test(np.zeros((3, 4)))
    with pytest.raises(InputError, match="no numbers"):
        transfer(np.full((3, 3, 2), np.nan))
    with pytest.raises(InputError, match="replicates"):
        transfer(np.eye(3))
    with pytest.raises(InputError, match="8 teachers at most"):
        labeling_test(np.eye(9))
    with pytest.raises(InputError, match="above 0"):
        equivalence_test(np.zeros((3, 3, 1)), 0)
    with pytest.raises(InputError, match="between 0 and the 10"):
        logit_lifts([11], 10)
