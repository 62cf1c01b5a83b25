"""Gene vectors in which no direction stands out."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from bftembed._near import check_number, refuse_anndata
from bftembed.errors import InputError
from bftembed.expression import opened

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

_SMALL = 1024  # dimensions


def whiten(
    vectors: ArrayLike | pd.DataFrame,
    *,
    table: Any = None,
    alpha: float = 1.0,
    n_components: int | None = None,
) -> NDArray[np.float32]:
    """Subtract the mean vector of all genes, and divide by the singular values of their table to the power `alpha`.

    Vectors of texts have a mean and a few directions in common that say little of what a text says; sums over genes
    amplify these. With `S` the covariance of the table, shrunk as Ledoit & Wolf (2004, J Multivariate Anal 88:365) do,
    since a few hundred genes do not determine that of hundreds of dimensions, the result is
    ``(v - mean) @ S**(-alpha / 2)``. Removing the mean and the leading directions of word vectors: Mu & Viswanath
    (2018, ICLR, "All-but-the-top"); whitening of sentence vectors: Su et al. (2021, arXiv:2103.15316).

    Parameters
    ----------
    vectors
        (n, d) numbers, or a DataFrame of numbers. Rows with NaN, genes without a vector, stay NaN.
    table
        Vectors of all genes, from which mean and covariance are taken, so that a gene's result does not depend on the
        genes beside it: an AnnData of `bft.embed`, a DataFrame by gene, an array (m, d), or the path of an .h5ad or
        .zarr or of any file of vectors that this package reads. Rows with NaN are left out. By default `vectors`.
    alpha
        0 subtracts the mean alone; with 1 all directions have the same variance.
    n_components
        Coordinates on so many leading principal axes of the table instead of the original ones: fewer dimensions. The
        sign of an axis is such that its entry of the largest size is positive.

    Returns
    -------
    numpy.ndarray, float32 (n, d), or (n, n_components)

    Raises
    ------
    InputError
        If `vectors` is an AnnData, the table has other dimensions, fewer than two vectors or no variance, or an
        argument cannot be used.
    DataError
        If the file of the table cannot be read.

    Examples
    --------
    >>> import numpy as np
    >>> import bftembed as bft
    >>> vectors = np.random.default_rng(0).normal([5, 0], [3, 1], (2000, 2))
    >>> np.cov(bft.pp.whiten(vectors).T).round(1) + 0.0
    array([[1., 0.],
           [0., 1.]])
    """
    own = _numbers(vectors, "vectors")
    known = np.isfinite(own).all(axis=1)
    of_all = own if table is None else _table_vectors(table)
    of_all = of_all[np.isfinite(of_all).all(axis=1)]
    d = own.shape[1]
    if of_all.shape[1] != d:
        msg = (
            f"The vectors have {d} dimensions and those of `table` {of_all.shape[1]}: make both with the same encoder."
        )
        raise InputError(msg)
    check_number("alpha", alpha, least=0)
    if not np.isfinite(alpha):
        msg = f"alpha={alpha} must be 0 (subtract the mean) or more; 1 whitens."
        raise InputError(msg)
    if n_components is not None:
        check_number("n_components", n_components, least=1, whole=True)
    if n_components is not None and n_components > d:
        msg = f"n_components={n_components} must be from 1 to the {d} dimensions of the vectors, or None."
        raise InputError(msg)
    # One thread: for matrices of this size several wait for each other, on a busy machine twenty times as long.
    with threadpool_limits(1 if d <= _SMALL else None, user_api="blas"):
        mean, variances, axes = _principal_axes(of_all)
        least = np.finfo(float).eps * d * variances[0]
        scales = np.maximum(variances, least) ** (-alpha / 2)
        if alpha:
            scales[variances <= least] = 0.0  # a direction that no gene of the table has
        weighted = axes * scales
        turn = weighted @ axes.T if n_components is None else weighted[:, :n_components]
        result = np.full((len(own), turn.shape[1]), np.nan, dtype=np.float32)
        result[known] = (own[known] - mean) @ turn
    return result


def _table_vectors(table: Any) -> NDArray[np.float64]:
    """Vectors of genes (m, d): of an AnnData, a DataFrame by gene, an array, or a file of these."""
    if hasattr(table, "obsm"):
        return _numbers(_held(table.varm, table.obsm), "table")
    if not isinstance(table, str | os.PathLike):
        return _numbers(table, "table")
    path = Path(table).expanduser()
    if path.suffix not in {".h5ad", ".zarr"}:
        from bftembed.vectors import read_file

        return read_file(path).matrix.astype(np.float64)
    from anndata.io import read_elem

    with opened(path) as parts:
        return _numbers(read_elem(_held(*(parts.group.get(name, {}) for name in ("varm", "obsm")))), str(path))


def _held(varm: Any, obsm: Any) -> Any:
    """Gene vectors beside cells are in `varm`; `bft.embed` has a gene a row."""
    for held in (varm, obsm):
        if key := "X_bft" if "X_bft" in held else next(iter(held), None) if len(held) == 1 else None:
            return held[key]
    msg = (
        f"`table` has no 'X_bft' in varm ({sorted(varm)}) or obsm ({sorted(obsm)}): give the AnnData of bft.embed, "
        "which has a row for each gene, or its vectors alone."
    )
    raise InputError(msg)


def _numbers(value: Any, name: str) -> NDArray[np.float64]:
    refuse_anndata(name, value)
    if isinstance(value, pd.DataFrame):
        value = value.select_dtypes("number")
    array = np.asarray(value)
    if array.ndim != 2 or array.dtype.kind not in "fiu" or 0 in array.shape:
        msg = f"`{name}` must be numbers, a row for each gene; it is {array.dtype} of shape {array.shape}."
        raise InputError(msg)
    return array.astype(np.float64)


def _principal_axes(table: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Mean, variances (descending) and axes (a column each) of the shrunk covariance."""
    n, d = table.shape
    if n < 2:
        msg = f"{n} vectors have no covariance: give the vectors of more genes as `table`."
        raise InputError(msg)
    mean = table.mean(axis=0)
    centred = table - mean
    size = np.abs(centred).max()
    if not size > 0:
        msg = f"All {n} vectors of the table are the same: nothing to divide by. Give those of all genes."
        raise InputError(msg)
    centred /= size  # the fourth powers below neither overflow nor vanish then
    covariance = centred.T @ centred / n
    average = float(np.trace(covariance)) / d
    # Equations 14 of Ledoit & Wolf, as scikit-learn's `ledoit_wolf_shrinkage`, whose import takes longer than the rest.
    squares = float(np.sum(covariance**2))
    noise = (float(np.mean(np.sum(centred**2, axis=1) ** 2)) - squares) / n
    spread = squares - d * average**2
    amount = min(max(noise / spread, 0.0), 1.0) if spread > 0 else 0.0
    variances, axes = np.linalg.eigh((1 - amount) * covariance + amount * average * np.eye(d))
    variances, axes = np.maximum(variances[::-1], 0.0) * size**2, axes[:, ::-1]
    largest = np.argmax(np.abs(axes), axis=0)
    axes = axes * np.where(axes[largest, np.arange(d)] < 0, -1.0, 1.0)
    return mean, variances, axes
