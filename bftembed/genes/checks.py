"""Detect lists in which almost no name is a gene's, and say how to mend them."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import numpy as np

from bftembed._warn import warn
from bftembed.errors import GeneNameError
from bftembed.genes.decorations import find_decoration
from bftembed.genes.ids import clean_names, is_number
from bftembed.genes.mapping import MAPPED

if TYPE_CHECKING:
    from collections.abc import Callable

    from bftembed.genes.mapping import MappingResult
    from bftembed.genes.table import GeneTable

SHORT_LIST = 20
"""Names from which on shares are looked at."""
_STRONG, _FEW = 0.05, 0.5  # share by rules that accidents rarely fit, and by any rule
_MOUSE_ERROR, _MOUSE_WARNING = 0.5, 0.1  # share of the names matched: a list of mouse genes, or one mixed with them
_ACCIDENTAL = ("case", "alias", "excel")  # V1, PC5, c9, 3: names of columns that some gene was once called


def next_to_none(result: MappingResult) -> bool:
    """Whether no name is a gene's, or so few that they may well be accidents.

    Of 20 names or more, that is less than half of them by any rule and less than 5 % by other rules than case slip,
    alias and date.
    """
    n = int((result.frame["rule"] != "missing").sum())
    strong = sum(count for rule, count in result.counts().items() if rule in MAPPED and rule not in _ACCIDENTAL)
    return result.n_mapped == 0 or (n >= SHORT_LIST and result.n_mapped < _FEW * n and strong < _STRONG * n)


def check_human(result: MappingResult, *, capitals: str = "`[name.upper() for name in names]`.") -> None:
    """Refuse a list of genes of a mouse that was mapped as one of human genes.

    A single name with one capital may be a slip; a single Ensembl id of the mouse is none.

    Parameters
    ----------
    result
        Of `map_names`, of names that are said to be human.
    capitals
        Code that puts names into capitals.

    Raises
    ------
    GeneNameError
        If more than half of the names that could be matched look like those of a mouse.

    Warns
    -----
    BftembedWarning
        If more than a tenth do.

    Examples
    --------
    >>> from bftembed.datasets import gene_table
    >>> from bftembed.errors import GeneNameError
    >>> from bftembed.genes import check_human, map_names
    >>> check_human(map_names(["TP53", "CD79A"], gene_table()))
    >>> try:
    ...     check_human(map_names(["Trp53", "Cd79a", "Actb"], gene_table()))
    ... except GeneNameError as error:
    ...     print(str(error).partition(":")[0])
    The genes look like those of a mouse
    """
    like = result.mouse_like
    symbols = result.frame["symbol"].notna().to_numpy()
    share = int(like.sum()) / max(int((like | symbols).sum()), 1)
    slip = like.sum() == 1 and symbols[like].all()
    if share <= _MOUSE_WARNING or slip:
        return
    names = [str(name) for name in result.frame["original"][like]]
    shown = ", ".join(map(repr, names[:3]))
    if share <= _MOUSE_ERROR:
        warn(
            f"{len(names)} of {len(like)} gene names look like those of a mouse ({shown}) and were taken as human "
            "wherever they match by case alone. If species are mixed, split them first."
        )
        return
    msg = (
        f"The genes look like those of a mouse: {len(names)} of {len(like)} are mouse Ensembl ids or match a human "
        f"symbol by case alone ({shown}). Make human genes of them first, in Python: those of an AnnData by "
        '`bft.pp.map_genes(adata, species="mouse", orthologs=...)` (written to a file, it goes to the command line '
        'with `--gene-symbols bft_gene`), a list by `bftembed.genes.map_names(names, None, species="mouse", '
        f"orthologs=...).symbols`. If they are human, write them in capitals: {capitals}"
    )
    raise GeneNameError(msg)


def check_mapped(result: MappingResult, table: GeneTable | None) -> None:
    """Refuse numbers, genes of a mouse, and a list of 20 names or more of which almost none is a gene's.

    Parameters
    ----------
    result
        Of `map_names`.
    table
        The table that it was made with.

    Raises
    ------
    GeneNameError
        With what the names look like and how to mend them.

    Examples
    --------
    >>> from bftembed.genes import check_mapped, map_names
    >>> check_mapped(map_names(["TP53", "ALB"], None), None)  # these may be genes
    >>> try:
    ...     check_mapped(map_names(["1", "2", "3"], None), None)
    ... except ValueError as error:
    ...     print(type(error).__name__)
    GeneNameError
    """
    check_human(result)
    numbers = all(is_number(str(name)) for name in result.frame["original"])
    if len(result.frame) and next_to_none(result) and (numbers or len(result.frame) >= SHORT_LIST):
        why = remedy(result, table, edit=_edit_list, entrez=_ENTREZ_LIST)
        msg = f"{summary(result)} {why or 'Gene symbols or Ensembl gene ids (ENSG...) are needed.'}"
        raise GeneNameError(msg)


def summary(result: MappingResult) -> str:
    """One sentence: how many names could be mapped, some of the others, the counts by rule."""
    lost = [str(name) for name in result.frame["original"][result.frame["symbol"].isna()]]
    count = f"Only {result.n_mapped}" if result.n_mapped else "None"
    shown = ", ".join(map(repr, lost[:3]))
    return f"{count} of {len(result.frame)} gene names could be mapped (not {shown}); {result.report()}."


def remedy(result: MappingResult, table: GeneTable | None, *, edit: Callable[[str, bool], str], entrez: str) -> str:
    """What names that could not be mapped look like, and the code that mends them; ``""`` where nothing is noticed.

    Parameters
    ----------
    result, table
        As for `check_mapped`.
    edit
        Code that takes a prefix or suffix away, from its pattern and whether other names have another one.
    entrez
        Code that makes symbols of Entrez ids.
    """
    unknown = clean_names(result.frame["original"][result.frame["rule"] == "unknown"])[0].tolist()
    if np.mean([is_number(name) for name in unknown] or [False]) > _FEW:
        return f"They are numbers: positions of a matrix without gene names, or Entrez ids. The latter become {entrez}"
    if table is None or (found := find_decoration(unknown, table)) is None:
        return ""
    others = "".join(f", others {text!r}" for text in found.others)
    return f"They have the {found.kind} {found.text!r}{others}; take it away first: {edit(found.pattern, bool(others))}"


_ENTREZ_LIST = (
    'symbols by `info = bftembed.data.load("ncbi_gene_info"); symbols = dict(zip(info["GeneID"].astype(str), '
    'info["Symbol"])); names = [symbols[name] for name in names if name in symbols]`.'
)


def _edit_list(pattern: str, mixed: bool) -> str:  # noqa: FBT001
    only, option, end = (f" if re.search({pattern!r}, name)", "-nE", "p") if mixed else ("", "-E", "")
    sed = shlex.quote(f"s/{pattern.replace('/', '[/]')}//{end}")
    return f"`names = [re.sub({pattern!r}, '', name) for name in names{only}]`, or `sed {option} {sed}` on a file."
