"""The matrix of the cells and the gene vectors of its columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bftembed.errors import InputError
from bftembed.expression import AnnDataParts, Matrix, chosen_matrix

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class CellInput:
    """An expression matrix (n_obs, n_vars) with the vectors of its columns, float32 (n_vars, d)."""

    matrix: Matrix
    vectors: NDArray[np.float32]

    @property
    def shape(self) -> tuple[int, int]:
        """Of the cell vectors: (n_obs, d)."""
        return self.matrix.x.shape[0], self.vectors.shape[1]


def choose(parts: AnnDataParts, *, use_rep: str, layer: str | None, use_raw: bool) -> CellInput:
    """The matrix to embed and the vectors of its columns.

    Raises
    ------
    InputError
        If the matrix, the gene vectors or every row or column of the matrix is missing.
    """
    matrix = chosen_matrix(parts, layer=layer, use_raw=use_raw)
    return CellInput(matrix, _vectors(parts, use_rep, use_raw=use_raw))


def _vectors(parts: AnnDataParts, use_rep: str, *, use_raw: bool) -> NDArray[np.float32]:
    where = f"`.varm[{use_rep!r}]`"
    if use_raw and parts.raw is not None and use_rep in parts.raw.varm:
        return checked_vectors(parts.raw.varm[use_rep], where)
    if use_rep not in parts.varm:
        msg = (
            f"There are no gene vectors in `.varm[{use_rep!r}]` (it has {sorted(parts.varm)}); "
            "call bft.tl.embed_genes(adata) first, or pass use_rep=."
        )
        raise InputError(msg)
    vectors = checked_vectors(parts.varm[use_rep], where)
    return _matched(vectors, parts, parts.raw) if use_raw and parts.raw is not None else vectors


def checked_vectors(element: Any, where: str) -> NDArray[np.float32]:
    """Vectors float32 (n, d), a gene a row; NaN rows for those without one.

    Raises
    ------
    InputError
        If they are no such numbers, or no gene has a vector; `where` is what the message calls them.
    """
    vectors = np.asarray(element)
    if vectors.ndim != 2 or vectors.dtype.kind not in "fiu" or vectors.shape[1] == 0:
        how = ": its texts were not encoded (encoder='none')" if vectors.ndim == 2 and not vectors.shape[1] else ""
        msg = f"{where} must be numbers, a row for each gene; it is {vectors.dtype} {vectors.shape}{how}."
        raise InputError(msg)
    vectors = np.array(vectors, dtype=np.float32)
    missing, broken = np.isnan(vectors).all(axis=1), ~np.isfinite(vectors).all(axis=1)
    if missing.all():
        msg = f"No gene has a vector: every row of {where} is NaN. Embed the genes again."
        raise InputError(msg)
    if (broken & ~missing).any():
        msg = (
            f"{int((broken & ~missing).sum())} rows of {where} hold NaN or infinity beside numbers "
            f"(first: row {int(np.flatnonzero(broken & ~missing)[0])}); a gene without a vector is a row of NaN alone."
        )
        raise InputError(msg)
    return vectors


def _matched(vectors: NDArray[np.float32], parts: AnnDataParts, raw: AnnDataParts) -> NDArray[np.float32]:
    """Vectors for the genes of `.raw`, which are more than those of the AnnData: the others get NaN."""
    names, wanted = parts.var_names(), raw.var_names()
    if not names.is_unique:
        twice = sorted(set(names[names.duplicated()]))
        msg = f"{len(twice)} `var_names` occur more than once ({twice[:3]}): call adata.var_names_make_unique()."
        raise InputError(msg)
    rows = names.get_indexer(wanted)
    matched = np.where((rows >= 0)[:, None], vectors[rows], np.float32(np.nan))
    if np.isnan(matched).all():
        msg = (
            f"None of the genes of `.raw` ({list(wanted[:3])}, ...) is among those with a vector ({list(names[:3])}, "
            "...); embed the genes of `.raw` with bft.tl.embed_genes(adata.raw.to_adata())."
        )
        raise InputError(msg)
    return matched
