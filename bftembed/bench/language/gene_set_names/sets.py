"""Gene sets with names, as the data have them, and names for them without a language model."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple
from zlib import crc32

from bftembed.bench.scoring.scores import digest_of
from bftembed.entities import canonical
from bftembed.errors import DataError
from bftembed.naming import clean_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from bftembed.naming import Term, TermSets

#: As few known genes as can have something in common.
LEAST_GENES = 2
#: Of a fast run: how many sets, and how large they may be where there are enough of that size.
FAST_SETS, FAST_GENES = 8, 20


class GeneSet(NamedTuple):
    """A set to be named: `name` is what it is called where it comes from; `id` is unique.

    Examples
    --------
    >>> from bftembed.bench import GeneSet
    >>> len(GeneSet("GO:0006298", "mismatch repair", ("MLH1", "MSH2", "MSH6")).genes)
    3
    """

    id: str
    name: str
    genes: tuple[str, ...]


def gene_set(id: str, name: str, genes: Iterable[str]) -> GeneSet:
    """Make a set of what a file has: each gene once, without quotes and spaces around it.

    Raises
    ------
    DataError
        If it has no name or no gene.

    Examples
    --------
    >>> from bftembed.bench.language.gene_set_names.sets import gene_set
    >>> gene_set("1", "mismatch repair", ["MSH2", " MLH1", "MSH2", ""]).genes
    ('MLH1', 'MSH2')
    """
    listed = tuple(sorted({gene.strip(' "') for gene in genes} - {""}))
    if not name.strip() or not listed:
        msg = f"The gene set `{id}` has no {'genes' if name.strip() else 'name'}."
        raise DataError(msg)
    return GeneSet(id, name, listed)


def known_sets(sets: Sequence[GeneSet]) -> tuple[list[GeneSet], dict[str, int], dict[str, int]]:
    """Sets of at least two genes that the gene tables know, sorted by id; what was removed; what to know of the rest.

    Unknown symbols stay in their sets: a language model may know them.

    Raises
    ------
    DataError
        If two sets have one id, or none is left.
    """
    if repeated := sorted(id for id, n in Counter(each.id for each in sets).items() if n > 1):
        msg = f"Two gene sets have the id `{repeated[0]}`."
        raise DataError(msg)
    symbols = sorted({gene for each in sets for gene in each.genes})
    known = {symbol for symbol, found in zip(symbols, canonical(symbols), strict=True) if found is not None}
    kept = [each for each in sets if sum(gene in known for gene in each.genes) >= LEAST_GENES]
    if not kept:
        msg = f"None of the {len(sets)} gene sets has {LEAST_GENES} genes that the gene tables know."
        raise DataError(msg)
    few = len(sets) - len(kept)
    n_genes = sum(len(each.genes) for each in kept)
    n_known = sum(gene in known for each in kept for gene in each.genes)
    removed = {f"sets with fewer than {LEAST_GENES} known genes": few} if few else {}
    return sorted(kept), removed, {"genes in the sets": n_genes, "of these unknown symbols": n_genes - n_known}


def fewer_genes(each: GeneSet, n: int) -> GeneSet:
    """The set with `n` of its genes, chosen by SHA-256 of their symbols; as it is if it has no more."""
    chosen = sorted(each.genes, key=lambda gene: digest_of([gene]))[:n]
    return each._replace(genes=tuple(sorted(chosen)))


def few_sets(sets: Sequence[GeneSet]) -> list[GeneSet]:
    """Eight sets for a fast run, of at most twenty genes where there are as many, chosen by a hash of their ids.

    Examples
    --------
    >>> from bftembed.bench import GeneSet, few_sets
    >>> sets = [GeneSet(f"s{i}", "a process", tuple(f"G{j}" for j in range(i))) for i in range(5, 40)]
    >>> chosen = few_sets(sets)
    >>> len(chosen), max(len(each.genes) for each in chosen) <= 20
    (8, True)
    """

    def order(each: GeneSet) -> tuple[int, int]:
        return max(len(each.genes), FAST_GENES), crc32(each.id.encode())

    return sorted(sorted(sets, key=order)[:FAST_SETS])


def top_terms(sets: Sequence[GeneSet], terms: TermSets, *, own: bool) -> dict[str, Term | None]:
    """The most over-represented term of each set by its id, None where no term shares a gene.

    `own` lets a set find the term that it is; else all terms of its name, or of about its genes, are left out.
    """
    found = {each.id: terms.enrich(each.genes, without=None if own else each.name, top=1) for each in sets}
    return {id: best[0] if best else None for id, best in found.items()}


def term_names(terms: Mapping[str, Term | None], sets: Sequence[GeneSet]) -> list[str]:
    """Cleaned names of the terms in the order of the sets, ``"none"`` where there is none."""
    chosen = [terms[each.id] for each in sets]
    return [clean_name(term.name if term else "") for term in chosen]
