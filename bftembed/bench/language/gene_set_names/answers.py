"""Answers about gene sets: what they say, and what is asked and said without knowing the set."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bftembed.bench.scoring.scores import seed_of
from bftembed.naming import Named, parse_name
from bftembed.naming.parsing import NO_NAME

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bftembed.bench.asking.questions import Answer
    from bftembed.bench.language.gene_set_names.sets import GeneSet


def read_answer(answer: Answer) -> Named:
    r"""Read what an answer says; nothing if it is too long, or was cut before its first line ended.

    Examples
    --------
    >>> from bftembed.bench import Answer
    >>> from bftembed.bench.language.gene_set_names.answers import read_answer
    >>> read_answer(Answer("1", "cut", text="Process: DNA repair\nThese genes")).name
    'DNA repair'
    >>> read_answer(Answer("1", "cut", text="Process: DNA rep")).name
    'none'
    """
    cut_within_name = answer.status == "cut" and "\n" not in answer.text.strip()
    if answer.status == "too_long" or cut_within_name:
        return Named(NO_NAME, None, unrelated=False)
    return parse_name(answer.text)


def answer_counts(answers: Sequence[Answer], named: Sequence[Named]) -> dict[str, int]:
    """What to print beside scores."""
    return {
        "sets": len(named),
        "too long": sum(answer.status == "too_long" for answer in answers),
        "cut": sum(answer.status == "cut" for answer in answers),
        "without a name": sum(each.name == NO_NAME for each in named),
        "without a confidence": sum(each.confidence is None for each in named),
        "called unrelated": sum(each.unrelated for each in named),
    }


def random_genes(given: GeneSet, pool: Sequence[str]) -> list[str]:
    """As many genes of a sorted pool as the set has, none of the set's own; the same ones every time."""
    n, own = len(given.genes), set(given.genes)
    places = np.random.default_rng(seed_of(given.id)).choice(len(pool), size=min(2 * n, len(pool)), replace=False)
    return [pool[place] for place in places if pool[place] not in own][:n]


def another_name(golds: Sequence[str]) -> list[str]:
    """For each set the name of another one, drawn once; where all have one name, that."""
    order = np.random.default_rng(seed_of(*golds)).permutation(len(golds))
    following = dict(zip(order.tolist(), np.roll(order, -1).tolist(), strict=True))
    return [golds[following[i]] for i in range(len(golds))]
