"""What the gene tables say, in the form in which texts are held against it."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from typing import TYPE_CHECKING

from bftembed import data, datasets
from bftembed.genes.fact_sources import GO_DOMAINS
from bftembed.profiles import Entity, load_template
from bftembed.quality.words import words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bftembed.genes import GeneFacts, GeneTable

_DESCRIBING = ("summary", *GO_DOMAINS)
_MOST_OWNERS = 3
_TOKEN = re.compile(r"[^\W_]+")
#: A name of these words alone says nothing about one gene.
_NO_NAME = {"protein", "putative", "uncharacterized", "hypothetical", "homolog", "like", "family", "member", "gene"}


@dataclass(frozen=True, eq=False)
class Known:
    """The tables of genes on this machine.

    Attributes
    ----------
    facts, table
        Facts, and names, of genes.
    """

    facts: GeneFacts
    table: GeneTable

    @cached_property
    def annotations(self) -> dict[str, str]:
        """All facts of each gene with a summary or a GO term, as the annotation engine writes them."""
        template = load_template("annotation")
        frame = self.facts.frame
        described = (frame[list(_DESCRIBING)] != "").any(axis=1)
        genes = frame.loc[described, "symbol"].tolist()
        return {gene: template.render(Entity("gene", gene, self.facts.of(gene))).user for gene in genes}

    @cached_property
    def full_names(self) -> dict[str, tuple[str, ...]]:
        """Full names of each gene: of NCBI, of HGNC, and other designations; those of more than 3 genes left out."""
        rows = data.load("ncbi_gene_info")
        columns = ["description", "Full_name_from_nomenclature_authority", "Other_designations"]
        symbols = self.facts.frame.set_index("gene_id")["symbol"].drop("", errors="ignore")
        rows = rows.assign(symbol=rows["GeneID"].astype(str).map(symbols)).dropna(subset="symbol")
        names = rows[columns].fillna("").agg("|".join, axis=1).str.split("|", regex=False)
        found = {
            symbol: tuple(dict.fromkeys(name for name in listed if set(words(name)) - _NO_NAME))
            for symbol, listed in zip(rows["symbol"], names, strict=True)
        }
        owners = Counter(" ".join(words(name)) for listed in found.values() for name in set(listed))
        return {
            symbol: tuple(name for name in listed if owners[" ".join(words(name))] <= _MOST_OWNERS)
            for symbol, listed in found.items()
        }

    @cached_property
    def symbols(self) -> dict[str, tuple[str, ...]]:
        """Symbol, previous symbols and aliases of each gene."""
        rows = self.table.rows
        rows = rows[rows["tier"] != "ensembl"]
        found: dict[str, list[str]] = defaultdict(list)
        for name, answer in zip(rows["name"], rows["answer"], strict=True):
            for symbol in answer.split("|"):
                found[symbol].append(name)
        return {symbol: tuple(dict.fromkeys((symbol, *names))) for symbol, names in found.items()}

    @cached_property
    def vocabulary(self) -> Counter[str]:
        """In how many genes' annotations and full names each word stands, in lower case."""
        said = (
            set(_TOKEN.findall(f"{self.annotations.get(gene, '')} {' '.join(names)}".lower()))
            for gene, names in self.full_names.items()
        )
        return Counter(word for text in said for word in text)

    @cached_property
    def _all_names(self) -> list[str]:
        return sorted(self.table.rows.loc[self.table.rows["tier"] != "ensembl", "name"].str.upper())

    def begins_symbols(self, word: str) -> bool:
        """Whether symbols begin so, as those of a family do."""
        at = bisect_left(self._all_names, word.upper())
        return at < len(self._all_names) and self._all_names[at].startswith(word.upper())

    def of(self, gene: str) -> dict[str, str]:
        """All facts of one gene, all of its GO terms."""
        return self.facts.of(gene, max_terms=1000)

    def masked(self, text: str, gene: str) -> str:
        """The text without symbols, aliases and full names of a gene, in any case and with any hyphens and blanks."""
        listed = (gene, *self.symbols.get(gene, ()), *self.full_names.get(gene, ()))
        names = {name for name in map(_run_together, listed) if name}
        starts, longest = {name[0] for name in names}, max(map(len, names))
        tokens = [(match.start(), match.end(), match.group().lower()) for match in _TOKEN.finditer(text)]
        kept, done, at = [], 0, 0
        while at < len(tokens):
            behind = _end_of_name(tokens, at, names, longest) if tokens[at][2][0] in starts else at
            if behind > at:
                kept.append(text[done : tokens[at][0]])
                done = tokens[behind - 1][1]
            at = max(behind, at + 1)
        return " ".join([*kept, text[done:]])


def _end_of_name(tokens: Sequence[tuple[int, int, str]], at: int, names: set[str], longest: int) -> int:
    """Position behind the longest name that begins with a token; the token's own position if there is none."""
    said, behind = "", at
    for i in range(at, len(tokens)):
        said += tokens[i][2]
        if len(said) > longest:
            break
        if said in names:
            behind = i + 1
    return behind


@cache
def _run_together(name: str) -> str:
    return "".join(_TOKEN.findall(name)).lower()


def known_genes() -> Known:
    """The tables of genes on this machine.

    Raises
    ------
    InputError
        If they have not been fetched.
    """
    facts = datasets.required(datasets.gene_facts(), "genes")
    return _known(facts.digest)


def gene_annotations() -> dict[str, str]:
    """All facts, as the annotation engine writes them, of each gene with a RefSeq summary or a GO term.

    Raises
    ------
    InputError
        If the gene tables have not been fetched.

    Examples
    --------
    >>> from bftembed.quality import gene_annotations
    >>> gene_annotations()["CTSL"][:28]
    'CTSL. cathepsin L. 9q21.33. '
    """
    return known_genes().annotations


@lru_cache(maxsize=1)
def _known(digest: str) -> Known:
    facts = datasets.required(datasets.gene_facts(), "genes")
    return Known(facts, datasets.required(datasets.gene_table(), "genes"))
