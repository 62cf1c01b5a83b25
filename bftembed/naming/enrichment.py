"""Which terms of a collection of gene sets are over-represented among some genes."""

from __future__ import annotations

from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bftembed.data import load, read_gmt
from bftembed.errors import InputError
from bftembed.naming.parsing import clean_name

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from pathlib import Path

    from scipy.sparse import csr_matrix


class Term(NamedTuple):
    """One term: its p-value, that corrected by all terms tested (Benjamini-Hochberg), genes shared, genes in all.

    Examples
    --------
    >>> from bftembed.naming import Term
    >>> Term("mismatch repair", 1e-6, 1e-5, ("MLH1", "MSH2"), 25).overlap
    ('MLH1', 'MSH2')
    """

    name: str
    p_value: float
    q_value: float
    overlap: tuple[str, ...]
    size: int


class TermSets:
    """Gene sets with names, to be tested for over-representation among other genes.

    Parameters
    ----------
    sets
        Genes by name of the term. Each counts once; an empty set is left out.
    background
        Genes that could have been drawn; the others are left out of the test on both sides. By default all genes of
        `sets`.

    Raises
    ------
    InputError
        If there is no gene in any of the sets.

    Examples
    --------
    >>> from bftembed.naming import TermSets
    >>> sets = TermSets({"mismatch repair": ["MLH1", "MSH2", "MSH6"], "globins": ["HBA1", "HBB"], "kinases": ["ABL1"]})
    >>> [(term.name, round(term.p_value, 3), term.overlap) for term in sets.enrich(["MSH2", "MLH1", "ABL1"], top=1)]
    [('mismatch repair', 0.5, ('MLH1', 'MSH2'))]
    """

    def __init__(self, sets: Mapping[str, Iterable[str]], *, background: Collection[str] | None = None) -> None:
        self.sets = {name: genes for name, listed in sets.items() if (genes := frozenset(listed))}
        if not self.sets:
            msg = "There are no genes in the gene sets, so nothing can be tested."
            raise InputError(msg)
        self.background = frozenset(background) if background is not None else frozenset().union(*self.sets.values())

    @classmethod
    def read_gmt(cls, path: Path, *, background: Collection[str] | None = None) -> TermSets:
        """Read a GMT file: name, description and genes, separated by tabs, one set a line.

        Raises
        ------
        DataError
            If a line has no tabs or a name stands twice; it names the line.
        """
        return cls(read_gmt(path), background=background)

    @staticmethod
    @lru_cache(maxsize=1)
    def go() -> TermSets:
        """Biological processes of Gene Ontology (Enrichr's release of 2021), 6,036 terms.

        Raises
        ------
        DataError
            If they cannot be fetched.
        """
        return TermSets(load("go_bp_2021"))

    def enrich(
        self, genes: Iterable[str], *, without: str | None = None, max_jaccard: float = 0.9, top: int | None = None
    ) -> list[Term]:
        """Test which terms share more of some genes than chance would give (one-sided hypergeometric test).

        Parameters
        ----------
        genes
            Symbols, as in the sets.
        without
            Name of a term that may not be found, because the genes are its own: it is left out, however its name is
            written (`clean_name`), and so is every term of about the same genes.
        max_jaccard
            With `without`: a term is left out if it shares this part of its genes and `genes` together.
        top
            Only so many.

        Returns
        -------
        Terms that share a gene with `genes`, the smallest p-value first; between equal ones the larger overlap decides,
        then the name. All terms of the collection that are not left out count as tested.
        """
        from scipy.stats import false_discovery_control, hypergeom

        query = frozenset(genes)
        drawn = query & self.background
        marked = np.zeros(len(self.background), dtype=np.int64)
        marked[[self._columns[gene] for gene in drawn]] = 1
        shared = self._members @ marked
        tested = self._sizes > 0
        if without is not None:
            tested &= ~self._same_as(query, shared, clean_name(without), max_jaccard)
        places = np.flatnonzero(tested)
        some = np.flatnonzero(shared[places])
        if not len(some):
            return []
        p = np.ones(len(places))  # that of a term without any of the genes
        p[some] = hypergeom.sf(shared[places[some]] - 1, len(self.background), self._sizes[places[some]], len(drawn))
        q = np.asarray(false_discovery_control(np.minimum(p, 1)))
        order = sorted(some.tolist(), key=lambda i: (p[i], -shared[places[i]], self._names[places[i]]))
        return [self._term(int(places[i]), float(p[i]), float(q[i]), drawn) for i in order[:top]]

    def _term(self, place: int, p: float, q: float, drawn: frozenset[str]) -> Term:
        name = self._names[place]
        return Term(name, p, q, tuple(sorted(self.sets[name] & drawn)), len(self.sets[name]))

    def _same_as(self, query: frozenset[str], shared: np.ndarray, name: str, max_jaccard: float) -> np.ndarray:
        same = np.array([cleaned == name for cleaned in self._cleaned])
        for place in np.flatnonzero(shared):
            genes = self.sets[self._names[place]]
            same[place] |= len(genes & query) >= max_jaccard * len(genes | query)
        return same

    @cached_property
    def _names(self) -> list[str]:
        return list(self.sets)

    @cached_property
    def _cleaned(self) -> list[str]:
        return [clean_name(name) for name in self._names]

    @cached_property
    def _columns(self) -> dict[str, int]:
        return {gene: i for i, gene in enumerate(sorted(self.background))}

    @cached_property
    def _members(self) -> csr_matrix:
        from scipy.sparse import csr_matrix

        known = [[self._columns[gene] for gene in genes if gene in self._columns] for genes in self.sets.values()]
        pairs = [(row, column) for row, columns in enumerate(known) for column in columns]
        rows, columns = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
        return csr_matrix(
            (np.ones(len(pairs), dtype=np.int64), (rows, columns)), shape=(len(self._names), len(self._columns))
        )

    @cached_property
    def _sizes(self) -> np.ndarray:
        return np.asarray(self._members.sum(axis=1)).ravel()
