"""Against other packages or closed forms, and the smallest visible difference against the power of McNemar's test."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bftembed.bench.scoring.proportions import discordant, mcnemar, paired_shares, smallest_visible, visible, wilson
from bftembed.errors import InputError

PAIRS = st.lists(st.tuples(st.booleans(), st.booleans()), max_size=60)


@given(st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_is_that_of_scipy(drawn):
    right, n = drawn
    expected = stats.binomtest(right, n).proportion_ci(method="wilson")
    low, high = wilson(right, n)
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert 0 <= low <= right / n <= high <= 1


@given(PAIRS)
def test_mcnemar_is_the_sign_test_of_the_discordant_items(pairs):
    first, second = [a for a, _ in pairs], [b for _, b in pairs]
    one, two = discordant(first, second)
    expected = stats.binomtest(one, one + two).pvalue if one + two else 1.0
    assert mcnemar(first, second) == pytest.approx(expected)
    assert mcnemar(second, first) == mcnemar(first, second)
    assert mcnemar(first, first) == 1
    assert (one - two) / max(len(pairs), 1) == pytest.approx(np.mean(first or [0]) - np.mean(second or [0]))


@given(PAIRS.filter(bool))
def test_the_interval_of_a_difference_is_that_of_a_table_with_half_an_item_more_in_each_cell(pairs):
    first, second = [a for a, _ in pairs], [b for _, b in pairs]
    differences = np.array([float(a) - float(b) for a, b in pairs] * 2 + [1, -1, 0, 0])  # twice all, and one of each
    error = differences.std() / np.sqrt(len(differences) / 2)
    found = paired_shares(first, second)
    assert found.mean == pytest.approx(np.mean(first) - np.mean(second))
    expected = stats.norm(differences.mean(), error).interval(0.95)
    assert (found.low, found.high) == pytest.approx(np.clip(expected, -1, 1))
    assert found.p_value == mcnemar(first, second)
    other = paired_shares(second, first)
    assert (other.low, other.high) == pytest.approx((-found.high, -found.low))


def test_the_interval_of_a_difference_holds_it_in_95_per_cent():
    """Of 150 items with a true difference of 0.1; limits hold 997 of 1,000 outcomes of what keeps to its word."""
    rng, held = np.random.default_rng(3), 0
    for _ in range(600):
        drawn = rng.choice(4, 150, p=[0.2, 0.1, 0.3, 0.4])
        found = paired_shares(np.isin(drawn, [0, 2]), np.isin(drawn, [1, 2]))
        held += found.low <= 0.1 <= found.high
    assert abs(held / 600 - 0.95) < 3 * np.sqrt(0.05 * 0.95 / 600)


def test_no_items_have_no_difference():
    assert np.isnan(paired_shares([], [])).all()


def test_the_factor_is_that_of_80_per_cent_power():
    assert visible(1.0) == pytest.approx(2.8015852)
    assert stats.norm.sf(stats.norm.isf(0.005), loc=visible(1.0, power=0.9, level=0.01)) == pytest.approx(0.9)


@pytest.mark.parametrize(("n", "points"), [(500, 5.6), (1273, 3.5), (4183, 1.9), (100, 12.5)])
def test_what_known_sets_can_see(n, points):
    assert 100 * smallest_visible(0.2, n) == pytest.approx(points, abs=0.05)


def test_mcnemar_sees_the_smallest_visible_difference_in_some_four_of_five_cases():
    """A test that is exact is a little conservative, so it sees it somewhat less often."""
    n, share, rng = 1500, 0.2, np.random.default_rng(7)
    difference = smallest_visible(share, n)
    found = 0
    for _ in range(400):
        both = rng.multinomial(n, [(share + difference) / 2, (share - difference) / 2, 1 - share])
        found += stats.binomtest(both[0], both[0] + both[1]).pvalue < 0.05
    assert 0.7 < found / 400 < 0.85


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: wilson(0, 0), "at least one item"),
        (lambda: wilson(3, 2), "got 3 of 2"),
        (lambda: mcnemar([True], [True, False]), "one has 1 and the other 2"),
        (lambda: smallest_visible(1.2, 10), "got 1.2 of 10"),
        (lambda: smallest_visible(0.2, 0), "at least one item"),
    ],
)
def test_what_is_no_share_is_refused(call, words):
    with pytest.raises(InputError, match=words):
        call()
