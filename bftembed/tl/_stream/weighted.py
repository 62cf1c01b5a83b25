"""Numba kernels of cell vectors: what each row holds, its gene weights, their weighted sum.

The kernels release the GIL and work on blocks of rows that a thread pool hands out. Numba's own
``prange`` is not used: without TBB its threading layers either abort when two Python threads enter
them at once or cannot survive a fork, and a reader, a writer or Dask may call from any thread.

Each number of a result is computed from its own row alone, in column order, with the same
operations whatever the block: that is what makes a cell's embedding independent of its neighbours.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Self

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
from bftembed.tl._stream.contrast import depart, sum_levels
from bftembed.tl._stream.panel_sum import PANEL_COLUMNS, compiled, sum_panel

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

    from bftembed.tl._stream.contrast import Contrast

BLOCK_ROWS = 512
_FLOAT32_MAX = float(np.finfo(np.float32).max)


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


@compiled  # pragma: no cover (runs as machine code)
def _weigh(  # noqa: PLR0917
    data: NDArray[Any],
    indices: NDArray[Any],
    indptr: NDArray[Any],
    factors: NDArray[np.float64],
    slots: NDArray[np.int32],
    weights: NDArray[np.float32],
    used: NDArray[np.int32],
    ends: NDArray[np.int64],
) -> None:
    # Unsigned, since numba would look at every signed index whether it counts from the end.
    n = np.uint64(0)
    ends[0] = 0
    for row in range(factors.size):
        factor = factors[row]
        for i in range(np.uint64(indptr[row]), np.uint64(indptr[row + 1])):
            # Written always, kept only when the gene has a vector: no branch for the processor to guess.
            weight, slot = np.float32(data[i] * factor), slots[np.uint64(indices[i])]
            weights[n] = weight
            used[n] = slot
            n += np.uint64((slot >= 0) & (weight > 0))
        ends[row + 1] = n


@compiled  # pragma: no cover (runs as machine code)
def _share(weights: NDArray[np.float32], ends: NDArray[np.int64]) -> None:
    """Divide the weights by their row's sum, so that the sums that follow are means and cannot overflow."""
    for row in range(ends.size - 1):
        mine = weights[ends[row] : ends[row + 1]]
        total = 0.0
        for i in range(mine.size):
            total += np.float64(mine[i])
        for i in range(mine.size):
            mine[i] = np.float32(mine[i] / total)


@compiled  # pragma: no cover (runs as machine code)
def _normalize(out: NDArray[np.float32]) -> None:
    for row in range(out.shape[0]):
        squares = 0.0
        for j in range(out.shape[1]):
            squares += np.float64(out[row, j]) ** 2
        scale = np.float32(1 / np.sqrt(squares)) if squares > 0 else np.float32(1)
        for j in range(out.shape[1]):
            out[row, j] *= scale


