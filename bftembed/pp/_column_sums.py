"""Sums of some columns of a matrix that may be on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Iterator

_CELLS_PER_CHUNK = 20_000


def column_sums(
    matrix: Any,
    columns: npt.NDArray[np.intp],
    *,
    rows: int = _CELLS_PER_CHUNK,
) -> npt.NDArray[np.float64]:
    """Sum columns over all rows, with at most `rows` rows in memory, never making a sparse matrix dense.

    A matrix stored by columns (CSC) gives its columns instead, since reading rows of it means reading all of it.

    Parameters
    ----------
    matrix
        n_obs x n_vars: array, sparse matrix or array, backed or lazy.
    columns
        (k,) positions, ascending.
    rows
        Rows read at a time.

    Returns
    -------
    (k,) float64.
    """
    total = np.zeros(len(columns))
    for block in _blocks(matrix, columns, rows):
        total += np.asarray(block.sum(axis=0), dtype=np.float64).ravel()
    return total


def _blocks(matrix: Any, columns: npt.NDArray[np.intp], rows: int) -> Iterator[Any]:
    if getattr(matrix, "format", None) == "csc":
        yield matrix[:, columns]
        return
    if hasattr(matrix, "compute"):
        stops = np.cumsum(matrix.chunks[0])
        for start, stop in zip([0, *stops[:-1]], stops, strict=True):
            yield matrix[start:stop][:, columns].compute()
        return
    for start in range(0, matrix.shape[0], rows):
        yield matrix[start : start + rows][:, columns]
