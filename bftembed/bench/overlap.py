"""How much of the questions of a task stands in a corpus that a model was trained on."""

from __future__ import annotations

import re
from collections import Counter
from itertools import chain
from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    Gram = tuple[str, ...]

SIZES = (8, 13)
#: Share of its sequences of 8 words from which on an item is flagged.
FLAGGED = 0.3
#: What more items than this have in common is wording of the task.
_MOST_SHARED = 10
_LETTER = re.compile(r"(?<!\w)\(?[A-J][.):](?=\s)")


def shares(texts: Mapping[str, str], corpus: Iterable[str]) -> pd.DataFrame:
    """Which share of the word sequences of each text occurs in a corpus, which is read once.

    Parameters
    ----------
    texts
        Text by item. Lines, and sequences of words, that more than 10 of the texts (or more than half of them) have
        are wording of the task and not counted. Case, punctuation and the letters of options do not count.
    corpus
        Texts; of it only what stands in `texts` too is kept.

    Returns
    -------
    Table with a row for each item: ``share_8``, ``share_13``, the share of its distinct sequences of so many words that
    occur in the corpus, NaN for one that has none of its own; and ``flagged``, whether ``share_8`` is 0.3 or more.

    Examples
    --------
    >>> texts = {"a": "Which nerve is damaged if the uvula is drawn to the left?", "b": "Name the largest organ."}
    >>> shares(texts, ["Q: which nerve is damaged if the uvula is drawn upwards?"])["share_8"].round(2).to_dict()
    {'a': 0.4, 'b': nan}
    """
    parts = _own_parts(texts)
    grams = {n: _own_grams(parts.values(), n) for n in SIZES}
    found: dict[int, set[Gram]] = {n: set() for n in SIZES}
    for text in corpus:
        words = _words(text)
        for n in SIZES:
            found[n] |= grams[n].intersection(_sequences(words, n))
    columns = {f"share_{n}": [_share(item, n, grams[n], found[n]) for item in parts.values()] for n in SIZES}
    table = pd.DataFrame(columns, index=pd.Index(list(parts), name="item"), dtype="float64")
    return table.assign(flagged=table[f"share_{SIZES[0]}"] >= FLAGGED)


def _most_shared(n_texts: int) -> int:
    return max(1, min(_MOST_SHARED, n_texts // 2))


def _own_parts(texts: Mapping[str, str]) -> dict[str, list[list[str]]]:
    """Words by item, in parts between the lines that many items have."""
    lines = {item: text.splitlines() for item, text in texts.items()}
    counts = Counter(chain.from_iterable(map(set, lines.values())))
    most = _most_shared(len(texts))
    parts = {}
    for item, given in lines.items():
        text = "\0".join(line if counts[line] <= most else "\0\0" for line in given)
        parts[item] = [_words(part) for part in re.split("\0{3,}", text)]
    return parts


def _own_grams(items: Iterable[list[list[str]]], n: int) -> set[Gram]:
    counts: Counter[Gram] = Counter()
    n_items = 0
    for parts in items:
        counts.update(_distinct(parts, n))
        n_items += 1
    most = _most_shared(n_items)
    return {gram for gram, count in counts.items() if count <= most}


def _share(parts: list[list[str]], n: int, own: set[Gram], found: set[Gram]) -> float:
    grams = _distinct(parts, n) & own
    return len(grams & found) / len(grams) if grams else float("nan")


def _distinct(parts: list[list[str]], n: int) -> set[Gram]:
    return {gram for words in parts for gram in _sequences(words, n)}


def _sequences(words: list[str], n: int) -> Iterator[Gram]:
    return zip(*(words[start:] for start in range(n)), strict=False)


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", _LETTER.sub(" ", text).casefold())
