"""Sums of some columns of a matrix that may be on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bftembed.expression import default_chunk_rows, row_blocks

if TYPE_CHECKING:
    from numpy.typing import NDArray


def column_sums(matrix: Any, columns: NDArray[np.intp], *, chunk_size: int | None = None) -> NDArray[np.float64]:
    """Sum columns over all rows, a chunk of rows at a time, never making a sparse matrix dense.

    A matrix stored by columns (CSC) gives its columns instead, since reading rows of it means reading all of it.

    Parameters
    ----------
    matrix
        n_obs x n_vars: array, sparse matrix or array, backed or lazy.
    columns
        (k,) positions, ascending.
    chunk_size
        Rows read at a time; by default what keeps a chunk near 30 MB.

    Returns
    -------
    (k,) float64.
    """
    total, chosen = np.zeros(len(columns)), columns if len(columns) else slice(0)
    if getattr(matrix, "format", None) == "csc" or hasattr(matrix, "dask"):
        matrix, chosen = matrix[:, chosen], slice(None)
    for _, _, block in row_blocks(matrix, chunk_size or default_chunk_rows(matrix, 1)):
        total += np.asarray(block[:, chosen].sum(axis=0, dtype=np.float64)).ravel()
    return total
