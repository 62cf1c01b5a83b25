"""`map_genes`: one canonical name per gene of an AnnData, nothing lost silently."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bftembed import datasets
from bftembed._warn import warn
from bftembed.errors import GeneNameError, InputError
from bftembed.expression import check_columns, checked_anndata, made_actual, parts_of
from bftembed.genes import map_names
from bftembed.genes.checks import SHORT_LIST, check_human, next_to_none, remedy, summary
from bftembed.pp._column_sums import column_sums

if TYPE_CHECKING:
    import numpy.typing as npt
    from anndata import AnnData

    from bftembed.genes import GeneTable, MappingResult, Orthologs
    from bftembed.genes.mapping import GeneIdType

logger = logging.getLogger("bftembed")

_FEW = 0.5  # share of the names mapped that is worth a warning, in lists that are not short


def map_genes(
    adata: AnnData,
    *,
    gene_symbols: str | None = None,
    species: str = "human",
    gene_id_type: GeneIdType = "auto",
    table: GeneTable | None = None,
    orthologs: Orthologs | None = None,
    key_added: str = "bft_gene",
) -> None:
    """Give each column its canonical gene symbol.

    Each name is mapped on its own: approved symbols, Ensembl gene ids with or without version, case slips, previous
    symbols, aliases, symbols that a spreadsheet turned into dates (see `bftembed.genes.map_names`). A name that may be
    several genes is reported and left out, not guessed. Of columns that are the same gene the one with the better rule
    keeps it (approved, ensembl, case, previous, listed, alias, excel), among equal ones that with the largest sum of
    ``X``, then the first. ``var_names`` and ``X`` stay as they are.

    Parameters
    ----------
    adata
        In memory, backed or lazy; ``X`` is read only if two columns are the same gene.
    gene_symbols
        Column of ``var`` with the names, in place of ``var_names``.
    species
        ``"human"`` or ``"mouse"``. Mouse genes get human symbols by `orthologs`; without it they keep their names.
    gene_id_type
        ``"auto"`` tells names apart one by one; ``"ensembl"`` and ``"symbol"`` accept only such names.
    table
        Default: `datasets.gene_table()`. Where that has no sources, names stay unchanged, with a warning.
    orthologs
        DataFrame with the columns ``mouse`` and ``human``, or a mapping of mouse names to human ones.
    key_added
        Name of the column that is added.

    Returns
    -------
    Nothing. Sets the following fields:

    ``adata.var[key_added]``
        Categorical: the symbol; missing if the name is ambiguous or unknown, or another column has the gene.
    ``adata.var[key_added + "_rule"]``
        Categorical: the rule that gave it; else ambiguous, unknown, missing or duplicate.
    ``adata.uns["bft"]["map_genes"]``
        Number of names by rule; arrays of the ambiguous names with their candidates (``A|B``) and of the duplicates
        with the rule that they matched by and the column kept in their place; parameters and the digest of the table.

    Raises
    ------
    InputError
        If `adata` is empty, has no such column, or has duplicated ``var_names``.
    GeneNameError
        If no name can be mapped, or so few that they may be accidents (of 20 names or more less than half, and less
        than 5 % other than by alias, case or date); or the genes are declared human and look like those of a mouse.

    Warns
    -----
    BftembedWarning
        If there is no gene table, no ortholog table for a mouse, some genes look like those of a mouse, or less than
        half of the names could be mapped.

    Examples
    --------
    >>> import anndata, numpy as np, pandas as pd
    >>> import bftembed as bft
    >>> adata = anndata.AnnData(np.ones((1, 3)), var=pd.DataFrame(index=["TP53", "MARCH1", "ENSG00000167286"]))
    >>> bft.pp.map_genes(adata)
    >>> adata.var["bft_gene"].tolist()
    ['TP53', 'MARCHF1', 'CD3D']
    """
    checked_anndata(adata)
    names = _names(adata, gene_symbols)
    if table is None:
        table = datasets.gene_table()
    result = map_names(names, table, species=species, gene_id_type=gene_id_type, orthologs=orthologs)
    _warn_unmapped(table, species, orthologs)
    _check(adata, result, names, table, species=species, gene_symbols=gene_symbols)
    symbols, kept = _drop_duplicates(adata, result)
    dropped = np.flatnonzero(kept >= 0)
    matched = result.frame["rule"].to_numpy(dtype=object)
    rule = np.where(kept >= 0, "duplicate", matched)
    logger.info("%s, %d duplicates of other columns", result.report(), len(dropped))
    if len(dropped):
        examples = [f"{names[i]} ({matched[i]}; kept: {names[kept[i]]})" for i in dropped[:5]]
        left_out = ", ".join(examples + ["..."] * (len(dropped) > len(examples)))
        logger.info("Of columns of one gene the best match is kept, then the largest total; left out: %s", left_out)
    ambiguous = result.ambiguous
    summary = {
        "gene_symbols": gene_symbols or "var_names",
        "species": species,
        "key_added": key_added,
        "table": "none" if table is None else table.digest,
        "counts": {str(how): int(n) for how, n in pd.Series(rule).value_counts().items()},
        "ambiguous": {"name": _texts(ambiguous), "candidates": _texts("|".join(c) for c in ambiguous.values())},
        "duplicates": {
            "gene": _texts(result.symbols[dropped]),
            "dropped": _texts(names[dropped]),
            "rule": _texts(matched[dropped]),
            "kept": _texts(names[kept[dropped]]),
        },
    }
    # Assigned anew: the `uns` of a view or of a lazy AnnData may hand out copies.
    with made_actual():
        adata.var[key_added] = pd.Categorical(symbols)
        adata.var[f"{key_added}_rule"] = pd.Categorical(rule)
        adata.uns["bft"] = {**adata.uns.get("bft", {}), "map_genes": summary}


def _texts(values: Any) -> npt.NDArray[np.object_]:
    return np.array([str(value) for value in values], dtype=object)


def _names(adata: AnnData, gene_symbols: str | None) -> npt.NDArray[np.object_]:
    if 0 in adata.shape:
        msg = f"The AnnData is empty: {adata.n_obs} cells x {adata.n_vars} genes. Was everything filtered out?"
        raise InputError(msg)
    if gene_symbols is not None:
        check_columns(adata.var, "adata.var", [gene_symbols])
        column = adata.var[gene_symbols]
        return np.asarray(getattr(column, "values", column), dtype=object)
    repeated = adata.var_names[adata.var_names.duplicated()].unique()
    if len(repeated):
        msg = (
            f"{len(repeated)} names in `adata.var_names` stand more than once ({_examples(repeated)}). Keep the names "
            'and make the index unique: `adata.var["gene_name"] = adata.var_names; adata.var_names_make_unique()`, '
            'then call `bft.pp.map_genes(adata, gene_symbols="gene_name")`, which keeps one column of each gene.'
        )
        raise InputError(msg)
    return np.asarray(adata.var_names, dtype=object)


def _examples(names: Any) -> str:
    return ", ".join(repr(str(name)) for name in names[:3])


def _warn_unmapped(table: GeneTable | None, species: str, orthologs: Orthologs | None) -> None:
    if species == "mouse" and orthologs is None:
        msg = "Mouse genes keep their names: there is no ortholog table. Pass `orthologs=` to map them to human genes."
    elif table is None:
        msg = (
            "Gene names are used unchanged, since there is no gene table on this machine. Fetch it once with "
            "`bftembed data fetch hgnc_genes ncbi_gene_info annotables_grch38`, or "
            "`bftembed.datasets.fetch_gene_tables()`; HGNC is enough for symbols, annotables adds Ensembl ids."
        )
    else:
        return
    warn(msg)


def _check(
    adata: AnnData,
    result: MappingResult,
    names: npt.NDArray[np.object_],
    table: GeneTable | None,
    *,
    species: str,
    gene_symbols: str | None,
) -> None:
    check_human(
        result,
        capitals='`adata.var["gene_name"] = adata.var_names.str.upper()`, then `gene_symbols="gene_name"`.',
    )
    if next_to_none(result):
        raise GeneNameError(_explain(adata, result, table, species, gene_symbols))
    if len(names) >= SHORT_LIST and result.n_mapped < _FEW * len(names):
        msg = _explain(adata, result, table, species, gene_symbols)
        warn(msg)


def _explain(
    adata: AnnData, result: MappingResult, table: GeneTable | None, species: str, gene_symbols: str | None
) -> str:
    """How many names are genes, and what to do: another column, a prefix to take away, else what to check."""
    source = "adata.var_names" if gene_symbols is None else f'adata.var["{gene_symbols}"].astype(str)'
    then = 'then `gene_symbols="gene_name"`.'

    def edit(pattern: str, mixed: bool) -> str:  # noqa: FBT001
        subset = f"adata = adata[:, {source}.str.contains({pattern!r})].copy(); " if mixed else ""
        return f'`{subset}adata.var["gene_name"] = {source}.str.replace({pattern!r}, "", regex=True)`, {then}'

    entrez = (
        'symbols by `info = bftembed.data.load("ncbi_gene_info"); adata.var["gene_name"] = '
        f'{source}.map(dict(zip(info["GeneID"].astype(str), info["Symbol"])))`, {then}'
    )
    why = remedy(result, table, edit=edit, entrez=entrez)
    if table is not None and (column := _better_column(adata, result, table)):
        why = f"`adata.var[{column!r}]` holds names of genes: pass `gene_symbols={column!r}`. {why}".strip()
    return (
        summary(result)
        + " "
        + (
            why
            or "Gene symbols or Ensembl gene ids (ENSG...) are needed: are they in another column of `adata.var` "
            f"(`gene_symbols=`), is {species!r} the right `species`, is `gene_id_type`, and for Ensembl ids, is "
            "annotables_grch38 fetched?"
        )
    )


def _better_column(adata: AnnData, result: MappingResult, table: GeneTable) -> str | None:
    """The column of ``var`` of which most entries are genes, looked for in some of the rows."""
    rows = np.unique(np.linspace(0, adata.n_vars - 1, 200).astype(int))
    best, share = None, max(_FEW, result.n_mapped / adata.n_vars)
    for column in adata.var.columns:
        if pd.api.types.is_numeric_dtype(adata.var[column].dtype):
            continue
        found = map_names(_names(adata, str(column))[rows], table).n_mapped / len(rows)
        if found > share:
            best, share = str(column), found
    return best


def _drop_duplicates(adata: AnnData, result: MappingResult) -> tuple[npt.NDArray[np.object_], npt.NDArray[np.intp]]:
    """Symbols with one column per gene, and for each column left out the position of the one kept (else -1)."""
    symbols = pd.Series(result.symbols)
    columns = np.flatnonzero(symbols.notna() & symbols.duplicated(keep=False))
    if len(columns) == 0:
        return result.symbols, np.full(len(symbols), -1, dtype=np.intp)
    totals = np.zeros(len(symbols))
    if (matrix := parts_of(adata).x) is not None:
        totals[columns] = column_sums(matrix, columns)
    kept = result.representatives(totals)
    kept[kept == np.arange(len(kept))] = -1
    symbols[kept >= 0] = None
    return symbols.to_numpy(dtype=object), kept
