"""What the gene tables say of genes: a summary for prompts, and documents by which genes are compared."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bftembed import datasets
from bftembed.entities import canonical
from bftembed.likeness import GENE_TEXTS

if TYPE_CHECKING:
    from collections.abc import Sequence


def gene_summaries(names: Sequence[str]) -> dict[str, str]:
    """RefSeq summaries by name; a name without one is left out.

    Parameters
    ----------
    names
        Of genes, in any spelling that the gene table knows.

    Raises
    ------
    InputError
        If the gene tables have not been fetched.

    Examples
    --------
    >>> gene_summaries(["TP53", "no gene"])["TP53"][:38]
    'This gene encodes a tumor suppressor p'
    """
    return _texts(names, ("summary",))


def gene_documents(names: Sequence[str]) -> dict[str, str]:
    """RefSeq summary and names of GO terms by name; a name that has neither is left out.

    Parameters
    ----------
    names
        Of genes, in any spelling that the gene table knows.

    Raises
    ------
    InputError
        If the gene tables have not been fetched.

    Examples
    --------
    >>> "nucleus" in gene_documents(["GATA1"])["GATA1"]
    True
    """
    return _texts(names, GENE_TEXTS)


def _texts(names: Sequence[str], columns: Sequence[str]) -> dict[str, str]:
    frame = datasets.required(datasets.gene_facts(), "genes").frame
    texts = frame[list(columns)].agg(" ".join, axis=1).str.replace("|", " ").str.strip()
    known = dict(zip(frame["symbol"], texts, strict=True))
    found = {name: known.get(symbol, "") for name, symbol in zip(names, canonical(names), strict=True)}
    return {name: text for name, text in found.items() if text}
