"""The gene table and the gene facts, compiled once from the downloaded sources and kept in the cache."""

from __future__ import annotations

import hashlib
import logging
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol, Self, TypeVar, cast

import numpy as np
import pandas as pd

from bftembed import data
from bftembed._files import replacing
from bftembed._paths import cache_dir
from bftembed.errors import DataError, InputError
from bftembed.genes import GeneFacts, GeneTable, facts, table
from bftembed.genes.fact_sources import GO_DOMAINS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

logger = logging.getLogger("bftembed")

NAME_SOURCES = ("hgnc_genes", "ncbi_gene_info", "annotables_grch38")
"""Manifests of gene names; the first is needed, the others add synonyms and Ensembl ids."""
FACT_SOURCES = ("ncbi_gene_info", "refseq_gene_summary", "go_annotations")
"""Manifests of facts; RefSeq summaries carry NCBI ids alone and so need gene_info."""
TISSUE_SOURCE = "hpa_rna_tissue"
"""Manifest of expression in tissues, which becomes a fact on request."""
_CODING = "protein-coding"


class _Compiled(Protocol):
    def save(self, path: Path) -> None: ...
    @classmethod
    def load(cls, path: Path) -> Self: ...


T = TypeVar("T", bound=_Compiled)


Found = TypeVar("Found")


def required(found: Found | None, name: str) -> Found:
    """What was found on this machine, or an error that says how to fetch it.

    Parameters
    ----------
    found
        What a function of this package gave.
    name
        What ``bftembed data fetch`` calls it.

    Raises
    ------
    InputError
        If nothing was found.

    Examples
    --------
    >>> from bftembed.datasets import gene_facts, required
    >>> required(gene_facts(), "genes").of("TP53")["full_name"]
    'tumor protein p53'
    """
    if found is None:
        msg = f"The tables of `{name}` have not been fetched: run `bftembed data fetch {name}`."
        raise InputError(msg)
    return found


def gene_table(species: str = "human") -> GeneTable | None:
    """The table of gene names, from the sources that are on this machine.

    HGNC is enough; NCBI gene_info and annotables (Ensembl ids) are added where they are. Nothing is downloaded: see
    `fetch_gene_tables`. The first call takes some seconds, later ones read a compiled file.

    Parameters
    ----------
    species
        ``"human"``: mouse names are mapped to human ones by orthologs, see `pp.map_genes`.

    Returns
    -------
    The table, or None if HGNC is not on this machine.

    Raises
    ------
    InputError
        If the species is another.
    DataError
        If a source exists but cannot be read.

    Examples
    --------
    >>> from bftembed.datasets import gene_table
    >>> table = gene_table()
    """
    if species != "human":
        msg = f"There is a gene table for 'human' only, not for {species!r}; mouse genes are mapped by `orthologs`."
        raise InputError(msg)
    there = _available(NAME_SOURCES)
    if "hgnc_genes" not in there:
        return None
    return _compiled(GeneTable, f"names-v{table.SCHEMA}", there, lambda: _build_table(there))


def gene_facts(*, tissues: bool = False) -> GeneFacts | None:
    """Full names, loci, RefSeq summaries and GO terms of human genes, from the sources that are on this machine.

    Parameters
    ----------
    tissues
        Also in which tissues the gene is expressed, in words (Human Protein Atlas).

    Returns
    -------
    The facts, or None if HGNC (for the symbols) or both of NCBI gene_info and the GO annotations are missing.

    Raises
    ------
    InputError
        If tissues are asked for, and the table of them is not on this machine.
    DataError
        If a source exists but cannot be read.

    Examples
    --------
    >>> from bftembed.datasets import gene_facts
    >>> facts = gene_facts()
    """
    names = gene_table()
    there = _available(FACT_SOURCES)
    if "ncbi_gene_info" not in there:
        there = tuple(source for source in there if source != "refseq_gene_summary")
    if names is None or not there:
        return None
    if tissues and not data.available(TISSUE_SOURCE):
        msg = f"The table of expression in tissues has not been fetched: run `bftembed data fetch {TISSUE_SOURCE}`."
        raise InputError(msg)
    there = (*there, TISSUE_SOURCE) if tissues else there
    sources = tuple(dict.fromkeys((*_available(NAME_SOURCES), *there)))
    stem = f"facts-v{table.SCHEMA}.{facts.SCHEMA}"
    return _compiled(GeneFacts, stem, sources, lambda: _build_facts(names, there))


