"""What is known of genes on this machine, asked by lines ``TOOL: name(argument)`` of a model's answer."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple, Self

from bftembed import data, datasets
from bftembed.entities import canonical
from bftembed.naming.claims import Evidence
from bftembed.naming.enrichment import TermSets
from bftembed.naming.given import in_current_symbols

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bftembed.genes import GeneFacts
    from bftembed.naming.enrichment import Term

Q_VALUE = 0.05
"""Largest q-value of a process that counts as enriched."""
_CALL = re.compile(r"^\W*TOOL\W*:\W*(\w+)\s*\(([^()\n]*)\)", re.IGNORECASE | re.MULTILINE)
_MOST_TERMS, _MOST_OTHERS, _MOST_GENES = 5, 12, 30
_MODES = {
    "Activation": ("activates", "is activated by"),
    "Repression": ("represses", "is repressed by"),
    "Unknown": ("regulates", "is regulated by"),
}
_WHOLE_SET = {"", "all", "set", "the set", "gene set", "*"}
Relations = dict[str, dict[str, set[str]]]
"""By gene and kind of relation, the genes at its other end."""


class Call(NamedTuple):
    """A tool that a model asked for, and its argument as text."""

    tool: str
    argument: str


class Tools:
    """Tools that need no network.

    ``enrichment`` (processes of GO, hypergeometric test), ``summary`` (RefSeq), ``full_name`` (NCBI Gene),
    ``neighbours`` (TRRUST: factors and targets; LIANA: ligands and receptors). Those without data are not offered.

    Parameters
    ----------
    terms
        Gene sets of processes.
    facts
        Full names and summaries of genes.
    relations
        See `read_relations`.

    Examples
    --------
    >>> from bftembed.naming import TermSets, Tools
    >>> tools = Tools(TermSets({"mismatch repair": ["MLH1", "MSH2", "MSH6"], "globins": ["HBA1", "HBB"]}))
    >>> "enrichment" in tools.usage()
    True
    """

    def __init__(self, terms: TermSets, *, facts: GeneFacts | None = None, relations: Relations | None = None) -> None:
        self.terms, self.facts, self.relations = terms, facts, relations or {}
        self._left_out: dict[tuple[str, tuple[str, ...]], frozenset[str]] = {}

    @classmethod
    def local(cls, terms: TermSets | None = None) -> Self:
        """The tools whose data are on this machine.

        Parameters
        ----------
        terms
            Gene sets of processes, by canonical symbol; by default those of GO.

        Raises
        ------
        DataError
            If the gene sets of GO cannot be had.
        """
        return cls(terms or in_current_symbols(TermSets.go()), facts=datasets.gene_facts(), relations=read_relations())

    @property
    def _known(self) -> dict[str, tuple[str, Callable[[str, Sequence[str]], list[Evidence]]]]:
        """What each tool is good for, and who answers for one gene."""
        known: dict[str, tuple[str, Callable[[str, Sequence[str]], list[Evidence]]]] = {}
        if self.facts is not None:
            known["summary"] = ("summary(GENE): what RefSeq says of one gene", self._summary)
            known["full_name"] = ("full_name(GENE): the full name of one gene", self._full_name)
        if self.relations:
            about = "neighbours(GENE): transcription factors, targets, ligands and receptors of one gene"
            known["neighbours"] = (about, self._neighbours)
        return known

    def usage(self) -> str:
        """One line for each tool, for a prompt."""
        first = "enrichment(all) or enrichment(GENE, GENE, ...): processes of the Gene Ontology that the genes share"
        return "\n".join([first, *(about for about, _ in self._known.values())])

    def run(self, call: Call, genes: Sequence[str], *, without: str | None = None) -> list[Evidence] | None:
        """What a tool says.

        Parameters
        ----------
        call
            Tool and argument.
        genes
            Symbols of the set that is asked about.
        without
            A process that must not be found: it and those of the same genes are left out of the enrichment.

        Returns
        -------
        list of Evidence
            None if there is no such tool, or its argument is not that of one: genes that are known.
        """
        tool = call.tool.lower()
        if tool == "enrichment":
            return self._enrichment(call.argument, genes, without)
        names = _names(call.argument)
        if tool not in self._known or len(names) != 1:
            return None
        gene = canonical(names)[0]
        return None if gene is None else self._known[tool][1](str(gene), genes)

    def enriched(self, genes: Sequence[str], of: Sequence[str], *, without: str | None = None) -> list[Term]:
        """The processes in which `genes` are enriched, the most significant first.

        Parameters
        ----------
        genes
            Symbols, all of a set or some of them.
        of
            The whole set: what is left out with `without` depends on all of it.
        without
            Name of a process that is left out, together with those whose genes are nearly the set.
        """
        found = self.terms.enrich(genes, without=without)
        if without is None:
            return found
        key = (without, tuple(of))
        if key not in self._left_out:  # else some genes of the set would find the process that all of them are
            kept = {term.name for term in self.terms.enrich(of, without=without)}
            self._left_out[key] = frozenset(term.name for term in self.terms.enrich(of)) - kept
        return [term for term in found if term.name not in self._left_out[key]]

    def _enrichment(self, argument: str, genes: Sequence[str], without: str | None) -> list[Evidence] | None:
        asked = list(genes)
        if argument.strip(" '\"`").lower() not in _WHOLE_SET:
            asked = list(dict.fromkeys(str(gene) for gene in canonical(_names(argument)) if gene is not None))
        if len(asked) < 2:
            return None
        terms = [term for term in self.enriched(asked, genes, without=without) if term.q_value <= Q_VALUE]
        if not terms:
            text = f"No GO process is enriched (q <= {Q_VALUE}) among the {len(asked)} genes {_listed(asked)}"
            return [Evidence(text, found=False)]
        return [Evidence(f"GO process {of_term(term, len(asked))}") for term in terms[:_MOST_TERMS]]

    def _summary(self, gene: str, genes: Sequence[str]) -> list[Evidence]:
        del genes
        text = self._fact(gene, "summary")
        return [Evidence(f"RefSeq on {gene}: {text}" if text else f"RefSeq has no summary of {gene}", bool(text))]

    def _full_name(self, gene: str, genes: Sequence[str]) -> list[Evidence]:
        del genes
        text = self._fact(gene, "full_name")
        return [Evidence(f"{gene} is {text}" if text else f"{gene} has no full name in NCBI Gene", bool(text))]

    def _fact(self, gene: str, name: str) -> str:
        return "" if self.facts is None else self.facts.of(gene).get(name, "")

    def _neighbours(self, gene: str, genes: Sequence[str]) -> list[Evidence]:
        """A line for each kind of relation, genes of the set first."""
        lines = [
            f"{gene} {relation} {_listed(sorted(others, key=lambda each: (each not in genes, each)), _MOST_OTHERS)}"
            for relation, others in sorted(self.relations.get(gene, {}).items())
        ]
        none = Evidence(f"No regulation, ligand or receptor of {gene} is known to TRRUST or LIANA", found=False)
        return [Evidence(line) for line in lines] or [none]


def parse_calls(text: str, *, most: int = 3) -> list[Call]:
    r"""The lines ``TOOL: name(argument)`` of an answer, the first `most` different ones.

    Examples
    --------
    >>> from bftembed.naming.tools import parse_calls
    >>> parse_calls("I look it up.\nTOOL: summary(CD3E)\n- **TOOL:** enrichment(all)")
    [Call(tool='summary', argument='CD3E'), Call(tool='enrichment', argument='all')]
    """
    calls = dict.fromkeys(Call(name.lower(), argument.strip()) for name, argument in _CALL.findall(text))
    return list(calls)[:most]


def of_term(term: Term, n_genes: int) -> str:
    """A process in words: name, q-value, and the genes that it shares with the set."""
    shown = _listed(term.overlap, _MOST_GENES)
    return f"{term.name}: q = {term.q_value:.2g}, {len(term.overlap)} of {n_genes} genes ({shown})"


def read_relations() -> Relations:
    """Regulation of TRRUST, and ligands with receptors of LIANA's consensus, where these are on this machine.

    Returns
    -------
    dict
        By canonical symbol, then by relation (``"activates"``, ``"is bound by"``), the symbols at the other end.
        Members of a complex count one by one.
    """
    found: list[tuple[str, str, str]] = []
    if data.available("trrust"):
        table = data.load("trrust")
        for factor, target, mode in zip(table["Gene1"], table["Gene2"], table["Mode_of_Regulation"], strict=True):
            does, undergoes = _MODES.get(mode, _MODES["Unknown"])
            found += [(factor, does, target), (target, undergoes, factor)]
    if data.available("liana"):
        table = data.load("liana")
        table = table[table["resource"] == "consensus"]
        for ligand, receptor in zip(table["source_genesymbol"], table["target_genesymbol"], strict=True):
            pairs = [(a, b) for a in ligand.split("_") for b in receptor.split("_")]
            found += [(a, "is a ligand of", b) for a, b in pairs] + [(b, "is a receptor of", a) for a, b in pairs]
    names = sorted({name for gene, _, other in found for name in (gene, other)})
    symbols = dict(zip(names, canonical(names), strict=True))
    relations: Relations = defaultdict(lambda: defaultdict(set))
    for gene, relation, other in found:
        if symbols[gene] is not None and symbols[other] is not None:
            relations[symbols[gene]][relation].add(symbols[other])
    return {gene: dict(kinds) for gene, kinds in relations.items()}


def _names(argument: str) -> list[str]:
    return [name for part in re.split(r"[,;\s]+", argument) if (name := part.strip("'\"`[]"))]


def _listed(names: Sequence[str], most: int = _MOST_GENES) -> str:
    more = f" and {len(names) - most} others" if len(names) > most else ""
    return f"{', '.join(names[:most])}{more}"
