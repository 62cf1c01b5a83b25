"""Genes and gene sets, with what the gene tables know of them."""

from __future__ import annotations

import logging
import re
from collections import Counter
from typing import TYPE_CHECKING, Any

from bftembed import datasets
from bftembed._near import did_you_mean
from bftembed._warn import warn
from bftembed.entities.facts import checked_facts
from bftembed.errors import InputError
from bftembed.genes import check_human, check_mapped, map_names
from bftembed.profiles import Entity

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from bftembed.entities.facts import Facts
    from bftembed.genes import GeneFacts

logger = logging.getLogger("bftembed")
#: In larger sets genes have no sentence about them, or no full name: a prompt has to fit into a small model.
_MOST_DESCRIBED, _MOST_NAMED = 20, 50
_MOST_PROCESSES = 8


def canonical(names: Iterable[Any], *, check: bool = False, human: bool = False) -> NDArray[np.object_]:
    """Canonical symbols (n,) of gene names or Ensembl ids, None where a name is unknown or ambiguous.

    Without gene tables names are taken as they are: fetch them with `bftembed data fetch genes`.

    Parameters
    ----------
    names
        Names of genes.
    check
        Refuse names of which almost none is a gene's, and genes of a mouse, see `bftembed.genes.check_mapped`.
    human
        Refuse genes of a mouse alone.

    Raises
    ------
    GeneNameError
        With `check` or `human`.

    Examples
    --------
    >>> from bftembed.entities import canonical
    >>> canonical(["MARCH1", "TP53", "no such gene"]).tolist()
    ['MARCHF1', 'TP53', None]
    """
    table = datasets.gene_table()
    result = map_names(list(names), table)
    if check:
        check_mapped(result, table)
    elif human:
        check_human(result)
    return result.symbols


def absent_gene(name: str) -> str:
    """Say of a name that data do not have that it is a gene's, so that no look-alike is suggested; else nothing.

    Examples
    --------
    >>> from bftembed.entities import absent_gene
    >>> absent_gene("GAPDH"), absent_gene("GAPDHH")
    (' It is a gene, but not one of these data.', '')
    """
    table = datasets.gene_table()
    (symbol,) = map_names([name], table).symbols
    is_gene = table is not None and isinstance(symbol, str) and symbol.casefold() == name.casefold()
    return " It is a gene, but not one of these data." if is_gene else ""


def near_name(name: str, choices: Iterable[str]) -> str:
    """As `bftembed._near.did_you_mean`, but of a gene that is not among them that it is one."""
    return absent_gene(name) or did_you_mean(name, choices)


def symbols_of(names: Sequence[str], *, remedy: str = "", check: bool = True) -> list[str]:
    """Canonical symbols; a name that the gene table does not know stays as it is.

    Parameters
    ----------
    names
        Names of genes.
    remedy
        What to do about unknown names: added to the warning.
    check
        Whether to look for them: texts that are given may be of anything.

    Raises
    ------
    GeneNameError
        If almost no name is a gene's.

    Warns
    -----
    BftembedWarning
        If there is a gene table, and it does not know some of the names.
    """
    found = canonical(names, check=check)
    table = datasets.gene_table() if check else None
    unknown = list(dict.fromkeys(name for name, symbol in zip(names, found, strict=True) if symbol is None))
    if unknown and table is not None:
        near = {name: did_you_mean(name, table.symbols, cutoff=0.8).strip() for name in unknown[:5]}
        shown = [f"{name} ({hint})" if hint else name for name, hint in near.items()]
        msg = (
            f"{len(unknown)} of {len(set(names))} names are not the name of one known gene, and nothing but the name "
            f"describes them: {', '.join(shown)}{', ...' if len(unknown) > 5 else ''}.{remedy}"
        )
        warn(msg)
    return [name if symbol is None else str(symbol) for name, symbol in zip(names, found, strict=True)]


