"""Words of a text in the form in which they are compared."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_GREEK = re.compile("[\u03b1-\u03c9]")
_WORD = re.compile(r"[^\W_]+")
_BRITISH = {"tumour": "tumor", "leukaemia": "leukemia", "haemoglobin": "hemoglobin", "oestrogen": "estrogen"}


def words(text: str) -> list[str]:
    """Lower-case words and numbers, Greek letters by name, punctuation left out.

    Examples
    --------
    >>> from bftembed.quality.words import words
    >>> words("TGF-β1, a Tumour factor")
    ['tgf', 'beta', '1', 'a', 'tumor', 'factor']
    """
    plain = unicodedata.normalize("NFKC", text).lower()
    plain = _GREEK.sub(lambda letter: f" {unicodedata.name(letter[0]).split()[-1].lower()} ", plain)
    return [_BRITISH.get(word, word) for word in _WORD.findall(re.sub(r"(?<=beta)(?=\d)|(?<=alpha)(?=\d)", " ", plain))]


def padded(tokens: Iterable[str]) -> str:
    """Words in one string with a blank around each, so that ``padded(part) in padded(whole)`` finds whole words."""
    return f" {' '.join(tokens)} "


def four_grams(tokens: Sequence[str]) -> list[tuple[str, ...]]:
    """All runs of four words."""
    return [tuple(tokens[i : i + 4]) for i in range(len(tokens) - 3)]
