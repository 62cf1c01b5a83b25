"""How a text is written, whatever it says."""

from __future__ import annotations

import re

from bftembed.quality.words import four_grams, words

_REFUSAL = re.compile(
    r"\b(?:as an? (?:ai|artificial intelligence|(?:large )?language model)\b"
    r"|i(?:['\u2019]m| am) (?:sorry|unable|not able|an ai)|i apologi[sz]e"
    r"|i (?:cannot|can['\u2019]t|can not|could not|couldn['\u2019]t)\b"
    r"|i do(?:n['\u2019]t| not) (?:have|know|recogni[sz]e)|i have no (?:information|knowledge)"
    r"|my (?:knowledge|training)\b|no (?:specific )?information (?:is|was) available (?:about|on|for)"
    r"|is not a (?:known|recogni[sz]ed|real|valid) (?:human )?gene)",
    re.IGNORECASE,
)


def is_refusal(text: str) -> bool:
    """Whether a text speaks of its writer's limits in place of the gene.

    Examples
    --------
    >>> from bftembed.quality.form import is_refusal
    >>> is_refusal("As an AI, I cannot describe this gene."), is_refusal("Cells that lack it cannot divide.")
    (True, False)
    """
    return _REFUSAL.search(text) is not None


def repetition(text: str) -> float:
    """Share of a text's runs of four words that stood in it before; 0 for fewer than five words.

    Examples
    --------
    >>> from bftembed.quality.form import repetition
    >>> repetition("It binds DNA in cells. It binds DNA in cells.")
    0.2857142857142857
    """
    grams = four_grams(words(text))
    return 1 - len(set(grams)) / len(grams) if grams else 0.0


def copied(text: str, prompt: str) -> float:
    """Share of a text's runs of four words that stand in its prompt; NaN for fewer than four words.

    Examples
    --------
    >>> from bftembed.quality.form import copied
    >>> copied("It binds DNA in cells.", "Known facts: binds DNA in cells")
    0.5
    """
    grams = four_grams(words(text))
    known = set(four_grams(words(prompt)))
    return sum(gram in known for gram in grams) / len(grams) if grams else float("nan")
