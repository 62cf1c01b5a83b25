"""Which genes a drug changes, from cells: the labels of questions about drugs on data of the user."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bftembed.bench.scoring.scores import digest_of
from bftembed.datasets import one_per_gene
from bftembed.entities.controls import CONTROLS, is_control, plain_name
from bftembed.errors import DataError
from bftembed.expression import check_columns, chosen_matrix, column_of, gene_names, normalised_chunks, opened

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from anndata import AnnData

logger = logging.getLogger("bftembed")

DRUG_COLUMNS = ("drug", "perturbation", "pert", "compound", "treatment", "condition")
LINE_COLUMNS = ("cell_line", "cell_name", "cell")
_P_POSITIVE, _LEAST_CHANGE, _P_NEGATIVE = 0.05, 0.25, 0.1
_NEGATIVES = 200
#: Cells of a drug, of the control, and in which a gene is found at all, in one cell line.
_LEAST_CELLS = 10


def drug_effects(
    adata: AnnData | str | Path,
    *,
    drug_key: str | None = None,
    cell_line_key: str | None = None,
    control: str | None = None,
    layer: str | None = None,
    seed: int = 0,
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Genes that drugs change and do not change, by Wilcoxon's rank-sum test against the control of the cell line.

    The rules of VCWorld: a gene is changed where the p-value, adjusted over the genes (Benjamini-Hochberg), is below
    0.05 and the log2 fold change beyond 0.25; it is not where the p-value itself is above 0.1; all between is left out.
    Of the unchanged genes of a drug in a cell line at most 200 are taken, by a hash of the seed and the names, so that
    the order of cells and genes decides nothing.

    Parameters
    ----------
    adata
        Cells, or their file: counts or log-normalised values, which are read into memory.
    drug_key, cell_line_key
        Columns of ``obs``; by default the first that is there of ``drug``, ``perturbation``, ``pert``, ``compound``,
        ``treatment``, ``condition``, and of ``cell_line``, ``cell_name``, ``cell``. Without a column of cell lines all
        cells are taken as one line.
    control
        Name of the control; by default ``DMSO_TF`` (Tahoe-100M) if it is there, else all names of controls that
        public data have. Cells of another control take no part.
    layer
        Of the values, in place of ``X``.
    seed
        Of the hash.

    Returns
    -------
    rows
        ``pert``, ``gene``, ``cell`` (``""`` without a column of cell lines), ``label`` (1: changed), ``up`` (whether
        the fold change is above 0; of unchanged genes too), sorted. Genes by canonical symbols where they have one.
    removed
        What was left out, and how often: cells without a drug, drugs and lines with fewer than 10 cells.

    Raises
    ------
    DataError
        If there is no column of drugs, no control, or no drug left.
    InputError
        If the values cannot be used.
    MissingExtraError
        If scanpy is not installed.
    """
    cells, removed = _cells(adata, drug_key, cell_line_key, layer)
    cells.obs["group"], not_tested = _groups(cells.obs["pert"], control)
    removed |= not_tested
    parts = []
    for line in sorted(set(cells.obs["cell"])):
        of_line = cells[((cells.obs["cell"] == line) & (cells.obs["group"] != "")).to_numpy()]
        part, counts = _of_line(of_line, line, seed)
        parts.append(part)
        removed |= {reason: removed.get(reason, 0) + n for reason, n in counts.items()}
    rows = pd.concat(parts, ignore_index=True)
    if rows.empty:
        msg = f"No cell line has {_LEAST_CELLS} cells of a drug and as many of the control: there is nothing to ask."
        raise DataError(msg)
    rows = rows.sort_values(["pert", "gene", "cell"], ignore_index=True)
    return rows, {reason: n for reason, n in removed.items() if n}


def _groups(names: pd.Series[str], control: str | None) -> tuple[pd.Series[str], dict[str, int]]:
    """``"control"`` or ``"drug NAME"`` of each cell, ``""`` of a cell that is neither, and how many are not."""
    known = {plain_name(name) for name in CONTROLS}
    controls = {name for name in set(names) if name and is_control(name, known)}
    reference = {control} if control is not None else {"DMSO_TF"} & controls or controls
    group = "drug " + names.where(~names.isin(controls | {""}), "")
    group = group.where(group != "drug ", "").where(~names.isin(reference), "control")
    if not (group == "control").any():
        wanted = "has a name of a control" if control is None else f"is of the control `{control}`"
        msg = f"No cell {wanted}, and drugs are tested against it; give its name as `control=`."
        raise DataError(msg)
    without = names == ""
    return group, {
        "cells without a name of a drug": int(without.sum()),
        "cells of another control": int(((group == "") & ~without).sum()),
    }


