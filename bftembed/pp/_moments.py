"""Mean and variance of each gene in one pass over the cells, by batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

_ROUNDING = 1e-12  # of an s.d., relative to the mean


class Moments:
    """Mean and sum of squared deviations of each column, of values given in pieces.

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

    def add(self, rows: csr_matrix) -> None:
        """Take in more rows, float64."""
        n, columns = rows.shape
        if not n:
            return
        filled = np.bincount(rows.indices, minlength=columns)
        mean = np.bincount(rows.indices, rows.data, minlength=columns) / n
        deviations = rows.data - mean[rows.indices]
        squares = np.bincount(rows.indices, deviations * deviations, minlength=columns) + (n - filled) * mean**2
        self.merge(n, mean, squares)

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