def known_genes(genes: Sequence[str], *, facts: Facts) -> tuple[GeneFacts | None, str]:
    """The facts of genes, if they are asked for and on this machine, and where they are from.

    Returns
    -------
    known
        None without facts.
    used
        ``"none"``, or digest, coverage of `genes`, and sources with their versions, which are logged.
    """
    asked = checked_facts(facts) != "none"
    known = datasets.gene_facts(tissues=facts == "auto+tissues") if asked else None
    if known is None:
        if asked:
            logger.info("facts: none, since the gene tables are not on this machine (`bftembed data fetch genes`)")
        return None, "none"
    words = known.coverage(genes)
    logger.info("facts: %s", words)
    return known, f"sha256:{known.digest} ({words})"


def described(facts: Mapping[str, str]) -> str:
    """Full name and summary of a gene as sentences, ``""`` where neither is known."""
    return " ".join(re.sub(r"(?<![.!?])$", ".", facts[name]) for name in ("full_name", "summary") if name in facts)


def gene_entities(genes: Sequence[str], *, facts: Facts, needed: bool = False) -> tuple[list[Entity], str]:
    """Entities of genes, with facts where they are asked for and on this machine.

    Parameters
    ----------
    genes
        Canonical symbols.
    facts
        ``"auto"``: full name, locus, RefSeq summary and GO terms, where the gene tables are there; ``"auto+tissues"``:
        also the tissues with most of its RNA; ``"none"``: the bare name.
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
    known, used = known_genes(genes, facts=facts)
    if known is None and needed:
        msg = (
            "The annotation engine needs facts, and there are none: run `bftembed data fetch hgnc_genes "
            "ncbi_gene_info refseq_gene_summary go_annotations`, and leave facts at 'auto'."
        )
        raise InputError(msg)
    return [Entity("gene", gene, known.of(gene) if known else {}) for gene in genes], used


def gene_set_entities(
    sets: Mapping[str, Sequence[str]], *, facts: Facts = "auto", check: bool = True
) -> tuple[list[Entity], str]:
    """Entities of gene sets: their genes, with full names and a sentence for each, and processes that they share.

    Parameters
    ----------
    sets
        Genes by name of the set.
    facts
        ``"auto"``: full names (up to 50 genes), the first sentences of the RefSeq summaries (up to 20, and
        one that several share once), and GO processes of several of the genes, where the gene tables are on this
        machine; ``"none"``: symbols alone.
    check
        Whether to look for genes that the gene table does not know.

    Raises
    ------
    InputError
        If it is no mapping of names to lists of genes.
    """
    if not hasattr(sets, "items") or any(isinstance(genes, str) for genes in sets.values()):
        msg = "Gene sets are given as a mapping from the set's name to the list of its genes."
        raise InputError(msg)
    names = list(dict.fromkeys(str(gene) for genes in sets.values() for gene in genes))
    symbols = dict(zip(names, symbols_of(names, check=check), strict=True))
    known, used = known_genes(list(dict.fromkeys(symbols.values())), facts=facts)
    entities = []
    for name, genes in sets.items():
        members = list(dict.fromkeys(symbols[str(gene)] for gene in genes))
        entities.append(Entity("gene_set", str(name), _of_set(members, known)))
    return entities, used


def _of_set(genes: Sequence[str], known: GeneFacts | None) -> dict[str, str]:
    if known is None:
        return {"genes": ", ".join(genes)}
    of_genes = {gene: known.of(gene, max_terms=1000) for gene in genes}
    full = {gene: facts.get("full_name", "") if len(genes) <= _MOST_NAMED else "" for gene, facts in of_genes.items()}
    listed = ", ".join(f"{gene} ({name})" if name else gene for gene, name in full.items())
    terms = Counter(
        term for facts in of_genes.values() for term in facts.get("biological_process", "").split("; ") if term
    )
    shared = [term for term, n in terms.most_common() if n > 1 or len(genes) == 1][:_MOST_PROCESSES]
    lines = {"genes": listed} | ({"processes of several of them": "; ".join(shared)} if shared else {})
    saying: dict[str, list[str]] = {}  # genes of one family share a first sentence: it is said once, of all of them
    for gene in genes if len(genes) <= _MOST_DESCRIBED else ():
        if summary := of_genes[gene].get("summary"):
            saying.setdefault(re.split(r"(?<=[.!?])\s+(?=[A-Z])", summary, maxsplit=1)[0], []).append(gene)
    return lines | {", ".join(those): sentence for sentence, those in saying.items()}
