"""Readers of matrices: h5ad, Matrix Market and npz."""

from __future__ import annotations

import warnings
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from bftembed.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    import pandas as pd
    from anndata import AnnData
    from scipy.sparse import spmatrix


def read_h5ad(path: Path, **options: Any) -> AnnData:
    """Read an h5ad file; `options` are those of `anndata.read_h5ad`."""
    import anndata

    return anndata.read_h5ad(path, **options)


def read_npz(path: Path) -> dict[str, np.ndarray[Any, Any]]:
    """Read the arrays of an npz file by name; arrays of Python objects, which are pickles, are refused."""
    import numpy as np

    with np.load(path, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


def read_mtx(
    path: Path, *, features: str | None = None, barcodes: str | None = None, cells_in_rows: bool = False
) -> AnnData:
    """Read a Matrix Market file, gzipped or not, as AnnData of cells x genes with a CSR `X`.

    Parameters
    ----------
    path
        The matrix.
    features, barcodes
        Names of tab-separated files without header, in the same directory, that name genes and cells in their first
        column; further columns are kept as ``column_1``, ``column_2`` ...
    cells_in_rows
        Whether the file holds cells x genes; by default genes x cells, as 10x Genomics writes it.

    Raises
    ------
    DataError
        If the number of names differs from the shape of the matrix.
    """
    from scipy.io import mmread
    from scipy.sparse import csr_matrix

    matrix = mmread(path, spmatrix=True)
    counts = csr_matrix(matrix if cells_in_rows else matrix.T)
    var = _names(path, features, counts.shape[1], "genes")
    return cells_by_genes(counts, obs=_names(path, barcodes, counts.shape[0], "cells"), var=var)


def _names(path: Path, file: str | None, n: int, what: str) -> pd.DataFrame | None:
    if file is None:
        return None
    if PurePath(file).name != file:
        msg = f"{file!r} must be the name of a file beside {path.name}, without a directory."
        raise DataError(msg)
    import pandas as pd

    frame = pd.read_csv(path.with_name(file), sep="\t", header=None, dtype=str, keep_default_na=False)
    if len(frame) != n:
        msg = f"{path} holds {n} {what}, but {file} beside it names {len(frame)}."
        raise DataError(msg)
    frame.columns = [f"column_{i}" for i in range(frame.shape[1])]
    return frame.set_index("column_0").rename_axis(None)


def cells_by_genes(
    matrix: spmatrix | np.ndarray[Any, Any],
    *,
    obs: pd.DataFrame | Sequence[str] | None,
    var: pd.DataFrame | Sequence[str] | None,
) -> AnnData:
    """Make an AnnData of a matrix of cells x genes and the frames or names of its cells and genes."""
    import pandas as pd
    from anndata import AnnData

    frames = [
        names if names is None or isinstance(names, pd.DataFrame) else pd.DataFrame(index=pd.Index(list(names)))
        for names in (obs, var)
    ]
    with warnings.catch_warnings():
        # Repeated names are a property of the data, dealt with where genes are mapped; the reader changes nothing.
        warnings.filterwarnings("ignore", message="(Variable|Observation) names are not unique", category=UserWarning)
        return AnnData(matrix, obs=frames[0], var=frames[1])
