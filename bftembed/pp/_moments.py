"""Mean and variance of each gene in one pass over the cells, by batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from bftembed.expression.kernels import compiled, floats, n_threads, to_per_10k

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

_PIECE_ROWS = 64  # fewer take less time than the array of all genes that each piece has
_ROUNDING = 1e-12  # of an s.d., relative to the mean


class Moments:
    """Mean and sum of squared deviations of each column, put together from pieces.

    Pieces are merged by the formulas of Chan, Golub & LeVeque (1983, The American Statistician 37:242): no difference
    of large sums is taken, so that a small variance beside a large mean keeps its digits.

    Parameters
    ----------
    n_columns
        Number of columns.
    """

    def __init__(self, n_columns: int) -> None:
        self.n = 0
        self.mean, self._squares = np.zeros(n_columns), np.zeros(n_columns)

    def merge(self, n: int, mean: NDArray[np.float64], squares: NDArray[np.float64]) -> None:
        """Take in `n` rows of this mean and sum of squared deviations."""
        if not n:
            return
        total, shift = self.n + n, mean - self.mean
        self.mean = self.mean + shift * (n / total)
        self._squares = self._squares + squares + shift**2 * (self.n * n / total)
        self.n = total

    def include(self, other: Moments) -> None:
        """Take in all rows of another one."""
        self.merge(other.n, other.mean, other._squares)

    @property
    def variance(self) -> NDArray[np.float64]:
        """Of a sample: divided by n - 1; zero where nothing but the rounding of equal values is left."""
        variance = self._squares / max(self.n - 1, 1)
        return np.where(variance > (_ROUNDING * self.mean) ** 2, variance, 0.0)


class GeneMoments:
    """Moments of expression, logged and not, and detection of each gene, of cells of one batch."""

    def __init__(self, n_genes: int) -> None:
        self.logs, self.levels = Moments(n_genes), Moments(n_genes)
        self._detected = np.zeros(n_genes)

    def merge(self, n: int, sums: NDArray[np.float64]) -> None:
        """Take in `n` cells with what `_sum` found of them."""
        _, detected, mean, squares, level, level_squares = sums.T
        self._detected += detected
        self.logs.merge(n, mean, squares)
        self.levels.merge(n, level, level_squares)

    def include(self, other: GeneMoments) -> None:
        """Take in all cells of another one."""
        self._detected += other._detected
        self.logs.include(other.logs)
        self.levels.include(other.levels)

    @property
    def detection(self) -> NDArray[np.float64]:
        """Share of the cells in which the gene is not zero."""
        return self._detected / max(self.logs.n, 1)


def add_cells(
    moments: list[GeneMoments],
    rows: csr_matrix,
    totals: NDArray[np.float64] | None,
    batches: NDArray[np.intp],
    pool: Executor,
) -> None:
    """Take more cells into the moments of their batches.

    Parameters
    ----------
    moments
        Of each batch.
    rows
        Counts, or log-normalised values.
    totals
        Of the counts of each row; None for log-normalised values.
    batches
        Number of the batch of each row, from 0.
    """
    factors, data = to_per_10k(rows.shape[0], totals), floats(rows.data)
    if not rows.shape[0]:
        return
    order = np.argsort(batches, kind="stable")
    starts = np.flatnonzero(np.diff(batches[order], prepend=-1))
    pieces = [piece for batch in np.split(order, starts[1:]) for piece in np.array_split(batch, _n_pieces(len(batch)))]

    def work(piece: NDArray[np.intp]) -> NDArray[np.float64]:
        sums = np.zeros((rows.shape[1], 6))
        _sum(data, rows.indices, rows.indptr, piece, factors, totals is None, sums)
        return sums

    # As many pieces at a time as threads: each has an array of the size of all genes.
    for first in range(0, len(pieces), n_threads()):
        some = pieces[first : first + n_threads()]
        for piece, sums in zip(some, pool.map(work, some), strict=True):
            moments[batches[piece[0]]].merge(len(piece), sums)


def _n_pieces(n_rows: int) -> int:
    """Pieces of the rows of a batch, one for a thread where there is enough to do for each."""
    return min(n_threads(), max(1, n_rows // _PIECE_ROWS))


@compiled  # pragma: no cover (runs as machine code)
def _sum(  # noqa: PLR0917
    data: NDArray[np.floating],
    indices: NDArray[np.integer],
    indptr: NDArray[np.integer],
    rows: NDArray[np.intp],
    factors: NDArray[np.float64],
    is_log: bool,  # noqa: FBT001
    out: NDArray[np.float64],
) -> None:
    """Entries, entries above zero, mean and squared deviations of logs, and of levels, of `rows` into `out`."""
    n = rows.size
    for row in rows:
        for i in range(np.uint64(indptr[row]), np.uint64(indptr[row + 1])):
            gene, value = np.uint64(indices[i]), data[i] * factors[row]
            out[gene, 0] += 1
            out[gene, 1] += value > 0
            out[gene, 2] += value if is_log else np.log1p(value)
            out[gene, 4] += np.expm1(value) if is_log else value
    for number in range(out.shape[0]):
        out[number, 2] /= n
        out[number, 4] /= n
        out[number, 3] = (n - out[number, 0]) * out[number, 2] ** 2
        out[number, 5] = (n - out[number, 0]) * out[number, 4] ** 2
    for row in rows:
        for i in range(np.uint64(indptr[row]), np.uint64(indptr[row + 1])):
            gene, value = np.uint64(indices[i]), data[i] * factors[row]
            out[gene, 3] += ((value if is_log else np.log1p(value)) - out[gene, 2]) ** 2
            out[gene, 5] += ((np.expm1(value) if is_log else value) - out[gene, 4]) ** 2


def dispersions(mean: NDArray[np.float64], variance: NDArray[np.float64], *, n_bins: int = 20) -> NDArray[np.float64]:
    """Dispersion of each gene, standardised among genes of a similar mean: Seurat's, as `scanpy` computes it.

    Logarithm of variance / mean, less its mean and divided by its s.d. in the bin of ``log(1 + mean)``; in a bin of one
    gene it is 1. See `scanpy.pp.highly_variable_genes` with ``flavor="seurat"`` (Satija et al. 2015, Nat Biotechnol
    33:495).

    Parameters
    ----------
    mean, variance
        (n_genes,) of expression that is not logged.
    n_bins
        Number of bins of equal width.

    Returns
    -------
    numpy.ndarray, float64 (n_genes,)
        NaN for genes that do not vary.
    """
    mean = np.where(mean == 0, 1e-12, mean)
    with np.errstate(divide="ignore"):
        spread = pd.Series(np.where(variance > 0, np.log(variance / mean), np.nan))
    bins = spread.groupby(pd.cut(np.log1p(mean), bins=n_bins, labels=False))
    centre, width = bins.transform("mean"), bins.transform("std")
    alone = width.isna()
    width[alone], centre[alone] = centre[alone], 0.0
    return np.asarray((spread - centre) / width)
