"""Method "profile" of `embed_cells`: a text for each cell, from its characteristic genes."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from bftembed import pp
from bftembed._keys import with_provenance
from bftembed.errors import InputError
from bftembed.expression import chosen_matrix, normalised_chunks, parts_of
from bftembed.profiles import Entity
from bftembed.tl._entities import embed_entities

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from anndata import AnnData
    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

    from bftembed.expression import Matrix
    from bftembed.tl._entities import TextSource

log = logging.getLogger("bftembed")
_LABEL = re.compile(
    r"cell.?(type|state|ontology)|label|annot|cluster|leiden|louvain|truth|lineage|subset", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class CellProfileOptions:
    """Arguments of `embed_cells` that decide what a cell's prompt says."""

    n_top: int
    obs_fields: Sequence[str]
    allow_labels: Sequence[str]
    reference: pd.DataFrame | None
    values: str
    layer: str | None
    use_raw: bool
    empty: str


def embed_cell_profiles(adata: AnnData, options: CellProfileOptions, source: TextSource, *, key_added: str) -> None:
    """See `embed_cells`."""
    _check_fields(adata, options)
    matrix = chosen_matrix(parts_of(adata), layer=options.layer, use_raw=options.use_raw)
    names = _gene_names(adata, use_raw=options.use_raw)
    reference = options.reference
    if reference is None:
        reference = adata.uns.get("bft", {}).get("reference")
    if reference is None:
        reference = expression_reference(matrix, names, values=options.values)
        adata.uns["bft"] = {**adata.uns.get("bft", {}), "reference": reference}
    medians = reference["median"].reindex(names).to_numpy(dtype=float)
    tops = [
        top
        for _, rows, _ in normalised_chunks(matrix, values=options.values, log=False)
        for top in _top_genes(rows, names, medians, n_top=options.n_top)
    ]
    silent = [i for i, top in enumerate(tops) if not top]
    if silent and options.empty == "raise":
        msg = (
            f"{len(silent)} of {adata.n_obs} cells express no gene of the reference (first: "
            f"{adata.obs_names[silent[0]]!r}); remove them with sc.pp.filter_cells(adata, min_counts=1), or pass "
            'empty="nan" to have rows of NaN for them.'
        )
        raise InputError(msg)
    spoken = [i for i, top in enumerate(tops) if top]
    entities = [
        Entity("cell", str(adata.obs_names[i]), {"genes expressed above their reference": ", ".join(tops[i])} | fields)
        for i, fields in zip(spoken, _fields(adata, spoken, options.obs_fields), strict=True)
    ]
    result = embed_entities(
        entities,
        source,
        method="profile",
        n_top=options.n_top,
        obs_fields=list(map(str, options.obs_fields)),
        n_empty=len(silent),
    )
    result = result.spread(adata.n_obs, spoken)
    adata.obsm[key_added] = result.vectors
    result.annotate(adata.obs, key_added)
    adata.uns["bft"] = with_provenance(adata.uns.get("bft", {}), key_added, "cells", result.info)


def expression_reference(
    matrix: Matrix, names: Sequence[str] | NDArray[np.object_], *, values: str = "auto"
) -> pd.DataFrame:
    """Median of each gene over the cells that express it, in counts per 10,000 (as Geneformer ranks genes).

    Parameters
    ----------
    matrix
        Counts or log-normalised values (n_obs, n_vars), in memory, on disk or lazy.
    names
        Canonical gene names, ``""`` for a gene without one.
    values
        ``"auto"``, ``"counts"`` or ``"lognorm"``.

    Returns
    -------
    pandas.DataFrame
        ``median`` by gene; genes that no cell expresses are left out.
    """
    from scipy.sparse import vstack

    columns = vstack([rows for _, rows, _ in normalised_chunks(matrix, values=values, log=False)], format="csc")
    ends = columns.indptr
    medians = {
        name: float(np.median(columns.data[ends[j] : ends[j + 1]]))
        for j, name in enumerate(names)
        if name and ends[j + 1] > ends[j]
    }
    frame = pd.DataFrame({"median": pd.Series(medians, dtype=float)})
    frame.index = frame.index.astype(str).rename("gene")
    return frame


def _top_genes(
    rows: csr_matrix, names: NDArray[np.object_], medians: NDArray[np.float64], *, n_top: int
) -> Iterator[list[str]]:
    """Names of the genes of each cell with the highest ratio to the reference; ties by name."""
    for start, stop in zip(rows.indptr[:-1], rows.indptr[1:], strict=True):
        genes, data = rows.indices[start:stop], rows.data[start:stop]
        known = np.isfinite(medians[genes]) & (data > 0)
        genes, ratio = genes[known], data[known] / medians[genes[known]]
        order = np.lexsort((names[genes].astype(str), -ratio.round(5)))[:n_top]
        yield names[genes[order]].tolist()


def _gene_names(adata: AnnData, *, use_raw: bool) -> NDArray[np.object_]:
    """Canonical name of each column, ``""`` where there is none; genes only in ``.raw`` keep their own names."""
    if "bft_gene" not in adata.var:
        pp.map_genes(adata)
    own = adata.var["bft_gene"].astype(object).where(adata.var["bft_gene"].notna(), "")
    if not use_raw:
        return np.asarray(own, dtype=object)
    canonical = dict(zip(adata.var_names, own, strict=True))
    return np.array([canonical.get(name, name) for name in adata.raw.var_names], dtype=object)


def _check_fields(adata: AnnData, options: CellProfileOptions) -> None:
    if missing := [field for field in options.obs_fields if field not in adata.obs]:
        msg = f"`adata.obs` has no column {missing}; it has {', '.join(map(str, adata.obs.columns)) or 'none'}."
        raise InputError(msg)
    if leaking := [f for f in options.obs_fields if _LABEL.search(f) and f not in options.allow_labels]:
        msg = (
            f"The fields {leaking} look like labels. A text that holds the label makes every later prediction of it "
            f"worthless (leakage). Leave them out, or pass allow_labels={leaking} if you are sure."
        )
        raise InputError(msg)


def _fields(adata: AnnData, rows: Sequence[int], fields: Sequence[str]) -> Iterator[dict[str, str]]:
    columns = {field: adata.obs[field].iloc[list(rows)].tolist() for field in fields}
    for i in range(len(rows)):
        yield {field: str(values[i]) for field, values in columns.items() if not pd.isna(values[i])}
