import numpy as np
import pytest

from bftembed.bench.scoring.proportions import wilson
from bftembed.bench.scoring.scores import Score, digest_of, interval, item_weights, number, seed_of, widened


def test_draws_depend_on_the_items_alone():
    first, again, other = item_weights(["a", "b", "c"]), item_weights(["a", "b", "c"]), item_weights(["a", "b", "d"])
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    assert (first.sum(axis=1) == 3).all()


def test_a_score_describes_itself():
    values = np.array([[0.5, 0.7], [0.6, np.nan]])
    score = Score("head", "auroc", values, np.linspace(0.4, 0.8, 1001))
    record = score.describe()
    assert record["mean"] == pytest.approx(0.6)
    assert record["values"] == [[0.5, 0.7], [0.6, None]]
    assert record["interval_items"] == pytest.approx([0.41, 0.79])
    low, high = record["interval_folds"]
    assert 0.5 <= low < 0.6 < high <= 0.7


def test_one_value_has_no_interval_over_folds():
    record = Score("head", "auroc", np.array([[0.5]])).describe()
    assert record["interval_folds"] is None
    assert record["interval_items"] is None


def test_a_share_of_right_items_has_wilsons_interval():
    right = np.arange(40) < 30
    record = Score("model", "accuracy", np.array([[0.75]]), np.full(1000, 0.75), right=right).describe()
    assert record["interval_items"] == pytest.approx(wilson(30, 40))
    assert "right" not in record


def test_no_interval_where_draws_give_no_value():
    draws = np.ones(100)
    draws[:6] = np.nan
    assert interval(draws, 1.0) is None
    draws[5] = 1
    assert interval(draws, 1.0) == [1, 1]


def test_an_interval_holds_its_score():
    """Also where some draws lack a class and the others are off: a constant answer had [0.4997, 0.4997] about 0.5."""
    draws = np.append(np.full(990, 0.4997), np.full(10, 0.54))
    assert interval(draws, 0.5) == [0.5, 0.5]
    skewed = np.random.default_rng(0).exponential(0.05, 1000)
    low, high = interval(skewed, 0.9)
    assert low < 0.9 < high
    np.testing.assert_allclose(high - low, np.ptp(np.quantile(skewed, [0.025, 0.975])))


def test_a_score_without_values_is_none():
    assert Score("head", "auroc", np.array([[np.nan]])).describe()["mean"] is None


def test_numbers_and_seeds():
    assert number(np.nan) is None
    assert number(1 / 3) == 0.3333333333
    assert seed_of("a", "b") != seed_of("a", "c")
    assert digest_of(["a", "b"]) != digest_of(["ab"])


def test_draws_of_cross_validation_are_wider_by_the_share_of_the_training_sets():
    draws = np.array([0.6, np.nan, 0.8, 0.7])
    values = np.array([[0.4, 0.6, np.nan, 0.5]])
    wide = 0.1 * np.sqrt(4 / 3)
    np.testing.assert_allclose(widened(draws, values), [0.5 - wide, np.nan, 0.5 + wide, 0.5])
    np.testing.assert_allclose(widened(draws, values + 0.45)[2:], [1.0, 0.95])  # no score is above 1
    np.testing.assert_array_equal(widened(draws, values[:, :1]), draws)
    assert np.isnan(widened(np.full(3, np.nan), values)).all()
