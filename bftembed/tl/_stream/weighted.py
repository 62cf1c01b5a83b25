"""Numba kernels of cell vectors: what each row holds, its gene weights, their weighted sum.

The kernels release the GIL and work on blocks of rows that a thread pool hands out. Numba's own
``prange`` is not used: without TBB its threading layers either abort when two Python threads enter
them at once or cannot survive a fork, and a reader, a writer or Dask may call from any thread.

Each number of a result is computed from its own row alone, in column order, with the same
operations whatever the block: that is what makes a cell's embedding independent of its neighbours.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from copy import copy
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from bftembed.expression.kernels import blocks, compiled, floats, n_threads, to_per_10k
from bftembed.expression.values import COUNTS_PER_CELL
from bftembed.tl._stream.contrast import depart, sum_levels
from bftembed.tl._stream.panel_sum import PANEL_COLUMNS, sum_panel

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

    from bftembed.tl._stream.contrast import Contrast


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

    Its threads begin when it is entered; before, it can be sent to another process.

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
        self.normalize = normalize
        self._terms = None if contrast is None else contrast.terms
        self._n = 1 if contrast is None else contrast.n
        self._base = np.zeros((1, self.dim), dtype=np.float32) if contrast is None else contrast.base
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
        self._n_threads = n_threads()

    def __enter__(self) -> Self:
        self.pool = ThreadPoolExecutor(self._n_threads, thread_name_prefix="bftembed-cells")
        return self

    def alone(self) -> WeightedSum:
        """The same for one thread: with the same tables, and nothing else shared. To be entered."""
        mine = copy(self)
        mine._n_threads = 1
        return mine

    def __exit__(self, *_: object) -> None:
        self.pool.shutdown(cancel_futures=True)

    def levels(
        self, chunk: csr_matrix, known: NDArray[np.bool_], *, totals: NDArray[np.float64] | None
    ) -> NDArray[np.float64]:
        """Counts per 10,000 of the rows on the columns `known`; without `totals` the values are log-normalised."""
        if totals is not None and known.all():
            return np.where(totals > 0, COUNTS_PER_CELL, 0.0)
        out, factors, data = np.empty(chunk.shape[0]), to_per_10k(chunk.shape[0], totals), floats(chunk.data)

        def work(rows: slice) -> None:
            indptr = chunk.indptr[rows.start : rows.stop + 1]
            sum_levels(data, chunk.indices, indptr, factors[rows], known, totals is None, out[rows])

        list(self.pool.map(work, blocks(chunk.shape[0])))
        return out

    def embed(
        self,
        chunk: csr_matrix,
        out: NDArray[np.float32],
        *,
        batches: NDArray[np.intp] | None = None,
        totals: NDArray[np.float64] | None = None,
        log: bool = False,
        binary: bool = False,
    ) -> None:
        """Write the vectors of the rows; NaN where no value falls on a gene with a vector.

        Parameters
        ----------
        chunk
            Non-negative finite values, each column once and in order (see `bftembed.expression.kernels.inspected`).
        out
            float32 (rows, d), C-contiguous.
        batches
            For a contrast: number of the batch of each row, (rows,).
        totals
            Scale each row from this total to 10,000; None uses the values as they are.
        log
            Weights are ``log(1 + value)`` of the (scaled) values.
        binary
            Weights are 1 where the value is not zero.
        """
        data = (chunk.data != 0).astype(np.float32) if binary else floats(chunk.data)
        factors = to_per_10k(chunk.shape[0], totals)
        # Kept from chunk to chunk: fresh pages for every block would cost more than the arithmetic in it.
        # One more than the entries, since the last write of `_weigh` may be one that is not kept.
        pieces = list(blocks(chunk.shape[0]))
        if self._scratch[0].size < data.size + len(pieces):
            size = int(1.2 * (data.size + len(pieces)))
            self._scratch = np.empty(size, dtype=np.float32), np.empty(size, dtype=np.int32)

        def work(number: int) -> None:
            rows = pieces[number]
            indptr = chunk.indptr[rows.start : rows.stop + 1]
            place = slice(indptr[0] + number, indptr[-1] + number + 1)
            weights, used = self._scratch[0][place], self._scratch[1][place]
            ends = np.empty(indptr.size, dtype=np.int64)
            _weigh(data, chunk.indices, indptr, factors[rows], self._slots, weights, used, ends)
            weights = weights[: ends[-1]]
            if log:
                np.log1p(weights, out=weights)
            mine = np.zeros(ends.size - 1, dtype=np.intp) if batches is None else batches[rows]
            if self._terms is None:
                _share(weights, ends)
            else:
                depart(weights, used, ends, mine, self._terms, 1 / self._n)
            for left, panel in zip(range(0, self.dim, PANEL_COLUMNS), self._panels, strict=True):
                columns = slice(left, left + PANEL_COLUMNS)
                sum_panel(weights, used, ends, panel, self._base[:, columns], mine, out[rows, columns])
            if self.normalize:
                _normalize(out[rows])

        list(self.pool.map(work, range(len(pieces))))
