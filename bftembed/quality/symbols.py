"""Symbols in a text that no table knows: genes that there are not."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bftembed.quality.known import Known

#: Capitals and digits, three characters or more, joined by hyphens: TP53, IL-21, HLA-DRA, C9orf72.
_SHAPE = re.compile(r"(?<![\w.\u00ae/-])(?:C\d{1,2}orf\d+|[A-Z][A-Z0-9]*(?:-[A-Z0-9]+)*)(?![\w/]|-[a-z])")
#: What a word of that shape may be otherwise.
_OTHERWISE = re.compile(
    r"[IVXLCDM]+|[ACGTUN]{4,}|[A-Z]\d+[A-Z]|(?:ENS[GTP]|NM|NP|NR|XM|XP|RS|EC|GO|MIM|OMIM|PMID|PMC|DOI|HGNC|CHEBI|KEGG)\d*"
    r"|(?:USA|UK|NIH|NCBI|FDA|WHO|HUGO|BLAST|PCR|RT-PCR|ELISA|NMR|MRI|PET|ICD|FASTA|HTTP|HTTPS|WWW|URL|PDF)\d*"
)
#: A cell line, a part of a protein, a disease: said by the word behind it.
_BEHIND = re.compile(
    r"\s*(?:cells?|(?:cell )?lines?|domains?|motifs?|repeats?|box(?:es)?|sites?|elements?|syndromes?|disease|disorder"
    r"|virus|viral|assays?|database|residues?|sequences?|mutations?|variants?|strains?|mice|mouse|chromosome|position)\b",
    re.IGNORECASE,
)
_REACH = 120  # characters
#: Words before an opening bracket, the last of them in lower case.
_SPELLED = re.compile(r"(?P<words>(?:[^\W_][\w'-]*[\s,/-]+){0,9}[a-z][a-z'-]+)\s*[(\[]\s*\Z")


def unknown_symbols(texts: Sequence[str], known: Known, *, own: Sequence[str] | None = None) -> list[tuple[str, ...]]:
    """Words with the shape of a gene symbol that no table of genes knows, by text.

    No unknown symbol is what stands in the annotation of any gene (``DNA``, ``GTPase``, ``SH2``), what known symbols
    begin with (``SLC36``), an abbreviation of the lower-case words before it, a Roman numeral, a sequence of bases, an
    exchanged residue, an accession number, or what is followed by *cells*, *domain*, *syndrome* and the like. Words
    joined by hyphens count if neither the whole nor all of its parts are known.

    Parameters
    ----------
    texts
        n texts.
    known
        The tables.
    own
        Gene of each text whose annotation is not to be looked at: for texts that are this annotation.

    Returns
    -------
    n tuples, each name once.
    """
    found = [_shaped(text) for text in texts]
    parts = sorted({part for words in found for word in words for part in _forms(word)})
    tier, _ = known.table.lookup(np.array(parts, dtype=object))
    names = {part for part, how in zip(parts, tier, strict=True) if how is not None}
    own_words = [""] * len(texts) if own is None else [known.annotations.get(gene, "").lower() for gene in own]
    result = []
    for words, annotation in zip(found, own_words, strict=True):
        itself = set(re.findall(r"[^\W_]+", annotation))
        result.append(tuple(word for word in words if not _is_known(word, names, known, itself)))
    return result


def _shaped(text: str) -> list[str]:
    matches = (match for match in _SHAPE.finditer(text) if not _BEHIND.match(text, match.end()))
    return list(
        dict.fromkeys(
            match.group() for match in matches if _is_candidate(match.group()) and not _is_spelled(match, text)
        )
    )


def _is_spelled(match: re.Match[str], text: str) -> bool:
    """Whether it abbreviates the lower-case words before it: "familial testotoxicosis syndrome (FTS)."""
    before = _SPELLED.search(text[max(match.start() - _REACH, 0) : match.start()])
    if before is None:
        return False
    letters = "".join(filter(str.isalpha, match.group())).lower()
    said = before["words"].split()[-len(letters) - 2 :]
    starts = [i for i, word in enumerate(said) if word.lower().startswith(letters[0])]
    return any(_in_order(letters, "".join(said[i:]).lower()) for i in starts)


def _in_order(letters: str, text: str) -> bool:
    rest = iter(text)
    return all(letter in rest for letter in letters)


def _is_candidate(word: str) -> bool:
    bare = word.replace("-", "")
    return len(bare) >= 3 and sum(map(str.isalpha, bare)) >= 2 and not _OTHERWISE.fullmatch(word)


def _forms(word: str) -> list[str]:
    return [word, word.replace("-", ""), *word.split("-")]


def _is_known(word: str, names: set[str], known: Known, itself: set[str]) -> bool:
    def stands(part: str) -> bool:
        lower = part.lower()
        return (
            part in names
            or known.begins_symbols(part)
            or known.vocabulary[lower] > (lower in itself)
            or not _is_candidate(part)
        )

    return word in names or stands(word.replace("-", "")) or ("-" in word and all(map(stands, word.split("-"))))
