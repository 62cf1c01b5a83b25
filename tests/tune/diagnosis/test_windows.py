from itertools import groupby

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bftembed.tune.diagnosis.windows import longest_runs, runs, window_bounds


@given(n=st.integers(1, 300), window=st.integers(1, 100), stride=st.integers(1, 100))
def test_windows_cover_the_text_and_the_last_is_flush_with_its_end(n, window, stride):
    begin, size = window_bounds(n, window, stride)
    assert size == min(window, n)
    expected = [start for start in range(0, n, stride) if start + size <= n]
    if expected[-1] + size < n:
        expected.append(n - size)
    assert begin.tolist() == expected
    if stride <= window:
        covered = {token for start in begin for token in range(start, start + size)}
        assert covered == set(range(n))


def test_a_short_text_has_one_window_and_an_empty_one_none():
    begin, size = window_bounds(5, 256, 64)
    assert (begin.tolist(), size) == ([0], 5)
    begin, size = window_bounds(0, 256, 64)
    assert (begin.tolist(), size) == ([], 0)


@given(arrays(bool, st.tuples(st.integers(0, 6), st.integers(0, 40))))
def test_longest_runs_equal_a_walk_over_the_tokens(low):
    expected = [max((len(list(run)) for value, run in groupby(row) if value), default=0) for row in low.tolist()]
    assert longest_runs(low).tolist() == expected


@given(arrays(bool, st.integers(0, 60)))
def test_runs_are_maximal_and_hold_every_low_token(low):
    found = runs(low)
    marked = np.zeros(len(low), dtype=int)
    for first, last in found:
        assert low[first:last].all()
        assert first == 0 or not low[first - 1]
        assert last == len(low) or not low[last]
        marked[first:last] += 1
    np.testing.assert_array_equal(marked, low)