def _cells(
    adata: Any, drug_key: str | None, cell_line_key: str | None, layer: str | None
) -> tuple[AnnData, dict[str, int]]:
    """Log-normalised cells by gene, with ``pert`` and ``cell``; and how many columns of a gene were left out."""
    import anndata
    from scipy.sparse import csr_matrix, vstack

    with opened(adata) as parts:
        matrix = chosen_matrix(parts, layer=layer, use_raw=False)
        drugs = _column(parts.obs, drug_key, DRUG_COLUMNS)
        if drugs is None:
            there = ", ".join(map(str, parts.obs.columns)) or "none"
            msg = f"`obs` has no column {', '.join(DRUG_COLUMNS)}, but {there}; name that of the drugs as `drug_key=`."
            raise DataError(msg)
        lines = _column(parts.obs, cell_line_key, LINE_COLUMNS)
        names = gene_names(parts)
        x = csr_matrix(vstack([rows.astype(np.float32) for _, rows, _ in normalised_chunks(matrix)]))
    symbols, stands = one_per_gene(names, np.asarray(x.sum(axis=0)).ravel())
    unknown = np.array([symbol is None for symbol in symbols])
    genes = pd.Index(np.where(unknown, names, symbols).astype(str))
    kept = (stands | unknown) & (names != "") & ~genes.duplicated()
    obs = pd.DataFrame({"pert": drugs, "cell": "" if lines is None else lines}, dtype=object)
    cells = anndata.AnnData(x[:, kept], obs=obs.set_index(obs.index.astype(str)), var=pd.DataFrame(index=genes[kept]))
    return cells, {"columns of a gene that another column means better": int((~kept).sum())}


def _column(obs: Any, key: str | None, choices: Iterable[str]) -> list[str] | None:
    if key is not None:
        check_columns(obs, "adata.obs", [key])
    key = key or next((choice for choice in choices if choice in obs.columns), None)
    if key is None:
        return None
    values = column_of(obs, key)
    return ["" if missing else str(value).strip() for value, missing in zip(values, values.isna(), strict=True)]


def _of_line(cells: AnnData, line: str, seed: int) -> tuple[pd.DataFrame, dict[str, int]]:
    import scanpy as sc

    columns = ["pert", "gene", "cell", "label", "up"]
    n_cells = cells.obs["group"].value_counts()
    enough = sorted(group for group in n_cells.index[n_cells >= _LEAST_CELLS] if group != "control")
    n_few = len(n_cells) - len(enough) - ("control" in n_cells)
    counts = {f"drugs with fewer than {_LEAST_CELLS} cells in a cell line": n_few}
    if n_cells.get("control", 0) < _LEAST_CELLS:
        return pd.DataFrame(columns=columns), {f"cell lines with fewer than {_LEAST_CELLS} cells of the control": 1}
    if not enough:
        return pd.DataFrame(columns=columns), counts
    tested = cells[cells.obs["group"].isin([*enough, "control"]).to_numpy()].copy()
    found = np.asarray((tested.X > 0).sum(axis=0)).ravel() >= _LEAST_CELLS
    tested = tested[:, found].copy()
    tested.obs["group"] = tested.obs["group"].astype("category")
    tested.uns["log1p"] = {"base": None}
    sc.tl.rank_genes_groups(tested, "group", groups=enough, reference="control", method="wilcoxon")
    parts = []
    for group in enough:
        drug = group.removeprefix("drug ")
        table = sc.get.rank_genes_groups_df(tested, group)
        change = table["logfoldchanges"]
        changed = (table["pvals_adj"] < _P_POSITIVE) & (change.abs() > _LEAST_CHANGE)
        unchanged = table["names"][~changed & (table["pvals"] > _P_NEGATIVE)]
        negatives = sorted(unchanged, key=lambda gene: digest_of([f"{seed}|{line}|{drug}|{gene}"]))[:_NEGATIVES]
        taken = changed | table["names"].isin(negatives)
        part = {"pert": drug, "gene": table["names"], "cell": line, "label": changed.astype(int), "up": change > 0}
        parts.append(pd.DataFrame(part)[taken.to_numpy()])
    return pd.concat(parts, ignore_index=True), counts
