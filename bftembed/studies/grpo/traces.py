"""What stands in the answers: entities, mechanisms, repetition, and whether the end follows from the rest.

All counts are per 100 words, since longer texts hold more of everything.
"""

from __future__ import annotations

import math
import re
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bftembed import data
from bftembed.quality.form import repetition
from bftembed.quality.words import words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bftembed.tune.diagnosis.lexicon import Lexicon

#: Names of the statistics, in the order of the report.
STATISTICS = (
    "words",
    "gene symbols of the prompt per 100 words",
    "new gene symbols per 100 words",
    "share of new symbols that are known partners",
    "mutations per 100 words",
    "pathway words per 100 words",
    "causal connectives per 100 words",
    "distinct-2",
    "repeated 4-grams",
    "end contradicts the rest",
)
_UP = re.compile(r"\b(?:increas\w*|rise[sn]?|rising|rose|up-?regulat\w*|elevat\w*|higher|induc\w*|activat\w*)\b", re.I)
_DOWN = re.compile(
    r"\b(?:decreas\w*|fall(?:s|en|ing)?|fell|down-?regulat\w*|reduc\w*|lower\w*|repress\w*|suppress\w*|inhibit\w*)\b",
    re.I,
)


class Reader(NamedTuple):
    """The lexicons by which texts are read, and known partners of genes.

    Attributes
    ----------
    lexicons
        Of `bftembed.tune.diagnosis.lexicon`, by name; without ``"genes"`` symbols are not counted.
    partners
        By symbol; empty where no table of them is on this machine.
    """

    lexicons: Mapping[str, Lexicon]
    partners: Mapping[str, frozenset[str]]


@cache
def reader() -> Reader:
    """Lexicons and partners (TRRUST, LIANA), as far as their tables are on this machine."""
    from bftembed.naming.tools import read_relations
    from bftembed.tune.diagnosis.lexicon import default_lexicons

    relations = read_relations() if data.available("trrust") or data.available("liana") else {}
    partners = {gene: frozenset().union(*kinds.values()) for gene, kinds in relations.items()}
    return Reader({lexicon.name: lexicon for lexicon in default_lexicons()}, partners)


def statistics(
    texts: Sequence[str], ends: Sequence[str | None], *, prompt: str, genes: Sequence[str], known: Reader
) -> dict[str, float]:
    """Statistics of the answers to one question, by the names of `STATISTICS`.

    Parameters
    ----------
    texts
        The answers.
    ends
        What each says in the end; None where that cannot be read.
    prompt
        The question.
    genes
        Genes that it asks about.
    known
        See `reader`.

    Returns
    -------
    Floats; NaN where there is nothing to count in.

    Examples
    --------
    >>> from bftembed.studies.grpo.traces import Reader, statistics
    >>> text = "It is reduced, reduced and lower. Answer: increase"
    >>> found = statistics([text], ["increase"], prompt="", genes=(), known=Reader({}, {}))
    >>> found["words"], found["end contradicts the rest"]
    (8.0, 1.0)
    """
    tokens = [words(text) for text in texts]
    n_words = sum(map(len, tokens))
    asked = set(_symbols(prompt, known))
    found = [symbol for text in texts for symbol in _symbols(text, known)]
    new = [symbol for symbol in found if symbol not in asked]
    partners = frozenset().union(*(known.partners.get(gene, frozenset()) for gene in genes))
    pairs = [pair for each in tokens for pair in pairwise(each)]
    turned = [value for text, end in zip(texts, ends, strict=True) if (value := contradicts(text, end)) is not None]

    def per_100(count: float) -> float:
        return 100 * count / n_words if n_words else math.nan

    def matches(name: str) -> float:
        lexicon = known.lexicons.get(name)
        return per_100(sum(len(lexicon.find(text)) for text in texts)) if lexicon else math.nan

    values = (
        n_words / len(texts),
        per_100(len(found) - len(new)) if "genes" in known.lexicons else math.nan,
        per_100(len(new)) if "genes" in known.lexicons else math.nan,
        sum(symbol in partners for symbol in new) / len(new) if new and partners else math.nan,
        matches("mutations"),
        matches("pathway words"),
        matches("causal connectives"),
        len(set(pairs)) / len(pairs) if pairs else math.nan,
        float(np.mean([repetition(text) for text in texts])),
        sum(turned) / len(turned) if turned else math.nan,
    )
    return dict(zip(STATISTICS, map(float, values), strict=True))


def _symbols(text: str, known: Reader) -> list[str]:
    lexicon = known.lexicons.get("genes")
    return [text[begin:end] for begin, end in lexicon.find(text)] if lexicon else []


def contradicts(text: str, end: str | None) -> bool | None:
    r"""Whether most words of direction before the last line point against an answer that is one.

    Returns
    -------
    None where the end is no direction, or there is no majority.

    Examples
    --------
    >>> from bftembed.studies.grpo.traces import contradicts
    >>> contradicts("MYC is repressed.\nAnswer: decrease", "decrease")
    False
    """
    if end not in ("increase", "decrease"):
        return None
    before, _, last = text.rstrip().rpartition("\n")
    body = before or re.sub(r"(?i)\banswer\b.*$", "", last, flags=re.DOTALL)
    up, down = len(_UP.findall(body)), len(_DOWN.findall(body))
    return None if up == down else (up > down) != (end == "increase")
