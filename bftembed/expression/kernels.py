"""What each row of a sparse matrix holds, found by all processors; imports numba, which takes a second."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import numba
import numpy as np

from bftembed.expression.values import (
    COUNTS_PER_CELL,
    FRACTION,
    LARGE,
    LARGEST_LOG,
    NEGATIVE,
    NONFINITE,
    NONZERO,
    OUTSIDE,
    UNSORTED,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Executor

    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

BLOCK_ROWS = 512
_FLOAT32_MAX = float(np.finfo(np.float32).max)


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile `function` with numba, kept on disk where a directory can be written.

    Numba tries ``NUMBA_CACHE_DIR``, then ``__pycache__``, then the user cache, and raises where it can
    write to none of them. ``contract`` fuses multiply and add, ``reassoc`` lets a sum run in vector lanes;
    both give an order of operations that depends on the length of the row and on nothing else.
    """
    options: Any = {"nogil": True, "error_model": "numpy", "fastmath": {"contract", "reassoc"}}
    with contextlib.suppress(RuntimeError):
        return numba.njit(cache=True, **options)(function)  # type: ignore[no-any-return]
    return numba.njit(**options)(function)  # type: ignore[no-any-return]


@compiled  # pragma: no cover (runs as machine code)
def _inspect(  # noqa: PLR0917 (numba has no keyword-only arguments)
    data: NDArray[Any],
    indices: NDArray[Any],
    indptr: NDArray[Any],
    n_columns: int,
    totals: NDArray[np.float64],
    flags: NDArray[np.uint8],
) -> None:
    for row in range(totals.size):
        values, columns = data[indptr[row] : indptr[row + 1]], indices[indptr[row] : indptr[row + 1]]
        total = 0.0
        # Counted, not or-ed: integer sums are what the compiler turns into vector instructions.
        nonzero = fraction = large = negative = finite = unsorted = outside = 0
        for i in range(values.size):
            total += values[i]
            nonzero += values[i] != 0
            fraction += values[i] != np.floor(values[i])
            large += values[i] > LARGEST_LOG
            negative += values[i] < 0
            finite += abs(values[i]) <= _FLOAT32_MAX
        for i in range(columns.size):
            outside += (columns[i] < 0) | (columns[i] >= n_columns)
        for i in range(1, columns.size):
            unsorted += columns[i] <= columns[i - 1]
        totals[row] = total
        flags[row] = (
            NONZERO * (nonzero > 0)
            | FRACTION * (fraction > 0)
            | LARGE * (large > 0)
            | NEGATIVE * (negative > 0)
            | NONFINITE * (finite < values.size)
            | UNSORTED * (unsorted > 0)
            | OUTSIDE * (outside > 0)
        )


def inspected(rows: csr_matrix, pool: Executor) -> tuple[csr_matrix, NDArray[np.float64], NDArray[np.uint8]]:
    """The rows with each column once and in order, their totals, and their flags as `row_flags` gives them.

    Sums run in column order, and twice the same column is one value: so that every container of a matrix agrees. Rows
    that are not so already are copied.
    """
    totals, flags = _inspected(rows, pool)
    if (flags & UNSORTED).any():
        rows = rows.copy()
        rows.sum_duplicates()
        totals, flags = _inspected(rows, pool)
    return rows, totals, flags


def _inspected(rows: csr_matrix, pool: Executor) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    totals, flags = np.empty(rows.shape[0]), np.empty(rows.shape[0], dtype=np.uint8)
    data = floats(rows.data)

    def work(block: slice) -> None:
        indptr = rows.indptr[block.start : block.stop + 1]
        _inspect(data, rows.indices, indptr, rows.shape[1], totals[block], flags[block])

    list(pool.map(work, blocks(rows.shape[0])))
    return totals, flags


def n_threads() -> int:
    """Threads to compute with: ``NUMBA_NUM_THREADS``, else the processors this process may use."""
    return int(numba.config.NUMBA_NUM_THREADS)  # type: ignore[attr-defined]


def blocks(n_rows: int) -> Iterator[slice]:
    """Consecutive rows, as many as one thread takes at a time."""
    for start in range(0, n_rows, BLOCK_ROWS):
        yield slice(start, min(start + BLOCK_ROWS, n_rows))


def floats(data: NDArray[Any]) -> NDArray[Any]:
    """Float32 as it is, every other type as float64: two versions of each kernel to compile instead of ten."""
    return data if data.dtype == np.dtype(np.float32) else data.astype(np.float64)


def to_per_10k(n_rows: int, totals: NDArray[np.float64] | None) -> NDArray[np.float64]:
    """Factor of each row that brings its total to 10,000; 1 for an empty row, and for all where there are no totals."""
    factors = np.ones(n_rows)
    if totals is not None:
        np.divide(COUNTS_PER_CELL, totals, out=factors, where=totals > 0)
    return factors
