"""Gene sets as they are given: which of their genes are known."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from bftembed.entities import canonical
from bftembed.errors import InputError
from bftembed.naming.enrichment import TermSets

log = logging.getLogger("bftembed")
LEAST_KNOWN = 2
"""Genes that a set needs: one gene has no process in common with others."""


@dataclass(frozen=True, slots=True)
class GivenSet:
    """Genes of a set, each once: canonical symbols, and names as given where they are of no one known gene."""

    genes: tuple[str, ...]
    unknown: tuple[str, ...] = ()

    @property
    def known(self) -> list[str]:
        """The genes that are known, by canonical symbol."""
        return [gene for gene in self.genes if gene not in self.unknown]


def given_sets(sets: Mapping[Any, Iterable[Any]]) -> tuple[dict[str, GivenSet], dict[str, GivenSet]]:
    """Take gene sets, with canonical symbols in place of aliases, previous symbols and Ensembl ids.

    Parameters
    ----------
    sets
        Genes by name of the set.

    Returns
    -------
    sets, removed
        Those that can be named, and those of fewer than two known genes. Without gene tables on this machine every
        name counts as known.

    Raises
    ------
    InputError
        If it is no mapping of names to lists of genes, there are no sets, two have one name, or none can be named.
    GeneNameError
        If almost none of 20 names or more is a gene's, with what the names look like.
    """
    if not isinstance(sets, Mapping) or any(isinstance(genes, str | Mapping) for genes in sets.values()):
        msg = "Gene sets are given as a mapping from the set's name to the list of its genes."
        raise InputError(msg)
    if not sets:
        msg = "There are no gene sets to name."
        raise InputError(msg)
    listed = {id: _texts(id, genes) for id, genes in sets.items()}
    if len({str(id) for id in listed}) < len(listed):
        msg = "Two gene sets have the same name when it is written as text: give each a name of its own."
        raise InputError(msg)
    names = list(dict.fromkeys(name for genes in listed.values() for name in genes))
    symbols = dict(zip(names, canonical(names, check=True), strict=True)) if names else {}
    usable: dict[str, GivenSet] = {}
    removed: dict[str, GivenSet] = {}
    for id, genes in listed.items():
        made = GivenSet(
            tuple(dict.fromkeys(str(symbols[name] or name) for name in genes)),
            tuple(dict.fromkeys(name for name in genes if symbols[name] is None)),
        )
        (usable if len(made.known) >= LEAST_KNOWN else removed)[str(id)] = made
    if not usable:
        raise InputError(_too_few(removed))
    if removed:
        shown = ", ".join(f"{id!r}" for id in list(removed)[:5]) + (", ..." if len(removed) > 5 else "")
        log.warning(
            "%d of %d gene sets have fewer than %d known genes and get no name: %s",
            len(removed),
            len(listed),
            LEAST_KNOWN,
            shown,
        )
    return usable, removed


def in_current_symbols(terms: TermSets) -> TermSets:
    """The same terms with the canonical symbols of today, by which given genes go; unknown names stay as they are."""
    names = sorted(terms.background.union(*terms.sets.values()))
    symbols = {name: str(symbol or name) for name, symbol in zip(names, canonical(names), strict=True)}
    return TermSets(
        {term: [symbols[name] for name in genes] for term, genes in terms.sets.items()},
        background={symbols[name] for name in terms.background},
    )


def _too_few(removed: Mapping[str, GivenSet]) -> str:
    id, one = next(iter(removed.items()))
    unknown = (
        f" Not known: {', '.join(one.unknown[:5])}{', ...' if len(one.unknown) > 5 else ''}." if one.unknown else ""
    )
    which = f"The gene set {id!r} has" if len(removed) == 1 else f"Each of the {len(removed)} gene sets has"
    return (
        f"{which} fewer than {LEAST_KNOWN} genes that are known, which have no process in common to name.{unknown} "
        "`bftembed genes check` says how names are understood."
    )


def _texts(id: Any, genes: Iterable[Any]) -> list[str]:
    if not isinstance(genes, Iterable):
        msg = f"The genes of the set {id!r} are a list of names, got {genes!r}."
        raise InputError(msg)
    return [text for gene in genes if not pd.isna(gene) and (text := str(gene).strip())]
