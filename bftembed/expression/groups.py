"""Mean and variance of each gene by group of cells, in one pass."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bftembed.expression.values import normalised_chunks

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bftembed.expression.parts import Matrix


def group_moments(
    matrix: Matrix, group: NDArray[np.intp], n_groups: int, values: str
) -> tuple[NDArray[np.intp], NDArray[np.float64], NDArray[np.float64], str, int]:
    """Means and variances of log-normalised values by group of cells, in one pass over chunks of rows.

    Parameters
    ----------
    matrix
        Counts or log-normalised values, in memory, on disk or lazy.
    group
        (n_obs,) group of each cell, -1 for a cell of none.
    n_groups
        How many there are.
    values
        ``"auto"``, ``"counts"`` or ``"lognorm"``; see `normalised_chunks`.

    Returns
    -------
    sizes
        (n_groups,) cells that are not empty.
    means, variances
        (n_groups, n_vars) float64, NaN where there are too few cells.
    kind
        ``"counts"`` or ``"lognorm"``.
    n_empty
        Cells without a value.

    Raises
    ------
    InputError
        If the values are neither counts nor log-normalised.
    """
    from scipy.sparse import csr_matrix

    sizes, kind, n_empty = np.zeros(n_groups, dtype=np.intp), "", 0
    sums, squares = np.zeros((2, n_groups, matrix.x.shape[1]))
    for start, rows, found in normalised_chunks(matrix, values=values):
        kind, mine = found, group[start : start + rows.shape[0]]
        used = mine >= 0
        empty = np.diff(rows.indptr) == 0
        n_empty += int((used & empty).sum())
        used &= ~empty
        cells = np.flatnonzero(used)
        belongs = csr_matrix((np.ones(len(cells)), (mine[cells], cells)), shape=(n_groups, rows.shape[0]))
        sizes += np.bincount(mine[cells], minlength=n_groups)
        sums += (belongs @ rows).toarray()
        squares += (belongs @ rows.multiply(rows)).toarray()
    with np.errstate(invalid="ignore", divide="ignore"):
        means = sums / sizes[:, None]
        variances = np.maximum(squares - sums * means, 0) / (sizes[:, None] - 1)
    return sizes, means, variances, kind, n_empty
