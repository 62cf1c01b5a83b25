import numpy as np
import pytest

from bftembed.bench.scoring.scores import Score, centred, digest_of, interval, item_weights, number, seed_of


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


def test_no_interval_where_draws_give_no_value():
    draws = np.ones(100)
    draws[:6] = np.nan
    assert interval(draws) is None
    draws[5] = 1
    assert interval(draws) == [1, 1]


def test_a_score_without_values_is_none():
    assert Score("head", "auroc", np.array([[np.nan]])).describe()["mean"] is None


def test_numbers_and_seeds():
    assert number(np.nan) is None
    assert number(1 / 3) == 0.3333333333
    assert seed_of("a", "b") != seed_of("a", "c")
    assert digest_of(["a", "b"]) != digest_of(["ab"])


def test_centred_draws_keep_their_spread():
    draws = np.array([0.6, np.nan, 0.8, 0.7])
    np.testing.assert_allclose(centred(draws, 0.5), [0.4, np.nan, 0.6, 0.5])
    assert np.isnan(centred(np.full(3, np.nan), 0.5)).all()
