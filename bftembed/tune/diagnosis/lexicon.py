"""Words that carry biomedical knowledge, and where they stand in a text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bftembed import data
from bftembed.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

# Approved symbols of letters alone that are also written in capitals for other reasons: words and acronyms with a Zipf
# frequency of 3.5 or more (three in a million words of English) in the PyPI package wordfreq 3.1.1, in lower case.
_COMMON = (
    "ACE ADA ANG APP ARC ATM BAD BID CAMP CAPS CAST CAT CBS CHAD CHAT CLOCK COIL COMP COPE DES ENG ESPN FRY GAL GALE "
    "GEM HAL IMPACT INS JUN KIN KIT MAG MAL MALL MARCO MAX MET MIA MICE MVP NHS NUMB OMG OSCAR PALM PAM PDF PIGS POLE "
    "POLL POR PPL PREP RAN REST SELL SET SHE SKI SMS SON SRI STAR STRAP SYNC TANK TIMELESS TRIO TUB VIP WAS"
)
COMMON_WORDS = frozenset(_COMMON.split())
_SHORTEST_SYMBOL = 3
_AMINO = "ACDEFGHIKLMNPQRSTVWY"
_AMINO_3 = "(?:Ala|Arg|Asn|Asp|Cys|Gln|Glu|Gly|His|Ile|Leu|Lys|Met|Phe|Pro|Ser|Thr|Trp|Tyr|Val)"
_CHANGED = "(?:del|ins|dup)"
# After the recommendations of the HGVS, and the short forms that papers use. T47D is a cell line.
_MUTATIONS = rf"""
      p\.\(?(?:{_AMINO_3}|[{_AMINO}])\d+(?:_(?:{_AMINO_3}|[{_AMINO}])\d+)?
          (?:{_AMINO_3}|Ter|[{_AMINO}X](?![a-z])|\*|=|fs|delins|{_CHANGED})[\w*]*\)?
    | [cgmn]\.[-*]?\d+(?:[+-]\d+)?(?:_[-*]?\d+(?:[+-]\d+)?)?(?:[ACGT]+>[ACGT]+|delins[ACGT]*|{_CHANGED}[ACGT]*)
    | {_AMINO_3}\d+(?:{_AMINO_3}|Ter|\*|fs|{_CHANGED})
    | (?!T47D\b)[{_AMINO}]\d{{2,4}}(?:[{_AMINO}]|fs|\*|{_CHANGED})(?:[*X]\d+)?
    | [{_AMINO}]\d+_[{_AMINO}]\d+{_CHANGED}
    | (?:IVS)?\d+(?:[+-]\d+)?{_CHANGED}[ACGT]+ | \d+[ACGT]>[ACGT] | [\u0394\u2206][{_AMINO}]\d+
    | rs\d{{3,}}
    | frameshifts? | frame-shift | indels?
"""
_PATHWAYS = r"""
      pathways? | signall?ing | signal[ ]transduction | cascades? | crosstalk | downstream
    | (?:auto|de|hyper)?phosphorylat\w+ | ubiquitinat\w+ | acetylat\w+ | methylat\w+ | kinases? | phosphatases?
    | GTPases? | receptors? | ligands? | agonists? | antagonists? | cytokines? | chemokines? | interleukins?
    | transcription[ ]factors? | second[ ]messengers? | apoptosis | autophagy | glycolysis | angiogenesis
    | cell[ ]cycle | oxidative[ ]stress | inflammasomes?
    | (?-i:Wnt | WNT | Notch | Hedgehog | Hippo | MAPK | ERK | JNK | PI3K | Akt | AKT | mTOR | JAK | STAT\d?
    | NF-?(?:κ|k|kappa)[ ]?B | TGF-?(?:β|beta)\d? | BMP | Ras | RAS | cAMP | AMPK | Toll-like)
"""
_CAUSES = r"""
      because | therefore | thus | thereby | hence | consequently | accordingly | due[ ]to | owing[ ]to
    | as[ ]a[ ](?:result|consequence)(?:[ ]of)? | in[ ]response[ ]to | lead(?:s|ing)?[ ]to | led[ ]to
    | result(?:s|ed|ing)?[ ](?:in|from) | giv(?:es|ing)[ ]rise[ ]to | contribut(?:e|es|ed|ing)[ ]to
    | caus(?:es|ed|ing) | trigger(?:s|ed|ing)? | induc(?:e|es|ed|ing) | promot(?:e|es|ed|ing)
    | activat(?:e|es|ed|ing) | inhibit(?:s|ed|ing)? | suppress(?:es|ed|ing)? | repress(?:es|ed|ing)?
    | (?:(?:up|down)-?)?regulat(?:e|es|ed|ing) | mediat(?:e|es|ed|ing) | stimulat(?:e|es|ed|ing)
    | block(?:s|ed|ing)? | prevent(?:s|ed|ing)? | enabl(?:e|es|ed|ing)
