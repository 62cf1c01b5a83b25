"""The answers of the gene corpus: what a profile says, and how much of one stands in another."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

_TYPES = {
    "protein-coding": "protein-coding gene",
    "pseudo": "pseudogene",
    "ncRNA": "non-coding RNA gene",
    "rRNA": "ribosomal RNA gene",
    "snRNA": "small nuclear RNA gene",
    "snoRNA": "small nucleolar RNA gene",
    "tRNA": "transfer RNA gene",
}
_GO = {
    "biological_process": "Biological processes",
    "molecular_function": "Molecular functions",
    "cellular_component": "Cellular components",
}
_PARENTHESIS = re.compile(r" ?\(([^()]*)\)")
_REFERENCE = re.compile(
    r"(?:^|[;,]? ?\b)(?:see (?:also )?)?(?:O?MIM|Gene ?ID|PMIDs?|PubMed(?: ?IDs?)?):? ?\d+(?:(?:,| and|, and) ?\d+)*"
)
_MENDS = (
    # Who wrote the summary, and the curators' notes that may follow.
    (re.compile(r"[ \[]+(?:provided|supplied|adapted|contributed) (?:by|from) [^\[\]]*\].*"), ""),
    # The source lost the end of a last reference: "(Chen et al., 2005."
    (re.compile(r" ?\([^()]*\b(?:19|20)\d\d[a-z]?\.$"), "."),
    (re.compile(r"[ (]+(?:summary by )?[A-Z]\w+ et al\. \((?:19|20)\d\d\)\.$"), "."),
    (re.compile(r"(?<=[a-z)]{2}\.)(?=[A-Z][a-z])"), " "),
    (re.compile(r"(?<=\() | (?=[.,;)](?:[\s.,;)]|$))"), ""),
    (re.compile(r"\.{2,}"), "."),
)


def gene_profile_text(symbol: str, facts: Mapping[str, str]) -> str:
    """A profile in sentences from what is known about a gene.

    Parameters
    ----------
    symbol
        Canonical symbol.
    facts
        As `bftembed.genes.GeneFacts.of` gives them; what is missing or empty is left out.

    Returns
    -------
    One paragraph; ``""`` where nothing is known. References and identifiers in the summary are left out, since the
    gene prompt asks for none.
    """
    sentences = []
    kind = _TYPES.get(facts.get("gene_type", ""), "gene")
    locus = " or ".join(dict.fromkeys(facts.get("locus", "").split("|")))
    if name := " ".join(facts.get("full_name", "").split()):
        sentences.append(f"{symbol} ({name}) is a human {kind}{f' at {locus}' if locus else ''}.")
    sentences.append(tidy_summary(facts.get("summary", "")))
    sentences += [f"{heading}: {facts[domain]}." for domain, heading in _GO.items() if facts.get(domain)]
    return " ".join(filter(None, sentences))


def tidy_summary(summary: str) -> str:
    """A RefSeq summary without references, identifiers in brackets, credits and slips of typing.

    A last sentence that the source cut at an ampersand is left out. Ends with a full stop, unless nothing is left.
    """
    text = " ".join(summary.split())
    if text.endswith("&"):
        text = re.sub(r"[^.!?]*$", "", text)
    text = _PARENTHESIS.sub(_without_references, text)
    for pattern, mended in _MENDS:
        text = pattern.sub(mended, text)
    text = text.strip()
    return text if not text or text.endswith((".", "!", "?")) else f"{text}."


def _without_references(found: re.Match[str]) -> str:
    inner = _REFERENCE.sub("", found[1]).strip(" ;,")
    if inner in {"", "and", "see"} or re.search(r"\bet al\b", inner):
        return ""
    return found[0].replace(found[1], inner) if _REFERENCE.search(found[1]) else found[0]


def repeated_shares(texts: Sequence[str], others: Sequence[str], *, n: int = 5) -> NDArray[np.float64]:
    """How much of each text stands in one other text.

    Parameters
    ----------
    texts, others
        Texts; case and punctuation do not count.
    n
        Words in a sequence.

    Returns
    -------
    Array of shape (n_texts,): the largest share of the distinct sequences of `n` words of a text (of all its words,
    if it has fewer) that occur in the same one of `others`; 0 to 1.
    """
    columns: dict[tuple[str, ...], int] = {}
    for text in texts:
        for sequence in _sequences(text, n):
            columns.setdefault(sequence, len(columns))
    asked, known = _holding(texts, columns, n), _holding(others, columns, n)
    if not known.nnz:
        return np.zeros(len(texts))
    shared = (asked @ known.T).max(axis=1).toarray().ravel()
    return np.asarray(shared / asked.sum(axis=1), dtype=np.float64)


def _sequences(text: str, n: int) -> set[tuple[str, ...]]:
    words = re.findall(r"\w+", text.casefold())
    return {tuple(words[start : start + n]) for start in range(max(1, len(words) - n + 1))}


def _holding(texts: Sequence[str], columns: Mapping[tuple[str, ...], int], n: int) -> sp.csr_array:
    """Which text (rows) holds which sequence (columns)."""
    places = [[columns[sequence] for sequence in _sequences(text, n) if sequence in columns] for text in texts]
    borders = np.cumsum([0, *map(len, places)])
    flat = np.fromiter((place for row in places for place in row), dtype=np.int64, count=borders[-1])
    return sp.csr_array((np.ones(len(flat), dtype=np.int32), flat, borders), shape=(len(texts), len(columns)))
