from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import sparse

from bftembed.expression import kernels, row_flags, values
from bftembed.expression.kernels import compiled, inspected


@pytest.mark.parametrize(
    ("row", "flags"),
    [
        ([0, 0], 0),
        ([1, 0], values.NONZERO),
        ([0, 2.5], values.NONZERO | values.FRACTION),
        ([31, 1], values.NONZERO | values.LARGE),
        ([30, 1], values.NONZERO),
        ([-1, 0], values.NONZERO | values.NEGATIVE),
        ([np.inf, 0], values.NONZERO | values.LARGE | values.NONFINITE),
        ([1e300, 0], values.NONZERO | values.LARGE | values.NONFINITE),
        ([-np.inf, 0], values.NONZERO | values.NEGATIVE | values.NONFINITE),
    ],
)
def test_inspect_says_what_a_row_holds(row, flags):
    with ThreadPoolExecutor(1) as pool:
        _, totals, found = inspected(sparse.csr_matrix([row], dtype=np.float64), pool)
    assert found[0] == flags
    assert totals[0] == np.sum(row)


def test_inspect_finds_nan_unsorted_repeated_and_outlying_columns():
    rows = sparse.csr_matrix((4, 3), dtype=np.float32)
    rows.data = np.array([np.nan, 1, 1, 1, 1, 1], dtype=np.float32)
    rows.indices, rows.indptr = np.array([0, 2, 1, 1, 1, 3], dtype=np.int32), np.array([0, 1, 3, 5, 6], dtype=np.int32)
    with ThreadPoolExecutor(1) as pool:
        _, flags = kernels._inspected(rows, pool)
    assert flags[0] & values.NONFINITE
    assert [bool(flag & values.UNSORTED) for flag in flags] == [False, True, True, False]
    assert [bool(flag & values.OUTSIDE) for flag in flags] == [False, False, False, True]


def test_threads_follow_the_environment_of_numba(monkeypatch):
    monkeypatch.setattr(kernels.numba.config, "NUMBA_NUM_THREADS", 3)
    assert kernels.n_threads() == 3


@given(
    hnp.arrays(
        np.float64,
        (7, 4),
        elements=st.sampled_from([0, 1, 30, 31, 0.5, 30.5, -1, -0.5, np.nan, np.inf, -np.inf, 1e39, 3e38]),
    ),
    st.booleans(),
)
def test_the_kernel_sees_in_rows_what_numpy_sees(x, is_shuffled):
    rows = sparse.csr_matrix(x)
    if is_shuffled:
        rows.indices = rows.indices[::-1].copy()
        rows.indices[rows.indices == 3] = 9
    with np.errstate(invalid="ignore", over="ignore"), ThreadPoolExecutor(2) as pool:
        np.testing.assert_array_equal(kernels._inspected(rows, pool)[1], row_flags(rows))


def test_each_column_is_there_once_and_the_rows_given_stay_as_they_are():
    rows = sparse.csr_matrix((2, 3), dtype=np.float32)
    rows.data, rows.indices = np.array([1, 2, 4, 8], dtype=np.float32), np.array([2, 0, 2, 1], dtype=np.int32)
    rows.indptr = np.array([0, 3, 4], dtype=np.int32)
    with ThreadPoolExecutor(2) as pool:
        found, totals, _ = inspected(rows, pool)
        assert inspected(found, pool)[0] is found
    np.testing.assert_array_equal(found.toarray(), [[2, 0, 5], [0, 8, 0]])
    assert found.indices.tolist() == [0, 2, 1]
    assert rows.indices.tolist() == [2, 0, 2, 1]
    assert totals.tolist() == [7, 8]


def test_without_a_place_for_the_cache_the_kernels_are_compiled_anew(monkeypatch):
    njit = kernels.numba.njit

    def no_locator(*, cache=False, **options):
        if not cache:
            return njit(**options)

        def refuse(function):
            msg = f"cannot cache function {function.__name__!r}: no locator available"
            raise RuntimeError(msg)

        return refuse

    monkeypatch.setattr(kernels.numba, "njit", no_locator)
    rows = sparse.csr_matrix([[1.5, 0]])
    totals, flags = np.empty(1), np.empty(1, dtype=np.uint8)
    compiled(kernels._inspect.py_func)(rows.data, rows.indices, rows.indptr, 2, totals, flags)
    assert (totals[0], flags[0]) == (1.5, values.NONZERO | values.FRACTION)