def protein_coding_genes(species: str = "human") -> pd.DataFrame | None:
    """All protein-coding genes, from the sources that are on this machine.

    These are the genes that NCBI Gene calls protein-coding, the only source here that describes each of its genes:
    under the symbol of today, one row each. Ensembl's biotype stands beside it, since the two disagree on some genes.

    Parameters
    ----------
    species
        ``"human"``.

    Returns
    -------
    pandas.DataFrame
        By symbol, sorted: ``ensembl`` and ``entrez``, ids as text; ``approved``, whether HGNC approves the symbol;
        ``biotype`` of Ensembl; ``facts``, which texts there are: ``RefSeq and GO``, ``RefSeq``, ``GO`` or ``name
        only``. ``""`` where there is none. None if HGNC or NCBI gene_info is not on this machine.

    Raises
    ------
    InputError
        If the species is another.
    DataError
        If a source exists but cannot be read.

    Examples
    --------
    >>> from bftembed.datasets import protein_coding_genes
    >>> genes = protein_coding_genes()
    """
    names = gene_table(species)
    known = gene_facts()
    if names is None or known is None or not (known.frame["gene_type"] == _CODING).any():
        return None
    frame = known.frame[known.frame["gene_type"] == _CODING].set_index("symbol")
    approved = names.rows.loc[names.rows["tier"] == "approved", "name"]
    ensembl = frame.index.to_series().map(names.ensembl_ids).fillna("")
    biotypes = {}
    if data.available("annotables_grch38"):
        table = data.load("annotables_grch38")
        biotypes = dict(zip(table["ensgene"], table["biotype"], strict=True))
    has_go = (frame[list(GO_DOMAINS)] != "").any(axis=1)
    has_refseq = frame["summary"] != ""
    told = np.select([has_refseq & has_go, has_refseq, has_go], ["RefSeq and GO", "RefSeq", "GO"], "name only")
    return pd.DataFrame(
        {
            "ensembl": ensembl,
            "entrez": frame["gene_id"],
            "approved": frame.index.isin(approved),
            "biotype": ensembl.map(biotypes).fillna("").astype(object),
            "facts": told.astype(object),
        }
    )


def gene_sources(*, tissues: bool = False) -> list[str]:
    """Title, version, licence and citation of each source of genes and facts that is on this machine.

    Parameters
    ----------
    tissues
        Also of expression in tissues.

    Returns
    -------
    A sentence for each.

    Examples
    --------
    >>> from bftembed.datasets import gene_sources
    >>> all("Licence: " in line for line in gene_sources())
    True
    """
    names = dict.fromkeys((*NAME_SOURCES, *FACT_SOURCES, *([TISSUE_SOURCE] if tissues else [])))
    return [data.get_manifest(name).credit for name in _available(list(names))]


def fetch_gene_tables() -> None:
    """Download the five sources of gene names and facts (some 10 MB), so that `gene_table` and `gene_facts` have all.

    Raises
    ------
    DataError
        If a download fails.

    Examples
    --------
    >>> from bftembed.datasets import fetch_gene_tables, gene_table
    >>> fetch_gene_tables()
    >>> gene_table() is None
    False
    """
    for source in dict.fromkeys((*NAME_SOURCES, *FACT_SOURCES)):
        data.fetch(source)


def _available(sources: Sequence[str]) -> tuple[str, ...]:
    return tuple(source for source in sources if data.available(source))


def _build_table(sources: Sequence[str]) -> GeneTable:
    frames = {source: data.load(source) for source in sources}
    return GeneTable.from_frames(
        frames["hgnc_genes"], ncbi=frames.get("ncbi_gene_info"), ensembl=frames.get("annotables_grch38")
    )


def _build_facts(names: GeneTable, sources: Sequence[str]) -> GeneFacts:
    frames = {source: data.load(source) for source in sources}
    return GeneFacts.from_frames(
        names,
        ncbi=frames.get("ncbi_gene_info"),
        refseq=frames.get("refseq_gene_summary"),
        go=frames.get("go_annotations"),
        tissues=frames.get(TISSUE_SOURCE),
        version=", ".join(str(data.get_manifest(source)) for source in ("hgnc_genes", *sources)),
    )


def _compiled(kind: type[T], stem: str, sources: Sequence[str], build: Callable[[], T]) -> T:
    """The compiled file of exactly these sources, made now if it is missing or damaged."""
    checksums = [file.sha256 for source in sources for file in data.get_manifest(source).files]
    digest = hashlib.sha256("\n".join([*sources, *checksums]).encode()).hexdigest()
    path = cache_dir() / "genes" / f"{stem}-{digest[:16]}.parquet"
    if path.is_file():
        try:
            return cast("T", _load(kind, path, path.stat().st_mtime_ns))
        except DataError as error:
            logger.warning("%s", error)
    logger.info("Compiling %s from %s, once", stem, ", ".join(sources))
    made = build()
    _save(made, path)
    return made


@lru_cache(maxsize=4)
def _load(kind: type[_Compiled], path: Path, changed: int) -> _Compiled:
    return kind.load(path)


def _save(made: _Compiled, path: Path) -> None:
    """Keep the file; a full disk costs only the time to make it again."""
    try:
        with replacing(path) as part:
            made.save(part)
    except OSError as error:
        logger.warning("The compiled gene file %s could not be kept (%s); it is made again next time.", path, error)
