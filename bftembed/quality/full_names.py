"""Which full name a text gives its gene, and whether the tables have it."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

from bftembed.quality.words import padded, words

if TYPE_CHECKING:
    from collections.abc import Sequence

_LONGEST, _REACH = 12, 120  # words, characters
#: A name stands in no sentence of its own: where one begins or ends.
_END = r"(?=[.,;:()\[\]\n]|\s(?:is|are|was|that|which|and is|gene|in humans|encodes|plays)\b|\Z)"
_SAID = re.compile(
    r"\b(?:stands for|(?:is |as )?(?:short|an? (?:abbreviation|acronym)|abbreviated) (?:for|of|from)"
    rf"|full name(?: of [\w-]+)?(?: is|:)|abbreviat(?:es|ion of))\s+"
    rf"[\"'\u201c*_]*(?P<name>[^.,;:()\n]{{3,120}}?)[\"'\u201d*_]*{_END}",
    re.IGNORECASE,
)
_OWN = "\ue000"
_SYMBOL = rf"(?<![\w-]){_OWN}(?![\w-])"
_BESIDE = (
    re.compile(rf"{_SYMBOL}(?: gene| protein)?[\"'*_]*,?\s*\((?P<name>[^()\n]{{3,120}})\)"),
    re.compile(
        rf"{_SYMBOL}[*_]*,? (?:also )?(?:known as|called|or|short for) (?:the )?(?P<name>[^.,;()\n]{{3,120}}?){_END}"
    ),
)
_BEFORE = re.compile(rf"\(\s*{_SYMBOL}\s*[,;)]")
_CALLED = re.compile(
    r"^(?:(?:also |previously |formerly |commonly |otherwise )*(?:known as|called|termed|named)|or|encoding|i\.?e\.?"
    r"|the|an?|short for|stands for|aka|a\.k\.a\.|alias|human|gene)\s+",
    re.IGNORECASE,
)
#: Of a disease, which has the symbol of its gene often.
_DISEASE = re.compile(
    r"syndrome|disease|disorder|deficien|dystroph|pathy|failure|cancer|carcinoma|dysplasia|ataxia|epilep|palsy|osis\b|itis\b"
    r"|emia\b|cause|mutation|chromosome",
    re.IGNORECASE,
)
#: Words that a name in running text does not go back beyond.
_CUT = {
    *("the", "a", "an", "by", "is", "as", "are", "was", "called", "named", "termed", "known", "human", "which", "that"),
    *("also", "symbol", "gene", "genes", "encodes", "encoding", "encoded", "encode", "protein:", "this", "its", "with"),
    *(
        "describe",
        "describes",
        "include",
        "includes",
        "including",
        "like",
        "such",
        "from",
        "and",
        "or",
        "to",
        "on",
        "at",
    ),
}
#: Words that make no name by themselves, and count for nothing in the comparison.
_GENERIC = {
    "protein",
    "gene",
    "human",
    "homolog",
    "family",
    "member",
    "proteins",
    "the",
    "a",
    "product",
    "isoform",
    "of",
}
_NO_PART = {"of", "in", "to", "on", "a", "an", "at", "by", "or", "and", "for", "the"}


def has_name(text: str, names: Sequence[str]) -> bool:
    """Whether one of the names stands in the text, word for word.

    A name of one word has to have six letters, since shorter ones are symbols.

    Examples
    --------
    >>> from bftembed.quality.full_names import has_name
    >>> has_name("It encodes Cathepsin-L, a protease.", ["cathepsin L"])
    True
    """
    said = padded(words(text))
    known = map(_of_name, names)
    return any(padded(name) in said for name in known if len(name) > 1 or (name and len(name[0]) > 5))


def stated_names(text: str, symbol: str) -> list[str]:
    """What a text says that a gene is called: ``SYMBOL (name)``, ``name (SYMBOL)``, ``SYMBOL stands for name``.

    Parameters
    ----------
    text
        The text.
    symbol
        Of the gene. Aliases are not looked for: many abbreviate the disease that a gene is known by.

    Examples
    --------
    >>> from bftembed.quality.full_names import stated_names
    >>> stated_names("The gene CTSL (cathepsin L) is a protease.", "CTSL")
    ['cathepsin L']
    """
    marked = text.replace(symbol, _OWN)  # so that the patterns are the same for all genes
    found = [(match.start(), match["name"]) for match in _SAID.finditer(text)]
    if _OWN in marked:
        found += [(match.start(), match["name"]) for each in _BESIDE for match in each.finditer(marked)]
        for match in _BEFORE.finditer(marked):
            before = re.split(r"[.;:()\n]", marked[max(match.start() - _REACH, 0) : match.start()])[-1]
            found.append((match.start(), _last_words(before)))
    said = (name.replace(_OWN, symbol).strip() for _, name in sorted(found))
    names = (re.split(r"[,;]\s| - ", _CALLED.sub("", name))[0].strip(" \"'*_-") for name in said)
    return [name for name in names if _is_name(name)]


def right_name(stated: str, names: Sequence[str]) -> bool:
    """Whether a stated name is one of the known ones, in other words or other order perhaps.

    Half of the words in common (twice the common ones over those of both, generic words left out); numbers and single
    letters, which tell the members of a family apart, all have to be those of the known name.

    Examples
    --------
    >>> from bftembed.quality.full_names import right_name
    >>> right_name("Cathepsin L protease", ["cathepsin L"]), right_name("cathepsin B", ["cathepsin L"])
    (True, False)
    """
    said = set(words(stated)) - _GENERIC
    marks = {word for word in said - _NO_PART if len(word) < 3 or any(map(str.isdigit, word))}
    known = [set(_of_name(name)) - _GENERIC for name in names]
    return any(marks <= name and len(said & name) * 4 >= len(said) + len(name) for name in known if name)


@cache
def _of_name(name: str) -> tuple[str, ...]:
    return tuple(words(name))


def _last_words(text: str) -> str:
    """The name at the end of a piece of text: back to a word that belongs to no name."""
    said = text.split()[-_LONGEST:]
    cut = max((i for i, word in enumerate(said) if word.lower().strip("*_\"',") in _CUT), default=-1)
    return " ".join(said[cut + 1 :])


def _is_name(text: str) -> bool:
    said = words(text)
    specific = [word for word in said if word not in _GENERIC]
    letters = [word for word in re.findall(r"[^\W_]+", text) if re.search(r"[a-z]{3}", word)]
    long = len(said) > 1 or len("".join(said)) > 5
    return bool(letters and specific) and long and len(said) <= _LONGEST and not _DISEASE.search(text)
