"""Cells of the benchmark's data sets: log-normalised, genes by canonical symbol, cell types and batches by one name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from bftembed import datasets

if TYPE_CHECKING:
    from collections.abc import Callable

    from anndata import AnnData

CellData = Literal["symphony_pbmc", "pbmc68k_reduced", "bremsc_pbmc", "pbmc_stim"]
#: Manifests, licence and citation of the data sets that several tasks of types of cells read: fields of `TaskInfo`.
CELL_DATA_INFO: dict[str, dict[str, Any]] = {
    "symphony_pbmc": {
        "data": ("symphony_pbmc", "hgnc_genes"),
        "licence": "GPL",
        "citation": "Kang JB et al. Efficient and precise single-cell reference atlas mapping with Symphony. "
        "Nat Commun 12, 5890 (2021).",
    },
    "pbmc68k_reduced": {
        "data": ("hgnc_genes",),
        "licence": "none stated; comes with scanpy (BSD-3-Clause)",
        "citation": "Zheng GXY et al. Massively parallel digital transcriptional profiling of single cells. "
        "Nat Commun 8, 14049 (2017).",
    },
    "bremsc_pbmc": {
        "data": ("bremsc_pbmc", "hgnc_genes"),
        "licence": "GPL-3 (DESCRIPTION)",
        "citation": "Wang X et al. BREM-SC: a Bayesian random effects mixture model for joint clustering single cell "
        "multi-omics data. Nucleic Acids Res 48, 5814-5824 (2020).",
    },
}
_COUNTS = 1e4


def load_cells(name: CellData) -> AnnData:
    """One of the data sets of cells.

    Returns
    -------
    ``X``: log(1 + counts per 10,000), CSR float32; ``layers["counts"]`` where the data have counts; ``var_names``
    canonical symbols where there is one; ``obs["cell_type"]``, missing for cells of unknown type, and ``obs["batch"]``,
    where the data have them; of bremsc_pbmc ``obsm["protein"]``, centred log ratios by the protein's gene;
    ``uns["removed"]``, how many genes were left out, and why.

    Examples
    --------
    >>> from bftembed.bench import load_cells
    >>> adata = load_cells("pbmc68k_reduced")
    >>> adata.obs["cell_type"].nunique()
    10
    """
    adata = _LOADERS[name]()
    for column in adata.obs:
        adata.obs[column] = adata.obs[column].astype("category").cat.remove_unused_categories()
    adata = datasets.by_symbol(adata)
    adata.var = adata.var[[]]
    return adata


def _symphony() -> AnnData:
    adata = datasets.joined_cells("symphony_pbmc")
    adata.obs = adata.obs[["cell_type", "batch"]]
    return adata


def _pbmc68k() -> AnnData:
    whole = datasets.pbmc68k_reduced()
    adata = whole.raw.to_adata()
    suffix = [name.rpartition("-")[2] for name in whole.obs_names]
    adata.obs = pd.DataFrame({"cell_type": whole.obs["bulk_labels"], "batch": suffix}, index=whole.obs_names)
    return _bare(adata)


def _bremsc() -> AnnData:
    adata = datasets.joined_cells("bremsc_pbmc")
    protein = adata.obsm["protein"].rename(columns=datasets.PROTEIN_GENES)
    logs = np.log1p(np.ascontiguousarray(protein))  # centred log ratio, cell by cell
    adata.obsm["protein"] = pd.DataFrame(
        logs - logs.mean(axis=1, keepdims=True), index=protein.index, columns=protein.columns
    )
    return _normalised(adata)


def _stim() -> AnnData:
    adata = datasets.joined_cells("pbmc_stim")
    adata.obs = adata.obs.rename(columns={"condition": "batch"})
    return _normalised(adata)


_LOADERS: dict[CellData, Callable[[], Any]] = {
    "symphony_pbmc": _symphony,
    "pbmc68k_reduced": _pbmc68k,
    "bremsc_pbmc": _bremsc,
    "pbmc_stim": _stim,
}


def _bare(adata: AnnData) -> AnnData:
    """The matrix, and what is known of cells and genes by name; nothing that was computed from labels."""
    import anndata

    return anndata.AnnData(adata.X, obs=adata.obs, var=pd.DataFrame(index=adata.var_names))


def _normalised(adata: AnnData) -> AnnData:
    import scanpy as sc

    adata.layers["counts"] = adata.X.copy()
    sc.pp.normalize_total(adata, target_sum=_COUNTS)
    sc.pp.log1p(adata)
    adata.uns = {}
    return adata


def small_part(adata: AnnData, n: int = 250, n_genes: int = 150) -> AnnData:
    """About `n` cells with the shares of types and batches that all have; the most variable genes and the proteins'.

    Examples
    --------
    >>> from bftembed.bench import load_cells, small_part
    >>> small_part(load_cells("pbmc68k_reduced"), n=100, n_genes=50).n_vars
    50
    """
    from sklearn.utils.sparsefuncs import mean_variance_axis

    groups = [column for column in ("cell_type", "batch") if column in adata.obs]
    rows = adata.obs.astype(str).assign(row=np.arange(adata.n_obs)).groupby(groups)["row"]
    _, variances = mean_variance_axis(adata.X, axis=0)
    variances[adata.var_names.isin(getattr(adata.obsm.get("protein"), "columns", []))] = np.inf
    genes = np.sort(np.argsort(-variances, kind="stable")[:n_genes])
    return adata[np.sort(rows.sample(frac=n / adata.n_obs, random_state=0)), genes].copy()


def unlabelled(adata: AnnData) -> AnnData:
    """What an embedding may see: matrix (as CSR), counts, names, batches. Never a label, nor what was made of one."""
    import anndata
    from scipy.sparse import csr_matrix

    obs = adata.obs[[column for column in ("batch",) if column in adata.obs]].copy()
    layers = {key: adata.layers[key] for key in ("counts",) if key in adata.layers}
    return anndata.AnnData(csr_matrix(adata.X), obs=obs, var=pd.DataFrame(index=adata.var_names), layers=layers)