class WeightedSum:
    """Expression-weighted means of gene vectors, or sums by contrast, for one chunk of cells at a time.

    Parameters
    ----------
    vectors
        float32 (n_columns, d). A row of NaN is a gene without a vector: it takes no part.
    normalize
        Scale each result to length 1.
    contrast
        Weigh by the departure from a reference, and divide by a constant instead of the sum of the weights.
    """

    def __init__(
        self, vectors: NDArray[np.float32], *, normalize: bool = False, contrast: Contrast | None = None
    ) -> None:
        known = ~np.isnan(vectors[:, 0])
        self.n_columns, self.dim = vectors.shape
        self.normalize, self._contrast = normalize, contrast
        self._base = None if contrast is None else contrast.base
        self._slots = np.where(known, np.cumsum(known) - 1, -1).astype(np.int32)
        # The last panel is filled up with zeros. All lie in one array of at least 8 MB, for which numpy asks
        # the system for large pages: fewer address look-ups in a kernel that jumps from gene to gene.
        n_known, n_panels = int(known.sum()), -(-self.dim // PANEL_COLUMNS)
        size = n_panels * n_known * PANEL_COLUMNS
        self._panels = np.zeros(max(size, 2 << 20), dtype=np.float32)[:size].reshape(n_panels, n_known, PANEL_COLUMNS)
        for panel, left in zip(self._panels, range(0, self.dim, PANEL_COLUMNS), strict=True):
            columns = vectors[known, left : left + PANEL_COLUMNS]
            panel[:, : columns.shape[1]] = columns
        self._scratch = np.empty(0, dtype=np.float32), np.empty(0, dtype=np.int32)
        self._pool = ThreadPoolExecutor(n_threads(), thread_name_prefix="bftembed-cells")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def inspect(self, chunk: csr_matrix) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
        """Row totals over all columns (float64), and flags of the rows, as `bftembed.expression.row_flags` gives."""
        totals, flags = np.empty(chunk.shape[0]), np.empty(chunk.shape[0], dtype=np.uint8)
        data = _floats(chunk.data)

        def work(rows: slice) -> None:
            indptr = chunk.indptr[rows.start : rows.stop + 1]
            _inspect(data, chunk.indices, indptr, self.n_columns, totals[rows], flags[rows])

        list(self._pool.map(work, _blocks(chunk.shape[0])))
        return totals, flags

    def levels(
        self, chunk: csr_matrix, known: NDArray[np.bool_], *, totals: NDArray[np.float64] | None
    ) -> NDArray[np.float64]:
        """Counts per 10,000 of the rows on the columns `known`; without `totals` the values are log-normalised."""
        out, factors, data = np.empty(chunk.shape[0]), _factors(chunk, totals), _floats(chunk.data)

        def work(rows: slice) -> None:
            indptr = chunk.indptr[rows.start : rows.stop + 1]
            sum_levels(data, chunk.indices, indptr, factors[rows], known, totals is None, out[rows])

        list(self._pool.map(work, _blocks(chunk.shape[0])))
        return out

    def embed(
        self,
        chunk: csr_matrix,
        out: NDArray[np.float32],
        *,
        start: int = 0,
        totals: NDArray[np.float64] | None = None,
        log: bool = False,
        binary: bool = False,
    ) -> None:
        """Write the vectors of the rows; NaN where no value falls on a gene with a vector.

        Parameters
        ----------
        chunk
            Non-negative finite values, columns in ascending order within each row (see `inspect`).
        out
            float32 (rows, d), C-contiguous.
        start
            Number of the first row among all cells.
        totals
            Scale each row from this total to 10,000; None uses the values as they are.
        log
            Weights are ``log(1 + value)`` of the (scaled) values.
        binary
            Weights are 1 where the value is not zero.
        """
        data = (chunk.data != 0).astype(np.float32) if binary else _floats(chunk.data)
        factors = _factors(chunk, totals)
        # Kept from chunk to chunk: fresh pages for every block would cost more than the arithmetic in it.
        # One more than the entries, since the last write of `_weigh` may be one that is not kept.
        blocks = list(_blocks(chunk.shape[0]))
        if self._scratch[0].size < data.size + len(blocks):
            size = int(1.2 * (data.size + len(blocks)))
            self._scratch = np.empty(size, dtype=np.float32), np.empty(size, dtype=np.int32)

        def work(number: int) -> None:
            rows = blocks[number]
            indptr = chunk.indptr[rows.start : rows.stop + 1]
            place = slice(indptr[0] + number, indptr[-1] + number + 1)
            weights, used = self._scratch[0][place], self._scratch[1][place]
            ends = np.empty(indptr.size, dtype=np.int64)
            _weigh(data, chunk.indices, indptr, factors[rows], self._slots, weights, used, ends)
            weights = weights[: ends[-1]]
            if log:
                np.log1p(weights, out=weights)
            if self._contrast is None:
                _share(weights, ends)
            else:
                batches = self._contrast.batches[start + rows.start : start + rows.stop]
                depart(weights, used, ends, batches, self._contrast.terms, self._contrast.n)
            for left, panel in zip(range(0, self.dim, PANEL_COLUMNS), self._panels, strict=True):
                sum_panel(weights, used, ends, panel, out[rows, left : left + PANEL_COLUMNS])
            if self._base is not None:
                out[rows] += self._base[batches]
            if self.normalize:
                _normalize(out[rows])

        list(self._pool.map(work, range(len(blocks))))


def n_threads() -> int:
    """Threads to compute with: ``NUMBA_NUM_THREADS``, else the processors this process may use."""
    return int(numba.config.NUMBA_NUM_THREADS)  # type: ignore[attr-defined]


def _blocks(n_rows: int) -> Iterator[slice]:
    for start in range(0, n_rows, BLOCK_ROWS):
        yield slice(start, min(start + BLOCK_ROWS, n_rows))


def _factors(chunk: csr_matrix, totals: NDArray[np.float64] | None) -> NDArray[np.float64]:
    factors = np.ones(chunk.shape[0])
    if totals is not None:
        np.divide(COUNTS_PER_CELL, totals, out=factors, where=totals > 0)
    return factors


def _floats(data: NDArray[Any]) -> NDArray[Any]:
    """Float32 as it is, every other type as float64: two versions of each kernel to compile instead of ten."""
    return data if data.dtype == np.dtype(np.float32) else data.astype(np.float64)
