"""Names for what the genes of a set do together, beside the processes in which they are enriched."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from bftembed._keys import check_place, with_provenance
from bftembed._near import check_number
from bftembed.errors import InputError
from bftembed.expression import check_columns, checked_anndata, column_of, made_actual
from bftembed.naming import name_sets
from bftembed.tl._markers import group_sizes, marker_genes

if TYPE_CHECKING:
    from pathlib import Path

    from anndata import AnnData

    from bftembed.engines import AnswerStore, Engine, Sampling
    from bftembed.expression import Values
    from bftembed.naming import TermSets

log = logging.getLogger("bftembed")
_RANKED = "rank_genes_groups"


@dataclass(frozen=True, slots=True)
class _Groups:
    """Which genes of which groups: arguments that concern an AnnData alone."""

    groupby: str | None = None
    n_top: int = 30
    ranked: str | None = _RANKED
    gene_symbols: str | None = None
    layer: str | None = None
    use_raw: bool = False
    values: Values = "auto"


def name_gene_set(  # noqa: PLR0913
    genes: Any,
    *,
    groupby: str | None = None,
    engine: str | Engine = "default",
    cascade: bool = False,
    terms: TermSets | str | Path | None = None,
    n_terms: int = 5,
    n_top: int = 30,
    ranked: str | None = _RANKED,
    gene_symbols: str | None = None,
    layer: str | None = None,
    use_raw: bool = False,
    values: Values = "auto",
    sampling: Sampling | None = None,
    store: AnswerStore | str | Path | None = None,
    key_added: str = "bft_process",
    progress: bool | None = None,
) -> pd.DataFrame | pd.Series[Any]:
    """Name the process that the genes of a set have in common.

    A language model gives the name. Beside it stand the processes of the Gene Ontology in which the genes are enriched
    (hypergeometric test, q-values after Benjamini and Hochberg), with the genes that they share with the set, and
    whether the name has a word in common with any of them. A name is what a model makes of a list of genes, and no
    result of a test.

    Parameters
    ----------
    genes
        Genes of one set; genes by name of the set; or an AnnData, whose groups of cells are named by the genes that set
        each of them apart. Symbols, previous symbols, aliases and Ensembl ids; names that are not known stay in the
        prompt. The names of the sets and of the groups are in no prompt.
    groupby
        Column of ``.obs`` with the groups, of an AnnData.
    engine
        Language model, see `bftembed.engines.get_engine`. ``"annotation"`` uses none: the process with the smallest
        q-value is the name, which is what any model's name has to be compared with.
    cascade
        Have the model state the claims behind its name, look each up in tables on this machine (enrichment, RefSeq
        summaries, full names, TRRUST, LIANA), judge them by what was found, and name the set again; after GeneAgent
        (Wang Z et al. Nat Methods 2025). About 4 + 2 n prompts for a set with n claims, at most five of them.
    terms
        Processes to test: a .gmt file, or `bftembed.naming.TermSets`; by default 6,036 of GO (``data fetch
        go_bp_2021``).
    n_terms
        Most processes of each set in the result, of those with q <= 0.05.
    n_top
        Most genes of a group of cells.
    ranked
        Key in ``.uns`` of a ranking by ``scanpy.tl.rank_genes_groups``: its genes with positive scores are taken where
        it is of `groupby`. None, or where there is no such ranking: the genes with the largest t of Welch's test
        between the log-normalised expression of the group and that of all other cells.
    gene_symbols
        Column of ``.var`` with names of the genes; by default ``var["bft_gene"]`` of :func:`bftembed.pp.map_genes`, or
        ``var_names``.
    layer, use_raw, values
        Which matrix, and what it holds, as in :func:`bftembed.tl.describe_clusters`; not used with a ranking.
    sampling
        How tokens are drawn; greedy by default.
    store
        Where answers are kept, or its file: a call that was interrupted goes on, and asks nothing twice.
    key_added
        Of an AnnData: where results are put.
    progress
        Show a bar; by default if the error stream is a terminal.

    Returns
    -------
    pandas.DataFrame
        One row per set or group, in their order, without those of fewer than two known genes. Of one list of genes the
        row alone, as a Series.

        ``name`` (``""`` where there is none), ``confidence`` (of the model, 0 to 1, or NaN), ``unrelated`` (the model
        says that the genes have nothing in common), ``best_term`` and its ``q_value``, ``agreement`` of the name with
        the enriched terms (``"agrees"``, ``"differs"``, ``"no enriched term"``, ``"no name"``); ``terms``, a list of
        mappings (``term``, ``p_value``, ``q_value``, ``size``, ``overlap``); ``claims``, a list of mappings (``claim``,
        ``verdict``: ``"supported"``, ``"not supported"``, ``"not checkable"``; ``evidence``); ``first_name``, before
        the claims were checked; ``summary``; ``genes`` and ``unknown``, those of the prompt, and of them the unknown
        ones; ``kept_at``, stages that failed, at which the set kept what it had.

        Of an AnnData also ``.uns["bft"][key_added]["names"]``: the tables ``names``, ``terms`` and ``claims``, counts,
        engine, version and date.

    Raises
    ------
    InputError
        If there are fewer than two known genes in the set or in all of them, cells without a group, a group of one
        cell, or an argument cannot be used.
    BftembedError
        If the model named not one set; the message has the reasons.
    DataError
        If the processes cannot be had.
    EngineError, StoreError
        If the model or the store cannot be used.

    Examples
    --------
    >>> import bftembed as bft
    >>> found = bft.tl.name_gene_set(["MLH1", "MSH2", "MSH6", "PMS2", "EXO1"], engine="annotation")
    >>> found["name"], found["terms"][0]["overlap"]
    ('mismatch repair', ['EXO1', 'MLH1', 'MSH2', 'MSH6', 'PMS2'])
    """
    groups = _Groups(groupby, n_top, ranked, gene_symbols, layer, use_raw, values)
    options: dict[str, Any] = {
        "engine": engine,
        "checked": cascade,
        "terms": terms,
        "n_terms": n_terms,
        "sampling": sampling,
        "store": store,
        "progress": progress,
    }
    if hasattr(genes, "obs_names") or isinstance(getattr(genes, "mod", None), Mapping):
        return _of_groups(genes, groups, options, key_added)
    if groups != _Groups():
        given = next(name for name, value in asdict(groups).items() if value != getattr(_Groups(), name))
        msg = f"`{given}` is for an AnnData; genes were given as a {type(genes).__name__}."
        raise InputError(msg)
    if isinstance(genes, Mapping):
        return name_sets(genes, **options)[0]
    if isinstance(genes, str | pd.DataFrame) or not isinstance(genes, Iterable):
        msg = f"`genes` is a list of genes, genes by name of the set, or an AnnData, got {str(genes)[:80]!r}."
        raise InputError(msg)
    return name_sets({"genes": list(genes)}, **options)[0].iloc[0]


def _of_groups(adata: AnnData, groups: _Groups, options: Mapping[str, Any], key_added: str) -> pd.DataFrame:
    checked_anndata(adata)
    check_place(adata, key_added)
    check_number("n_top", groups.n_top, least=1, whole=True)
    if groups.groupby is None:
        msg = "Say with `groupby` which column of `adata.obs` has the groups, e.g. groupby='leiden'."
        raise InputError(msg)
    sets, method = _genes_of_groups(adata, groups, groups.groupby, progress=options["progress"])
    table, info = name_sets(sets, **options)
    info |= {"groupby": groups.groupby, "n_top": groups.n_top, "genes_by": method}
    with made_actual():
        adata.uns["bft"] = with_provenance(
            adata.uns.get("bft", {}), key_added, "names", {**info, **storable_tables(table)}
        )
    log.info("%d groups of `%s` -> uns['bft'][%r]['names']", len(table), groups.groupby, key_added)
    return table


def _genes_of_groups(
    adata: AnnData, groups: _Groups, groupby: str, *, progress: bool | None
) -> tuple[dict[str, list[str]], str]:
    """Genes of each group, and how they were chosen."""
    sizes = group_sizes(adata, groupby)
    ranking = None if groups.ranked is None else _ranking(adata, groups.ranked, groupby)
    if ranking is not None:
        names, scores = ranking["names"], ranking["scores"]
        chosen = {
            group: [str(gene) for gene, score in zip(names[group], scores[group], strict=True) if score > 0]
            for group in map(str, sizes.index)
            if group in names.dtype.names
        }
        chosen = {group: [gene for gene in genes if gene != "nan"][: groups.n_top] for group, genes in chosen.items()}
        return _renamed(adata, chosen, groups), f"uns[{groups.ranked!r}]"
    found = marker_genes(
        adata,
        groupby,
        n_top=groups.n_top,
        layer=groups.layer,
        use_raw=groups.use_raw,
        values=groups.values,
        progress=progress,
    )
    return _renamed(adata, found, groups), "Welch's t against all other cells"


def _ranking(adata: AnnData, key: str, groupby: str) -> Mapping[str, Any] | None:
    """A ranking of scanpy's, if it is of these groups."""
    held = adata.uns.get(key)
    if held is None and key != _RANKED:
        msg = f"`adata.uns` has no ranking {key!r}: sc.tl.rank_genes_groups(adata, {groupby!r}, key_added={key!r})."
        raise InputError(msg)
    if held is None:
        return None
    of = held.get("params", {}).get("groupby") if isinstance(held, Mapping) else None
    if of != groupby:
        if key != _RANKED:
            msg = (
                f"The ranking `adata.uns[{key!r}]` is of {of!r}, not of {groupby!r}: rank these groups, or ranked=None."
            )
            raise InputError(msg)
        log.info("uns[%r] is of %r: the genes of %r are ranked here", key, of, groupby)
        return None
    found: Mapping[str, Any] = held
    return found


