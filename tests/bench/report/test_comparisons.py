import math

import numpy as np
import pytest

from bftembed.bench.report.comparisons import BOOTSTRAP, MCNEMAR, NONE, compare_all, shared_test
from bftembed.bench.report.index import Index
from bftembed.bench.scoring.proportions import mcnemar
from bftembed.bench.scoring.statistics import holm, paired_bootstrap


@pytest.mark.parametrize("values", [[[0.8]], [[0.8, 0.8], [0.8, 0.8]]], ids=["one test", "repeated cross-validation"])
def test_draws_of_the_same_items_are_compared(values, result, score):
    rng = np.random.default_rng(0)
    draws = [rng.normal(mean, 0.02, 200).tolist() for mean in (0.8, 0.7)]
    draws[0][3] = None
    a = result(main=score(values=values), draws=draws[0])
    b = result(embedding="b", main=score(values=(np.array(values) - 0.1).tolist()), draws=draws[1])
    expected = paired_bootstrap(a.main.mean - b.main.mean, np.array(draws[0], dtype=float), np.array(draws[1]))
    assert shared_test(a, b) == (BOOTSTRAP, expected)


def test_shares_of_right_items_are_compared_by_mcnemar(result):
    rng = np.random.default_rng(1)
    right = rng.random((2, 60)) < [[0.8], [0.5]]
    a, b = (result(embedding=name, right=each.tolist()) for name, each in zip("ab", right, strict=True))
    test, difference = shared_test(a, b)
    assert test == MCNEMAR
    assert difference.mean == pytest.approx(right[0].mean() - right[1].mean())
    assert difference.p_value == mcnemar(*right)
    assert shared_test(a, result(embedding="b"))[0] == BOOTSTRAP  # one of them does not say which were right


def test_where_no_test_is_possible_there_is_a_difference_alone(result, score):
    single = {"main": score(0.8, values=[[0.8]]), "draws": None}
    test, difference = shared_test(result(**single), result(embedding="b", **single | {"main": score(values=[[0.6]])}))
    assert (test, difference.mean) == (NONE, 0)
    assert math.isnan(difference.p_value)
    assert math.isnan(shared_test(result(), result(main=score(metric="accuracy")))[1].mean)
    assert math.isnan(
        shared_test(result(main=score(None, values=[[None]])), result(main=score(values=[[0.1]])))[1].mean
    )


def test_p_values_are_adjusted_over_the_tasks_of_a_pair(result):
    tasks = ["toy.one", "toy.three", "toy.two"]
    results = [result(task, name, mean) for task in tasks for name, mean in (("a", 0.8), ("b", 0.79), ("c", 0.6))]
    pairs = compare_all(Index(results))
    assert [(pair.first, pair.second) for pair in pairs] == [("a", "b"), ("a", "c"), ("b", "c")]
    for pair in pairs:
        assert [row.info.name for row in pair.rows] == tasks
        assert [row.adjusted for row in pair.rows] == holm([row.difference.p_value for row in pair.rows])
        for row in pair.rows:
            assert row.better == (pair.first if row.adjusted < 0.05 else "")
    assert pairs[1].wins("a") == 3


def test_better_is_lower_where_lower_is_better(result, info):
    error = info("toy.error", main_score="mse", higher_is_better=False)
    (pair,) = compare_all(Index([result(info=error, mean=0.2), result(info=error, embedding="b", mean=0.8)]))
    assert pair.rows[0].difference.mean < 0
    assert pair.rows[0].better == "a"
    assert (pair.wins("a"), pair.wins("b")) == (1, 0)


def test_shared_results_are_compared_where_own_items_differ(mixed):
    rows = {(row.info.name, pair.first, pair.second): row for pair in compare_all(Index(mixed)) for row in pair.rows}
    assert rows["toy.parity", "a", "b"].subset == "own"
    assert rows["toy.parity", "a", "c"].subset == "shared"
    assert ("toy.error", "a", "c") not in rows


def test_results_on_other_items_or_versions_are_not_compared(result, info):
    assert compare_all(Index([result(), result(embedding="b", items_digest="other")])) == []
    assert compare_all(Index([result(), result(embedding="b", info=info(version=2))])) == []
    assert compare_all(Index([result(), result(embedding="b", fast=True)])) == []
