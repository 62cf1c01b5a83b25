"""Genes and gene sets, with what the gene tables know of them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from bftembed import datasets
from bftembed.errors import InputError
from bftembed.genes import check_mapped, map_names
from bftembed.profiles import Entity

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from bftembed.genes import GeneFacts

logger = logging.getLogger("bftembed")


def canonical(names: Iterable[Any], *, check: bool = False) -> NDArray[np.object_]:
    """Canonical symbols (n,) of gene names or Ensembl ids, None where a name is unknown or ambiguous.

    Without gene tables names are taken as they are: fetch them with `bftembed data fetch genes`.

    Parameters
    ----------
    names
        Names of genes.
    check
        Refuse names of which next to none is a gene's, see `bftembed.genes.check_mapped`.

    Raises
    ------
    GeneNameError
        With `check`.
    """
    table = datasets.gene_table()
    result = map_names(list(names), table)
    if check:
        check_mapped(result, table)
    return result.symbols


def gene_entities(genes: Sequence[str], *, facts: str, needed: bool = False) -> tuple[list[Entity], str]:
    """Entities of genes, with facts where they are asked for and at hand.

    Parameters
    ----------
    genes
        Canonical symbols.
    facts
        ``"auto"``: full name, locus, RefSeq summary and GO terms if the gene tables are at hand; ``"none"``: the bare
        name.
    needed
        Whether there is no point in going on without facts.

    Returns
    -------
    entities
        In the order of `genes`.
    used
        ``"none"``, or what the facts come from: digest, coverage, and sources with their versions.

    Raises
    ------
    InputError
        If `facts` is unknown, or facts are needed and there are none.
    """
    if facts not in {"auto", "none"}:
        msg = f"`facts` is 'auto' or 'none', got {facts!r}."
        raise InputError(msg)
    table = datasets.gene_facts() if facts == "auto" else None
    if table is None:
        if needed:
            msg = (
                "The annotation engine needs facts, and there are none: run `bftembed data fetch hgnc_genes "
                "ncbi_gene_info refseq_gene_summary go_annotations`, and leave facts at 'auto'."
            )
            raise InputError(msg)
        if facts == "auto":
            logger.info("facts: none, since the gene tables are not on this machine (`bftembed data fetch genes`)")
        return [Entity("gene", gene) for gene in genes], "none"
    return [Entity("gene", gene, table.of(gene)) for gene in genes], facts_used(table, genes)


def facts_used(facts: GeneFacts, genes: Sequence[str]) -> str:
    """Digest of the facts, and in words how many genes have some and from where, which is logged."""
    words = facts.coverage(genes)
    logger.info("facts: %s", words)
    return f"sha256:{facts.digest} ({words})"


def gene_set_entities(sets: Mapping[str, Sequence[str]]) -> tuple[list[Entity], str]:
    """Entities of gene sets, and what their facts come from.

    Parameters
    ----------
    sets
        Genes by name of the set.

    Raises
    ------
    InputError
        If it is no mapping.
    """
    if not hasattr(sets, "items"):
        msg = "Gene sets are given as a mapping from the set's name to its genes."
        raise InputError(msg)
    return [Entity("gene_set", str(name), {"genes": ", ".join(genes)}) for name, genes in sets.items()], "genes"