def _renamed(adata: AnnData, chosen: Mapping[str, list[str]], groups: _Groups) -> dict[str, list[str]]:
    """Genes by the names in a column of ``var``, where one is given or :func:`pp.map_genes` left one."""
    column = groups.gene_symbols or "bft_gene"
    frames = [adata.var, *([adata.raw.var] if adata.raw is not None else [])]
    if groups.gene_symbols is not None:
        check_columns(adata.var, "adata.var", [column])
    names: dict[str, str] = {}
    for frame in reversed(frames):
        if column in frame.columns:
            values = column_of(frame, column)
            known = zip(map(str, frame.index), values, values.notna(), strict=True)
            names.update({own: str(name) for own, name, there in known if there and str(name).strip()})
    return {group: [names.get(gene, gene) for gene in genes] for group, genes in chosen.items()}


def storable_tables(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Tables that files can hold: ``names``, one row per set; ``terms`` and ``claims``, one row for each of a set."""
    flat = table.drop(columns=["terms", "claims"])
    flat = flat.assign(**{column: [", ".join(genes) for genes in table[column]] for column in ("genes", "unknown")})
    found = {"names": flat}
    columns = {
        "terms": ("term", "p_value", "q_value", "size", "overlap"),
        "claims": ("claim", "verdict", "evidence"),
    }
    for name, fields in columns.items():
        rows = [{"gene_set": id, **each} for id, those in table[name].items() for each in those]
        frame = pd.DataFrame(rows, columns=["gene_set", *fields])
        if name == "terms":
            frame["overlap"] = [", ".join(genes) for genes in frame["overlap"]]
        frame.index = frame.index.astype(str)
        found[name] = frame
    return found
