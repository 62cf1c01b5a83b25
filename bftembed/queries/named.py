"""Genes that a text names."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bftembed.datasets import gene_table
from bftembed.genes import map_names

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Words with a capital and a number (CD4, CD62L, IL-2), and words of four capitals or more (PTPRC, HLA-DRA).
_NAME = re.compile(r"(?<![\w-])(?:[A-Z][A-Za-z]*-?\d+[A-Za-z]*\d*|[A-Z][A-Z-]{3,}\d*)(?!\w)")
#: What follows a name that is said to be missing: CD25-, CD3-negative.
_ABSENT = re.compile(r"\s*(?:[-\u2212\u2013](?!\w)|-?\s?negative|\(-\))")


def genes_named(texts: Sequence[str]) -> list[tuple[str, ...]]:
    """Canonical symbols of the genes that each text names, in order.

    A word with a number counts under any name of a gene (``CD16`` stands for FCGR3A and FCGR3B), one of four capitals
    or more only where it is an approved symbol, since ``DNA`` and ``WAS`` are words too. ``CD25-`` and ``CD25
    negative`` name what is missing, and are passed over. Without gene tables on this machine no name is known.

    Parameters
    ----------
    texts
        n texts.

    Returns
    -------
    list
        n tuples; empty for a text that names none.

    Examples
    --------
    >>> genes_named(["A CD4+ CD25- T cell with FOXP3"])  # doctest: +SKIP
    [('CD4', 'FOXP3')]
    """
    table = gene_table()
    words = [list(dict.fromkeys(_present(text))) for text in texts]
    every = list(dict.fromkeys(word for found in words for word in found))
    if table is None or not every:
        return [() for _ in texts]
    frame = map_names(every, table).frame
    means: dict[str, tuple[str, ...]] = {}
    rows = zip(every, frame["symbol"], frame["rule"], frame["candidates"], strict=True)
    for word, symbol, rule, candidates in rows:
        if any(letter.isdigit() for letter in word) or rule == "approved":
            means[word] = (str(symbol),) if symbol else tuple(candidates)
    return [tuple(dict.fromkeys(gene for word in found for gene in means.get(word, ()))) for found in words]


def _present(text: str) -> list[str]:
    return [found.group() for found in _NAME.finditer(text) if not _ABSENT.match(text, found.end())]
