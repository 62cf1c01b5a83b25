"""Each metric under weights against scikit-learn's or scipy's on the sample that the weights draw."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as sk

from bftembed.bench.scoring.metrics import (
    METRICS,
    accuracy,
    auroc,
    auroc_per_group,
    balanced_accuracy,
    drawn,
    f1,
    macro_f1,
    mean,
    mean_of_known,
    plain,
    spearman,
)


@st.composite
def samples(draw):
    n = draw(st.integers(4, 40))
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    levels = draw(st.integers(2, 12))  # few levels make ties
    return rng, rng.integers(0, 2, n).astype(bool), rng.integers(0, levels, n) / levels, rng.integers(0, 4, (3, n))


def repeated(values, weights):
    return np.repeat(values, weights, axis=0)


@given(samples())
def test_auroc_is_that_of_the_drawn_sample(sample):
    _, truth, score, weights = sample
    for value, row in zip(auroc(truth, score, weights.astype(float)), weights, strict=True):
        drawn_truth = repeated(truth, row)
        if len(np.unique(drawn_truth)) < 2:
            assert np.isnan(value)
        else:
            assert value == pytest.approx(sk.roc_auc_score(drawn_truth, repeated(score, row)), abs=1e-12)


@given(samples())
def test_spearman_is_that_of_the_drawn_sample(sample):
    rng, _, score, weights = sample
    target = np.round(score + rng.normal(0, 0.3, len(score)), 1)
    for value, row in zip(spearman(target, score, weights.astype(float)), weights, strict=True):
        a, b = repeated(target, row), repeated(score, row)
        if len(np.unique(a)) < 2 or len(np.unique(b)) < 2:
            assert np.isnan(value)
        else:
            assert value == pytest.approx(stats.spearmanr(a, b).statistic, abs=1e-9)


@given(samples())
def test_accuracies_are_those_of_the_drawn_sample(sample):
    rng, _, score, weights = sample
    truth = (score * 3).astype(int)
    guess = np.where(rng.random(len(truth)) < 0.6, truth, rng.integers(0, 3, len(truth)))
    plain_values = accuracy(truth, guess, weights.astype(float))
    balanced = balanced_accuracy(truth, guess, weights.astype(float))
    for value, even, row in zip(plain_values, balanced, weights, strict=True):
        if not row.sum():
            assert np.isnan(value)
            continue
        assert value == pytest.approx(sk.accuracy_score(repeated(truth, row), repeated(guess, row)))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a guess of a class that was not drawn
            assert even == pytest.approx(sk.balanced_accuracy_score(repeated(truth, row), repeated(guess, row)))


def test_auroc_of_labels_is_the_mean_over_those_with_both_classes():
    rng = np.random.default_rng(0)
    truth, score = rng.random((50, 3)) < 0.4, rng.random((50, 3))
    truth[:, 2] = False
    expected = np.mean([sk.roc_auc_score(truth[:, k], score[:, k]) for k in (0, 1)])
    assert plain(auroc, truth, score) == pytest.approx(expected)


@given(samples(), st.integers(1, 6))
def test_auroc_per_group_is_the_mean_of_groups_of_the_drawn_sample(sample, n_groups):
    rng, truth, score, weights = sample
    groups = rng.integers(0, n_groups, len(truth))
    for value, row in zip(auroc_per_group(truth, score, groups, weights.astype(float)), weights, strict=True):
        drawn_groups, drawn_truth, drawn_score = (repeated(each, row) for each in (groups, truth, score))
        expected = [
            sk.roc_auc_score(drawn_truth[drawn_groups == g], drawn_score[drawn_groups == g])
            for g in np.unique(drawn_groups)
            if len(np.unique(drawn_truth[drawn_groups == g])) == 2
        ]
        assert value == pytest.approx(np.mean(expected) if expected else np.nan, abs=1e-12, nan_ok=True)


@given(samples(), st.integers(1, 6), st.floats(0.1, 10))
def test_what_holds_for_a_group_as_a_whole_changes_no_auroc_within_it(sample, n_groups, size):
    rng, truth, score, weights = sample
    groups = rng.integers(0, n_groups, len(truth))
    shifted = np.round(score * 12) + np.round(size * rng.normal(size=n_groups))[groups]
    found = [auroc_per_group(truth, each, groups, weights.astype(float)) for each in (np.round(score * 12), shifted)]
    np.testing.assert_allclose(*found, atol=1e-12)


@given(samples())
def test_f1_is_that_of_the_drawn_sample(sample):
    rng, truth, _, weights = sample
    guess = truth ^ (rng.random(len(truth)) < 0.4)
    for value, row in zip(f1(truth, guess, weights.astype(float)), weights, strict=True):
        expected = np.nan
        if row.sum():
            expected = sk.f1_score(repeated(truth, row), repeated(guess, row), zero_division=np.nan)
        assert value == pytest.approx(expected, nan_ok=True)


@given(samples())
def test_macro_f1_is_that_of_the_drawn_sample_and_what_is_unanswered_is_no_class(sample):
    rng, _, score, weights = sample
    truth = np.array(["yes", "no", "maybe"])[(score * 2.9).astype(int)]
    guess = np.where(rng.random(len(truth)) < 0.6, truth, rng.choice(["yes", "no", ""], len(truth)))
    for value, row in zip(macro_f1(truth, guess, weights.astype(float)), weights, strict=True):
        expected = np.nan
        if row.sum():
            expected = sk.f1_score(
                repeated(truth, row),
                repeated(guess, row),
                labels=np.unique(truth),
                average="macro",
                zero_division=np.nan,
            )
        assert value == pytest.approx(expected, nan_ok=True)


@given(samples())
def test_mean_is_that_of_the_drawn_sample(sample):
    _, _, score, weights = sample
    for value, row in zip(mean(score, weights.astype(float)), weights, strict=True):
        assert value == pytest.approx(repeated(score, row).mean() if row.sum() else np.nan, nan_ok=True)


def test_no_group_with_both_classes_has_no_value():
    assert np.isnan(auroc_per_group(np.array([1, 1, 0]), np.arange(3.0), ["a", "a", "b"])).tolist() == [True]


@given(samples(), st.integers(1, 5))
def test_a_group_that_was_drawn_twice_counts_twice(sample, n_groups):
    """As if the copies were groups of their own."""
    rng, truth, score, _ = sample
    groups, n = rng.integers(0, n_groups, len(truth)), rng.integers(0, 3, (3, n_groups))
    items = rng.integers(0, 3, (3, len(truth)))
    found = auroc_per_group(truth, score, groups, items * n[:, groups].astype(float), times=n[:, groups].astype(float))
    for value, row, of_group in zip(found, items, n, strict=True):
        copies = [(g, copy) for g in range(n_groups) for copy in range(of_group[g])]
        rows = [np.repeat(np.flatnonzero(groups == g), row[groups == g]) for g, _ in copies]
        expected = [sk.roc_auc_score(truth[each], score[each]) for each in rows if len(np.unique(truth[each])) == 2]
        assert value == pytest.approx(np.mean(expected) if expected else np.nan, nan_ok=True)


def test_replicates_in_parts_are_those_of_all_at_once(monkeypatch):
    rng = np.random.default_rng(2)
    truth, score, groups = rng.integers(0, 2, 30), rng.random(30), rng.integers(0, 4, 30)
    times = rng.integers(0, 3, (17, 4)).astype(float)[:, groups]
    weights = times * rng.integers(0, 3, (17, 30))
    whole = auroc_per_group(truth, score, groups, weights, times=times)
    monkeypatch.setattr("bftembed.bench.scoring.metrics._AT_ONCE", 100)
    np.testing.assert_array_equal(auroc_per_group(truth, score, groups, weights, times=times), whole)


@pytest.mark.parametrize("name", METRICS)
def test_drawing_in_parts_changes_nothing(name, monkeypatch):
    rng = np.random.default_rng(1)
    truth, score = rng.integers(0, 2, 30), rng.integers(0, 2, 30)
    weights = rng.integers(0, 3, (17, 30)).astype(float)
    whole = METRICS[name](truth, score, weights)
    monkeypatch.setattr("bftembed.bench.scoring.metrics._AT_ONCE", 100)
    np.testing.assert_array_equal(drawn(METRICS[name], truth, score, weights), whole)


@pytest.mark.parametrize("name", METRICS)
def test_a_draw_of_no_item_has_no_value(name):
    truth = np.array([0, 1, 1, 0])
    found = METRICS[name](truth, truth[::-1] + np.arange(4) / 10, np.array([[0.0] * 4, [1.0] * 4]))
    assert np.isnan(found).tolist() == [True, False]


def test_mean_of_known():
    values = np.array([[1.0, np.nan, np.nan], [3.0, 5.0, np.nan]])
    np.testing.assert_array_equal(mean_of_known(values), [2.0, 5.0, np.nan])
