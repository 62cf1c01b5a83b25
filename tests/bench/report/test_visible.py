import numpy as np
import pytest

from bftembed.bench.report.visible import smallest_difference, visible_between
from bftembed.bench.scoring.proportions import smallest_visible, visible


def test_of_shares_it_is_by_the_items_that_one_alone_has_right(result):
    one, other = ([True] * n + [False] * (100 - n) for n in (60, 40))
    found = visible_between(result(right=one), result(embedding="b", right=other))
    assert found == pytest.approx(smallest_visible(0.2, 100))


def test_of_replicates_it_is_by_those_of_the_difference(result):
    rng = np.random.default_rng(0)
    first = rng.normal(0.7, 0.05, 300)
    second = first + rng.normal(0, 0.01, 300)
    draws = second.tolist()
    draws[0] = None
    found = visible_between(result(draws=first.tolist()), result(embedding="b", draws=draws))
    assert found == pytest.approx(visible((first - second)[1:].std(ddof=1)))
    assert visible_between(result(draws=None), result(embedding="b")) is None


def test_a_column_has_the_median_over_its_pairs_on_the_same_items(result):
    shares = {"a": 50, "b": 52, "c": 70, "elsewhere": 0}
    results = {
        name: result(embedding=name, right=[True] * n + [False] * (100 - n), items_digest=name[4:])
        for name, n in shares.items()
    }
    expected = [smallest_visible(share, 100) for share in (0.02, 0.18, 0.2)]
    assert smallest_difference(results) == pytest.approx(np.median(expected))


def test_one_alone_is_compared_with_another_that_is_independent(result):
    right = [True] * 30 + [False] * 70
    assert smallest_difference({"a": result(right=right)}) == pytest.approx(smallest_visible(2 * 0.3 * 0.7, 100))
    agree = {name: result(embedding=name, right=right) for name in "ab"}
    assert smallest_difference(agree) == smallest_difference({"a": result(right=right)})
    draws = np.random.default_rng(1).normal(0.5, 0.04, 500)
    expected = visible(np.sqrt(2) * draws.std(ddof=1))
    assert smallest_difference({"a": result(draws=draws.tolist())}) == pytest.approx(expected)


def test_without_replicates_nothing_can_be_said(result):
    assert smallest_difference({"a": result(draws=None), "b": result(embedding="b", draws=None)}) is None
    assert smallest_difference({}) is None