"""
_SYMBOL = re.compile(r"(?<![A-Za-z0-9])[A-Za-z0-9]+(?:-[A-Za-z0-9]+)*(?![A-Za-z0-9])")


@dataclass(frozen=True)
class Lexicon:
    """A kind of words.

    Attributes
    ----------
    name
        What to call it in tables.
    find
        Gives the places of the words in a text, (n_matches, 2), int64: first character, and the one after the last.
    """

    name: str
    find: Callable[[str], np.ndarray]


def default_lexicons() -> list[Lexicon]:
    """Gene symbols (HGNC), mutation patterns, words of pathways, and causal connectives.

    Raises
    ------
    DataError
        If the table of HGNC is neither in the cache nor can be fetched.
    """
    return [
        gene_lexicon(),
        pattern_lexicon("mutations", _MUTATIONS, ignore_case=False),
        pattern_lexicon("pathway words", _PATHWAYS),
        pattern_lexicon("causal connectives", _CAUSES),
    ]


def gene_lexicon(symbols: Iterable[str] | None = None) -> Lexicon:
    """Gene symbols as whole words, in upper and lower case as they are approved.

    Left out are symbols of less than three characters and those in `COMMON_WORDS`. In a word with hyphens the longest
    symbols from the left are found: ``HLA-A`` as it is, ``TP53`` in ``TP53-dependent``.

    Parameters
    ----------
    symbols
        The symbols; by default all that HGNC has approved.

    Raises
    ------
    DataError
        If the table of HGNC is neither in the cache nor can be fetched.
    """
    if symbols is None:
        symbols = data.load("hgnc_genes")["Approved symbol"]
    known = frozenset(s for s in symbols if len(s) >= _SHORTEST_SYMBOL and s not in COMMON_WORDS)

    def find(text: str) -> np.ndarray:
        spans = []
        for match in _SYMBOL.finditer(text):
            word, start = match.group(), match.start()
            if word in known:
                spans.append(match.span())
            elif "-" in word:
                spans += [(start + begin, start + end) for begin, end in _parts(word, known)]
        return np.asarray(spans, dtype=np.int64).reshape(-1, 2)

    return Lexicon("genes", find)


def pattern_lexicon(name: str, pattern: str, *, ignore_case: bool = True) -> Lexicon:
    """Matches of a regular expression (spaces in it do not count) that are not part of a longer word.

    Raises
    ------
    InputError
        If the pattern is no regular expression.
    """
    try:
        whole = re.compile(rf"(?<!\w)(?:{pattern})(?!\w)", re.VERBOSE | (re.IGNORECASE if ignore_case else 0))
    except re.error as error:
        msg = f"The pattern of the lexicon `{name}` is no regular expression: {error}."
        raise InputError(msg) from error

    def find(text: str) -> np.ndarray:
        return np.asarray([match.span() for match in whole.finditer(text)], dtype=np.int64).reshape(-1, 2)

    return Lexicon(name, find)


def token_counts(matches: np.ndarray, spans: np.ndarray) -> np.ndarray:
    """How many matches end in each token, so that every match counts once.

    Parameters
    ----------
    matches
        (n_matches, 2), characters.
    spans
        (n_tokens, 2), the characters of each token, in order. Matches that end outside of all of them do not count.

    Returns
    -------
    (n_tokens,), int64.
    """
    if not len(spans):
        return np.zeros(0, dtype=np.int64)
    last = matches[:, 1] - 1
    token = np.searchsorted(spans[:, 0], last, side="right") - 1
    inside = (token >= 0) & (last < spans[-1, 1])
    return np.bincount(token[inside], minlength=len(spans))


def _parts(word: str, known: frozenset[str]) -> list[tuple[int, int]]:
    """Places of the longest symbols, from the left, among the parts of a word with hyphens."""
    borders = [-1, *(match.start() for match in re.finditer("-", word)), len(word)]
    spans, first = [], 0
    while first < len(borders) - 1:
        for last in range(len(borders) - 1, first, -1):
            if word[borders[first] + 1 : borders[last]] in known:
                spans.append((borders[first] + 1, borders[last]))
                first = last
                break
        else:
            first += 1
    return spans
