"""Cells that are ready to use: one AnnData each, with labels joined and names repaired."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from bftembed import data
from bftembed.datasets._symbols import by_symbol
from bftembed.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable

    from anndata import AnnData

#: Gene of each surface protein of BREM-SC, by the name of the antibody (HGNC).
PROTEIN_GENES = {
    "CD154": "CD40LG",
    "CD4": "CD4",
    "CD56": "NCAM1",
    "CD3": "CD3E",
    "CD19": "CD19",
    "CD11c": "ITGAX",
    "CD14": "CD14",
    "CD8a": "CD8A",
    "CD16": "FCGR3A",
    "CD127": "IL7R",
}
Joined = Literal["symphony_pbmc", "bremsc_pbmc", "pbmc_stim", "norman", "hpa_tissues"]


def symphony_pbmc() -> AnnData:
    """1,200 PBMCs x 1,766 genes of three 10x technologies, of Kang et al. 2021 (Symphony); fetched where needed.

    Returns
    -------
    AnnData
        ``X``: log-normalised, CSR float32 (there are no counts); ``obs``: ``cell_type`` (9), ``cell_type_broad`` (7),
        ``batch`` (the technology: 3pv1, 3pv2, 5p, which the source calls donor), ``n_counts``, ``n_genes``,
        ``percent_mito``; ``var["source_name"]``; ``uns["source"]``: title, licence and citation.

    Raises
    ------
    DataError
        If it cannot be had.

    Examples
    --------
    >>> from bftembed.datasets import symphony_pbmc
    >>> symphony_pbmc().obs["batch"].value_counts().to_dict()
    {'3pv2': 480, '5p': 430, '3pv1': 290}
    """
    return _ready("symphony_pbmc", "symphony_pbmc")


def bremsc_pbmc() -> AnnData:
    """1,372 PBMCs with RNA and ten surface proteins (CITE-seq), of Wang et al. 2020 (BREM-SC); fetched where needed.

    Returns
    -------
    AnnData
        ``X``: counts, CSR float32, one column a gene; ``obs["cell_type"]`` (6, missing for 190 cells);
        ``obsm["protein"]``: counts by the name of the antibody, without its barcode; ``uns["protein_genes"]``: the gene
        of each; ``var["source_name"]``; ``uns["source"]``.

    Raises
    ------
    DataError
        If it cannot be had.

    Examples
    --------
    >>> from bftembed.datasets import bremsc_pbmc
    >>> bremsc_pbmc().obsm["protein"].columns[:3].tolist()
    ['CD154', 'CD4', 'CD56']
    """
    adata = _ready("bremsc_pbmc", "bremsc_pbmc")
    adata.uns["protein_genes"] = dict(PROTEIN_GENES)
    return adata


def pbmc_stim() -> AnnData:
    """2,000 PBMCs, half of them with interferon beta, of Kang et al. 2018; no types of cells; fetched where needed.

    Returns
    -------
    AnnData
        ``X``: counts, CSR float32, one column a gene; ``obs["condition"]``: ``ctrl`` or ``stim``;
        ``var["source_name"]``; ``uns["source"]``.

    Raises
    ------
    DataError
        If it cannot be had.

    Examples
    --------
    >>> from bftembed.datasets import pbmc_stim
    >>> sorted(pbmc_stim().obs["condition"].unique())
    ['ctrl', 'stim']
    """
    return _ready("pbmc_stim", "pbmc_stim")


def norman() -> AnnData:
    """K562 cells x 500 genes under activation of genes, alone and in pairs, of Norman et al. 2019; fetched if needed.

    The other half of the file that it comes in (McFaline-Figueroa et al.) is noise and left out.

    Returns
    -------
    AnnData
        ``X``: log-normalised, CSR float32; ``obs``: ``perturbation`` (``"KLF1"``, ``"KLF1+MAP2K6"``, ``"control"``),
        ``perturbation_type`` (``CRISPRa``), ``cell_type``, ``dose``, ``n_counts``, ``n_genes`` (of all genes);
        ``var["source_name"]``; ``uns["source"]``, ``uns["removed"]``.

    Raises
    ------
    DataError
        If it cannot be had.

    Examples
    --------
    >>> from bftembed.datasets import norman
    >>> norman().obs["perturbation"].nunique()
    34
    """
    return _ready("norman", "norman_perturbench")


def hpa_tissues() -> AnnData:
    """37 tissues x 19,600 genes: how much RNA of each gene (Human Protein Atlas); fetched where needed.

    Returns
    -------
    AnnData
        ``X``: transcripts per million, CSR float32, one row a tissue and one column a gene; ``var["source_name"]``,
        ``var["ensembl"]``; ``uns["source"]``.

    Raises
    ------
    DataError
        If it cannot be had.

    Examples
    --------
    >>> from bftembed.datasets import hpa_tissues
    >>> hpa_tissues()[:, "ALB"].to_df()["ALB"].idxmax()
    'liver'
    """
    return _ready("hpa_tissues", "hpa_rna_tissue")


def joined_cells(name: Joined) -> AnnData:
    """One of these data sets with its parts joined, its columns named as in the source, which may repeat names.

    Parameters
    ----------
    name
        Of the function of this package that gives it with names repaired.

    Returns
    -------
    AnnData
        As that function says, without ``uns["source"]``; ``uns["removed"]`` where cells were left out.

    Examples
    --------
    >>> from bftembed.datasets import joined_cells
    >>> joined_cells("hpa_tissues").var_names.is_unique
    False
    """
    adata = _JOINED[name]()
    for column in adata.obs.select_dtypes(exclude="number"):
        adata.obs[column] = adata.obs[column].astype("category").cat.remove_unused_categories()
    return adata


def _ready(name: Joined, manifest: str) -> AnnData:
    joined = joined_cells(name)
    adata = by_symbol(joined)
    adata.uns["removed"] = {**joined.uns.get("removed", {}), **adata.uns["removed"]}
    adata.uns["source"] = data.get_manifest(manifest).credit
    return adata


def _symphony() -> AnnData:
    adata = data.load("symphony_pbmc", "expression")
    cells = data.load("symphony_pbmc", "cells").set_index("cell_id").loc[adata.obs_names]
    obs = {"cell_type": "cell_type", "cell_type_broad": "cell_type_broad", "batch": "donor"}
    numbers = {"n_counts": "nUMI", "n_genes": "nGene", "percent_mito": "percent_mito"}
    adata.obs = pd.DataFrame(
        {name: cells[column].astype(object) for name, column in obs.items()}
        | {name: cells[column].to_numpy(dtype=float) for name, column in numbers.items()},
        index=adata.obs_names,
    )
    return adata


def _bremsc() -> AnnData:
    adata, protein = data.load("bremsc_pbmc", "rna"), data.load("bremsc_pbmc", "protein")
    types = data.load("bremsc_pbmc", "cell_types").set_index("Barcode")["trueType"]
    if list(protein.obs_names) != list(adata.obs_names):
        msg = "bremsc_pbmc: the cells of rna and protein differ."
        raise DataError(msg)
    antibodies = [name.partition("-")[0] for name in protein.var_names]
    adata.obsm["protein"] = pd.DataFrame(protein.X.toarray(), index=adata.obs_names, columns=antibodies)
    known = types.reindex(adata.obs_names).replace("unknown", np.nan)
    adata.obs = pd.DataFrame({"cell_type": known}, index=adata.obs_names)
    return adata


def _stim() -> AnnData:
    import anndata

    parts = {name.removeprefix("pbmc."): part for name, part in data.load("pbmc_stim").items()}
    return anndata.concat(parts, label="condition", index_unique="-")


def _norman() -> AnnData:
    cells = data.load("norman_perturbench", "cells")
    ours = (cells.obs["dataset"] == "norman19").to_numpy()
    adata = cells[ours].copy()
    columns = ["perturbation", "perturbation_type", "cell_type", "dose"]
    adata.obs = adata.obs[columns].assign(n_counts=adata.obs["ncounts"], n_genes=adata.obs["ngenes"])
    adata.var = adata.var[[]]  # statistics of all cells
    adata.uns = {"removed": {"cells of McFaline-Figueroa et al. (noise)": int((~ours).sum())}}
    return adata


def _tissues() -> AnnData:
    from anndata import AnnData

    rows = data.load("hpa_rna_tissue")
    wide = rows.pivot_table(index="Sample", columns=["Gene name", "Gene"], values="Value", observed=True)
    names, ensembl = (wide.columns.get_level_values(level).astype(str) for level in (0, 1))
    var = pd.DataFrame({"ensembl": ensembl}, index=names)
    obs = pd.DataFrame(index=wide.index.astype(str))
    with warnings.catch_warnings():  # names that repeat are what is repaired next
        warnings.filterwarnings("ignore", "Variable names are not unique", UserWarning)
        return AnnData(wide.to_numpy(dtype=np.float32, na_value=0), obs=obs, var=var)


_JOINED: dict[Joined, Callable[[], AnnData]] = {
    "symphony_pbmc": _symphony,
    "bremsc_pbmc": _bremsc,
    "pbmc_stim": _stim,
    "norman": _norman,
    "hpa_tissues": _tissues,
}
