"""A text for each cell, from its characteristic genes."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Unpack, get_args

import numpy as np
import pandas as pd

from bftembed import pp
from bftembed._keys import check_place, checked_key, with_provenance
from bftembed._near import check_choice
from bftembed.errors import InputError
from bftembed.expression import check_columns, chosen_matrix, column_of, made_actual, normalised_chunks, parts_of
from bftembed.profiles import Entity
from bftembed.tl._embed_cells import Empty
from bftembed.tl._entities import TextSource, embed_entities

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from anndata import AnnData
    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

    from bftembed.expression import Matrix, Values
    from bftembed.tl._entities import TextOptions

log = logging.getLogger("bftembed")
_LABEL = re.compile(
    r"cell.?(type|state|ontology)|label|annot|cluster|leiden|louvain|truth|lineage|subset", re.IGNORECASE
)


def embed_cell_profiles(
    adata: AnnData,
    *,
    n_top: int = 50,
    obs_fields: Sequence[str] = (),
    allow_labels: Sequence[str] = (),
    reference: pd.DataFrame | None = None,
    values: Values = "auto",
    layer: str | None = None,
    use_raw: bool = False,
    empty: Empty = "raise",
    key_added: str = "X_bft",
    **text_options: Unpack[TextOptions],
) -> None:
    """Embed cells by a text about each of them.

    The genes that a cell expresses most relative to a reference, and the `obs_fields` that you name, make a prompt; its
    answer is encoded. A text for each different cell: for thousands of cells, not millions. For cell vectors from gene
    vectors see :func:`bftembed.tl.embed_cells`.

    Parameters
    ----------
    adata
        In memory, backed or lazy.
    n_top
        Most genes in a cell's prompt.
    obs_fields
        Columns of `.obs` to put into the prompt. Columns that look like labels are refused.
    allow_labels
        Label-like columns to put into the prompt all the same: a later prediction of them is worthless then.
    reference
        ``median`` by gene, in counts per 10,000, that a cell's expression is divided by; by default
        ``.uns["bft"]["reference"]``, which is made from `adata` where it is missing: the median of each gene over the
        cells that express it.
    values
        What the matrix holds: ``"counts"`` or ``"lognorm"``. ``"auto"`` takes whole numbers as counts and fractions up
        to 30 as log-normalised.
    layer
        Use this layer instead of `.X`.
    use_raw
        Use ``.raw.X`` instead of `.X`.
    empty
        What to do about cells that express no gene of the reference: ``"raise"`` an error, or give them a row of
        ``"nan"``.
    key_added
        Key in `.obsm` and `.uns`.
    text_options
        ``engine``, ``encoder``, ``template``, ``sampling``, ``store``, ``profiles``, ``progress`` as in
        :func:`bftembed.tl.embed_genes`.

    Returns
    -------
    Nothing. Sets the following fields:

    ``.obsm[key_added]`` : numpy.ndarray, float32 (n_obs, d)
        Cell vectors.
    ``.obs[f"{key_added}_text"]``, ``.obs[f"{key_added}_text_key"]`` : str
        Text of each cell and its key in the store, ``""`` where there is none; see :func:`bftembed.get.profiles`.
    ``.uns["bft"][key_added]["cells"]`` : dict
        Parameters, engine, encoder, counts, package version and date.
    ``.uns["bft"]["reference"]`` : pandas.DataFrame
        The reference, if it was made.

    Raises
    ------
    InputError
        If the values or an argument cannot be used, or a cell expresses no gene of the reference.
    EngineError, EncoderError, StoreError
        If writing or encoding fails. What was finished is stored, and the next call goes on from there.

    Examples
    --------
    >>> import anndata, numpy as np, pandas as pd
    >>> import bftembed as bft
    >>> adata = anndata.AnnData(np.array([[4, 0], [1, 3]], dtype=np.float32), var=pd.DataFrame(index=["CD3E", "LYZ"]))
    >>> adata.var["bft_gene"] = adata.var_names
    >>> bft.tl.embed_cell_profiles(adata, profiles={"0": "A T cell.", "1": "A monocyte."})
    >>> adata.obsm["X_bft"].shape
    (2, 384)
    """
    checked_key(key_added)
    check_choice("empty", empty, get_args(Empty))
    if n_top < 1:
        msg = f"n_top={n_top} must be at least 1."
        raise InputError(msg)
    parts = parts_of(adata)
    check_place(adata, key_added)
    matrix = chosen_matrix(parts, layer=layer, use_raw=use_raw)
    source = TextSource.of("embed_cell_profiles", text_options)
    source.check()
    _check_fields(adata, obs_fields, allow_labels)
    names = _gene_names(adata, use_raw=use_raw)
    known, origin = reference, "given"
    if known is None:
        known, origin = adata.uns.get("bft", {}).get("reference"), "uns"
    if known is None:
        known, origin = expression_reference(matrix, names, values=values), "these cells"
    log.info("Genes of a cell are ranked by their ratio to a reference: %s.", origin)
    medians = _medians(known, names)
    tops = [
        top
        for _, rows, _ in normalised_chunks(matrix, values=values, log=False)
        for top in _top_genes(rows, names, medians, n_top=n_top)
    ]
    told = [i for i, top in enumerate(tops) if top]
    n_empty = adata.n_obs - len(told)
    if n_empty and (empty == "raise" or not told):
        first = next(i for i, top in enumerate(tops) if not top)
        msg = (
            f"{n_empty} of {adata.n_obs} cells express no gene of the reference (first: {matrix.cells([first])}); "
            'remove them with sc.pp.filter_cells(adata, min_counts=1), or pass empty="nan" for rows of NaN.'
        )
        raise InputError(msg)
    entities = [
        Entity("cell", str(adata.obs_names[i]), {"genes expressed above their reference": ", ".join(tops[i])} | fields)
        for i, fields in zip(told, _fields(adata, told, obs_fields), strict=True)
    ]
    info = {
        "method": "profile",
        "n_top": n_top,
        "obs_fields": list(map(str, obs_fields)),
        "n_empty": n_empty,
        "reference": origin,
    }
    result = embed_entities(entities, source, **info).spread(adata.n_obs, told)
    made = {"reference": known} if origin == "these cells" else {}
    log.info(result.summary(f"obsm[{key_added!r}]"))
    with made_actual():
        adata.obsm[key_added] = result.vectors
        result.annotate(adata.obs, key_added)
        adata.uns["bft"] = with_provenance({**adata.uns.get("bft", {}), **made}, key_added, "cells", result.info)


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
    own = column_of(adata.var, "bft_gene").fillna("")
    if not use_raw:
        return np.asarray(own, dtype=object)
    canonical = dict(zip(adata.var_names, own, strict=True))
    return np.array([canonical.get(name, name) for name in adata.raw.var_names], dtype=object)


def _medians(reference: pd.DataFrame, names: NDArray[np.object_]) -> NDArray[np.float64]:
    check_columns(reference, "reference", ["median"])
    return reference["median"].reindex(names).to_numpy(dtype=float)


def _check_fields(adata: AnnData, obs_fields: Sequence[str], allow_labels: Sequence[str]) -> None:
    check_columns(adata.obs, "adata.obs", obs_fields)
    if leaking := [f for f in obs_fields if _LABEL.search(f) and f not in allow_labels]:
        msg = (
            f"The fields {leaking} look like labels. A text that holds the label makes every later prediction of it "
            f"worthless (leakage). Leave them out, or pass allow_labels={leaking} if you are sure."
        )
        raise InputError(msg)


def _fields(adata: AnnData, rows: Sequence[int], fields: Sequence[str]) -> Iterator[dict[str, str]]:
    columns = {field: column_of(adata.obs, field).iloc[list(rows)].tolist() for field in fields}
    for i in range(len(rows)):
        yield {field: str(values[i]) for field, values in columns.items() if not pd.isna(values[i])}
