"""ROUGE of short names, by `rouge-score`, and the best answer of a model that always says the same."""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from bftembed._optional import require

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

KINDS = {"rouge-1": "rouge1", "rouge-2": "rouge2", "rouge-l": "rougeL"}
#: Words that the best constant name is made of, and how long it may be.
_WORDS, _LENGTH = 20, 4


def rouge(golds: Sequence[str], names: Sequence[str]) -> dict[str, NDArray[np.float64]]:
    """F-measures of ROUGE-1, ROUGE-2 and ROUGE-L, words brought to their stem (Lin 2004; `rouge-score` of Google).

    Parameters
    ----------
    golds, names
        (n,) each.

    Returns
    -------
    (n,) by kind.

    Raises
    ------
    MissingExtraError
        If `rouge-score` is not installed.

    Examples
    --------
    >>> from bftembed.bench.scoring.rouge import rouge
    >>> {kind: round(float(f[0]), 3) for kind, f in rouge(["regulation of DNA repair"], ["DNA repairs"]).items()}
    {'rouge-1': 0.667, 'rouge-2': 0.5, 'rouge-l': 0.667}
    """
    scorer = _scorer(*KINDS.values())
    found = [scorer.score(gold, name) for gold, name in zip(golds, names, strict=True)]
    return {kind: np.array([each[key].fmeasure for each in found]) for kind, key in KINDS.items()}


def best_constant(golds: Sequence[str]) -> str:
    """Find the name that gets the best mean ROUGE-L as the answer for all: what knowing the style alone is worth.

    It is built from the most frequent words, by the insertion that gains most, as long as one does.

    Examples
    --------
    >>> from bftembed.bench.scoring.rouge import best_constant
    >>> best_constant(["regulation of dna repair", "regulation of cell growth", "regulation of yeast budding"])
    'regulation of'
    """
    counted = Counter(word for gold in golds for word in gold.split())
    words = [word for word, _ in sorted(counted.items(), key=lambda item: (-item[1], item[0]))[:_WORDS]]
    scorer, best, reached = _scorer("rougeL"), "", 0.0
    for _ in range(_LENGTH):
        parts = best.split()
        tried = sorted({" ".join([*parts[:i], word, *parts[i:]]) for word in words for i in range(len(parts) + 1)})
        means = [float(np.mean([scorer.score(gold, name)["rougeL"].fmeasure for gold in golds])) for name in tried]
        if not means or max(means) <= reached:
            break
        reached, best = max(means), tried[int(np.argmax(means))]
    return best


class _Tokens:
    """The tokenizer of `rouge-score`, which stems anew each time that a text is compared."""

    def __init__(self) -> None:
        tokenizer = require("rouge_score.tokenizers").DefaultTokenizer(use_stemmer=True)
        self.tokenize = lru_cache(maxsize=100_000)(tokenizer.tokenize)


@lru_cache(maxsize=4)
def _scorer(*kinds: str) -> Any:
    return require("rouge_score.rouge_scorer").RougeScorer(list(kinds), tokenizer=_Tokens())
