"""Cells by how their expression departs from a reference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bftembed._warn import warn
from bftembed.errors import InputError
from bftembed.expression import cell_batches, gene_names
from bftembed.expression.kernels import compiled
from bftembed.expression.values import LARGEST_Z

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bftembed.expression import AnnDataParts
    from bftembed.pp import Reference


@dataclass(frozen=True)
class Contrast:
    """What turns log-normalised expression into weights: ``(x - mean) / n``, or ``clip((x - mean) / sd, -10, 10) / n``.

    Where each batch has a reference, contrasts too are taken in s.d. of the batch, and brought back to one scale by the
    s.d. within all batches: by this the vectors are multiplied.

    Most of a row is zero, and so are most terms the same in all cells: `base` is the sum over a cell without any
    expression, and the weight of an entry is the difference that it makes to that.

    Parameters
    ----------
    vectors
        float32 (n_vars, d), NaN for the columns that take no part.
    terms
        float64 (n_batches, n_used, 3): mean, the factor (1, or 1 / s.d., 0 if there is none), and what zero gives.
    n
        What the sum is divided by: the number of highly variable genes of the reference.
    batches
        Row in `terms` of each cell, (n_cells,).
    known
        Columns that are genes of the reference: bool (n_vars,).
    levels
        Counts per 10,000 that the reference expects on these columns: float64 (n_batches,).
    """

    vectors: NDArray[np.float32]
    terms: NDArray[np.float64]
    n: int
    batches: NDArray[np.intp]
    known: NDArray[np.bool_]
    levels: NDArray[np.float64]

    @property
    def base(self) -> NDArray[np.float32]:
        """Of a cell without expression: float32 (n_batches, d)."""
        used = self.vectors[~np.isnan(self.vectors[:, 0])].astype(np.float64)
        return (self.terms[:, :, 2] @ used / self.n).astype(np.float32)


def contrast_of(
    parts: AnnDataParts,
    vectors: NDArray[np.float32],
    reference: Reference,
    *,
    scaled: bool,
    batch_key: str | None,
    use_raw: bool,
) -> Contrast:
    """Match the genes and batches of cells with those of a reference.

    Parameters
    ----------
    parts
        Of the AnnData of the cells.
    vectors
        float32 (n_vars, d), NaN for genes without a vector.
    scaled
        Whether departures are in s.d.
    reference, batch_key, use_raw
        As `embed_cells` takes them.

    Raises
    ------
    InputError
        If fewer than half of the highly variable genes are there, or none of them has a vector, or a batch is unknown.

    Warns
    -----
    BftembedWarning
        If some of these genes are missing.
    """
    import pandas as pd

    names = gene_names(parts, use_raw=use_raw)
    rows = reference.genes.get_indexer(pd.Index(names))
    known = rows >= 0
    varying = known & reference.highly_variable[rows]
    used = varying & ~np.isnan(vectors[:, 0])
    _check_genes(reference, names, varying, used)
    mean, sd = (values[:, rows[used]] for values in (reference.mean, reference.sd))
    inverse, vectors = np.ones_like(sd), np.where(used[:, None], vectors, np.float32(np.nan))
    if scaled or len(sd) > 1:
        inverse = np.divide(1.0, sd, out=np.zeros_like(sd), where=sd > 0)
    if not scaled and len(sd) > 1:  # back from the s.d. of a batch to that within all
        vectors[used] *= np.sqrt(np.average(sd**2, axis=0, weights=reference.n_cells))[:, None]
    zero = np.clip(-mean * inverse, -LARGEST_Z, LARGEST_Z)
    return Contrast(
        vectors=vectors,
        terms=np.stack([mean, inverse, zero], axis=2),
        n=int(reference.highly_variable.sum()),
        batches=batches_of(parts, reference, batch_key),
        known=known,
        levels=reference.level[:, rows[known]].sum(axis=1),
    )


def _check_genes(reference: Reference, names: Any, varying: NDArray[np.bool_], used: NDArray[np.bool_]) -> None:
    n, there, n_used = int(reference.highly_variable.sum()), int(varying.sum()), int(used.sum())
    if 2 * there < n:
        theirs = ", ".join(map(repr, reference.genes[reference.highly_variable][:3]))
        msg = (
            f"{there} of the {n} highly variable genes of the reference are among the genes of these cells: are they "
            f"named otherwise (reference: {theirs}, ...; cells: {', '.join(map(repr, names[:3]))}, ...)? Call "
            "bft.pp.map_genes on both, or make the reference of cells with these genes (bft.pp.reference)."
        )
        raise InputError(msg)
    if not n_used:
        msg = (
            f"None of the {there} highly variable genes has a vector: embed them with bft.tl.embed_genes, or make a "
            "reference of the genes that have one (bft.pp.reference(adata[:, genes]))."
        )
        raise InputError(msg)
    if there < n:
        msg = (
            f"{n - there} of the {n} highly variable genes of the reference are missing from these cells: they add "
            "nothing, as if every cell expressed them at their mean."
        )
        warn(msg)


def batches_of(parts: AnnDataParts, reference: Reference, batch_key: str | None) -> NDArray[np.intp]:
    """Number of the batch in the reference of each cell, or `InputError` where the two do not fit."""
    has_batches = reference.batches != ("",)
    if batch_key is None:
        if has_batches:
            msg = (
                f"The reference is of {len(reference.batches)} batches ({_some(reference.batches)}): say with "
                "batch_key= which column of adata.obs has the batch of a cell, or give a reference without batches."
            )
            raise InputError(msg)
        return np.zeros(len(parts.obs_names()), dtype=np.intp)
    codes, batches = cell_batches(parts, batch_key)
    if not has_batches:
        msg = (
            f"The reference has no batches, so that batch_key={batch_key!r} chooses none: leave it out, or make the "
            f"reference with bft.pp.reference(adata, batch_key={batch_key!r})."
        )
        raise InputError(msg)
    known = {name: number for number, name in enumerate(reference.batches)}
    if unknown := [name for name in batches if name not in known]:
        msg = (
            f"{len(unknown)} batches of `adata.obs[{batch_key!r}]` are not in the reference: {_some(unknown)} (it has "
            f"{_some(reference.batches)}). Make a reference of these cells, bft.pp.reference(adata, "
            f"batch_key={batch_key!r}), or one without batches."
        )
        raise InputError(msg)
    return np.array([known[name] for name in batches], dtype=np.intp)[codes]


def _some(names: Any) -> str:
    return ", ".join(map(repr, names[:3])) + (", ..." if len(names) > 3 else "")


@compiled  # pragma: no cover (runs as machine code)
def depart(  # noqa: PLR0917
    weights: NDArray[np.float32],
    used: NDArray[np.int32],
    ends: NDArray[np.int64],
    batches: NDArray[np.intp],
    terms: NDArray[np.float64],
    factor: float,
) -> None:
    """Turn expression into the weight that it adds to that of zero, times `factor`: see `Contrast`."""
    for row in range(ends.size - 1):
        of_batch = terms[batches[row]]
        for i in range(np.uint64(ends[row]), np.uint64(ends[row + 1])):
            slot = np.uint64(used[i])
            z = (np.float64(weights[i]) - of_batch[slot, 0]) * of_batch[slot, 1]
            weights[i] = np.float32((min(max(z, -LARGEST_Z), LARGEST_Z) - of_batch[slot, 2]) * factor)


@compiled  # pragma: no cover (runs as machine code)
def sum_levels(  # noqa: PLR0917
    data: NDArray[Any],
    indices: NDArray[Any],
    indptr: NDArray[Any],
    factors: NDArray[np.float64],
    known: NDArray[np.bool_],
    logged: bool,  # noqa: FBT001
    out: NDArray[np.float64],
) -> None:
    """Write the counts per 10,000 of each row on the columns `known`."""
    for row in range(factors.size):
        total = 0.0
        for i in range(np.uint64(indptr[row]), np.uint64(indptr[row + 1])):
            if known[np.uint64(indices[i])]:
                total += np.expm1(np.float64(data[i])) if logged else np.float64(data[i])
        out[row] = total * factors[row]
