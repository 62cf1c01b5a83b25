"""`GeneFacts`: what is known about a gene, for prompts."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import pandas as pd

from bftembed.errors import InputError
from bftembed.genes.claims import SEPARATOR
from bftembed.genes.fact_sources import GO_DOMAINS, go_terms, ncbi_facts, refseq_summaries, tissue_words
from bftembed.genes.table import GeneTable, read_parquet, write_parquet

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

SCHEMA = 3
"""Number of the file layout and of the rules that made it."""
FACTS = ("full_name", "locus", "gene_type", "summary", *GO_DOMAINS)
"""Names of the facts, in the order in which a prompt gets them."""
TISSUES = "tissues"
"""A further fact, the last, where tissue expression was given."""


@dataclass(frozen=True, eq=False)
class GeneFacts:
    """Facts of human genes by canonical symbol.

    Attributes
    ----------
    frame
        One row per gene: ``symbol``, ``gene_id`` (of NCBI), the columns of `FACTS`, and `TISSUES` if that was given;
        text, ``""`` where nothing is known; GO terms are ``|`` separated, the most specific first.
    digest
        SHA-256 of all rows.
    version
        Sources of the facts, for display.

    Examples
    --------
    >>> from bftembed.datasets import gene_facts
    >>> facts = gene_facts()  # None without the gene tables
    >>> facts.of("TP53")["full_name"]
    'tumor protein p53'
    """

    frame: pd.DataFrame
    digest: str
    version: str = ""

    @classmethod
    def from_frames(
        cls,
        table: GeneTable,
        *,
        ncbi: pd.DataFrame | None = None,
        refseq: pd.DataFrame | None = None,
        go: pd.DataFrame | None = None,
        tissues: pd.DataFrame | None = None,
        version: str = "",
    ) -> GeneFacts:
        """Gather facts under the symbols of `table`.

        Parameters
        ----------
        table
            Brings the symbols of the sources up to date.
        ncbi
            NCBI gene_info: full name, locus, gene type. RefSeq summaries need it too, since they carry NCBI ids alone.
        refseq
            RefSeq gene summaries, all species.
        go
            Experimental GO annotations, genes per term.
        tissues
            Expression in tissues, see `bftembed.genes.fact_sources.tissue_words`.
        version
            Names and versions of the sources, for display.

        Raises
        ------
        InputError
            If there is nothing to gather, RefSeq comes without gene_info, or a column is missing.
        """
        if ncbi is None and (refseq is not None or go is None):
            msg = "Gene facts need NCBI gene_info (`ncbi`), for RefSeq summaries too, or GO annotations alone (`go`)."
            raise InputError(msg)
        empty = pd.DataFrame(columns=["symbol", "gene_id", "full_name", "locus", "gene_type"], dtype=object)
        genes = empty if ncbi is None else ncbi_facts(ncbi, table)
        if refseq is not None:
            genes["summary"] = genes["gene_id"].map(refseq_summaries(refseq))
            # Of two entries that are one gene today, each may have what the other lacks.
            genes["summary"] = genes.groupby("symbol")["summary"].transform("first")
        frame = genes.drop_duplicates("symbol").set_index("symbol")
        if go is not None:
            frame = frame.join(go_terms(go, genes, table), how="outer")
        names = ["gene_id", *FACTS]
        if tissues is not None:
            frame = frame.join(tissue_words(tissues, table).rename(TISSUES), how="outer")
            names.append(TISSUES)
        frame = frame.reindex(columns=names).fillna("").sort_index().rename_axis("symbol").reset_index()
        frame = frame.astype(object)
        text = "\t".join(frame.to_numpy(dtype=object).ravel().tolist())
        return cls(frame, hashlib.sha256(text.encode()).hexdigest(), version)

    @cached_property
    def _rows(self) -> dict[str, int]:
        return {symbol: i for i, symbol in enumerate(self.frame["symbol"])}

    def __len__(self) -> int:
        return len(self.frame)

    def __contains__(self, symbol: object) -> bool:
        return symbol in self._rows

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def of(self, symbol: str, *, max_terms: int = 8) -> dict[str, str]:
        """What is known about one gene.

        Parameters
        ----------
        symbol
            Canonical symbol, as `map_names` gives it.
        max_terms
            Most GO terms per domain.

        Returns
        -------
        Facts by name, in the order of `FACTS`; those that are not known are left out, so an unknown gene gives an
        empty dict. GO terms are joined by ``"; "``.
        """
        if (row := self._rows.get(symbol)) is None:
            return {}
        known = self.frame.iloc[row]
        facts = {name: str(known[name]) for name in (*FACTS, TISSUES) if known.get(name)}
        for domain in GO_DOMAINS:
            if domain in facts:
                facts[domain] = "; ".join(facts[domain].split(SEPARATOR)[:max_terms])
        return {name: text for name, text in facts.items() if text}

    def coverage(self, symbols: Iterable[str]) -> str:
        """How many of the genes have facts, and where these are from, in words.

        Examples
        --------
        >>> facts.coverage(["TP53", "NOT-A-GENE"])  # doctest: +SKIP
        '1 of 2 genes from HGNC gene symbols (fa7c987), NCBI Gene, human gene_info (June 2015)'
        """
        names = list(symbols)
        return f"{sum(name in self for name in names):,} of {len(names):,} genes from {self.version or 'tables'}"

    def save(self, path: Path) -> None:
        """Write the facts to one Parquet file."""
        about = {"schema": SCHEMA, "digest": self.digest, "version": self.version}
        write_parquet(self.frame, path, "bftembed.facts", about)

    @classmethod
    def load(cls, path: Path) -> GeneFacts:
        """Read facts that `save` wrote.

        Raises
        ------
        DataError
            If the file is missing, damaged, or of another layout.
        """
        frame, about = read_parquet(path, "bftembed.facts", SCHEMA)
        return cls(frame, about["digest"], about["version"])
