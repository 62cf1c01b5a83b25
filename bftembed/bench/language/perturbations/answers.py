"""What a model said of pairs, as numbers: margins of two options, or votes of texts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bftembed.bench.language.perturbations.prompts import ANSWERS, UNKNOWN
from bftembed.tune.grpo.rewards import parse_answer

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from bftembed.bench.asking.questions import Answer
    from bftembed.bench.language.perturbations.prompts import Effect

N_SAMPLES = 3


@dataclass(frozen=True)
class Reading:
    """Answers to n pairs.

    Attributes
    ----------
    method
        ``"rank"`` or ``"generate"``.
    score
        (n,): above 0 for yes, NaN where options were to be ranked and there is no answer.
    answered
        Share of the answers that say one or the other.
    counts
        Of answers that do not, by reason.
    """

    method: str
    score: NDArray[np.float64]
    answered: float
    counts: dict[str, int]

    @property
    def guess(self) -> NDArray[np.int_]:
        """1 for yes, -1 for no, 0 for no answer, (n,)."""
        return signs(self.score)


def signs(score: NDArray[np.float64]) -> NDArray[np.int_]:
    """Signs (n,) of scores; 0 for NaN."""
    return np.sign(np.nan_to_num(score)).astype(int)


def margins(answers: Mapping[str, Answer], ids: Sequence[str]) -> NDArray[np.float64]:
    """Log-probability of the first option less that of the second, (n,); NaN without both of them.

    An option of which a server tells only a bound (`Answer.censored`) has none.
    """
    found = np.full(len(ids), np.nan)
    for row, name in enumerate(ids):
        answer = answers[name]
        if answer.status == "ok" and not any(answer.censored):
            found[row] = answer.logprobs[0] - answer.logprobs[1]
    return found


def ranked(answers: Mapping[str, Answer], ids: Sequence[str]) -> Reading:
    """Answers by the log-probabilities of yes and no, by id."""
    score = margins(answers, ids)
    without = int(np.isnan(score).sum())
    counts = {**_counts(answers[name] for name in ids), "pairs without an answer": without}
    return Reading("rank", score, 1 - without / len(ids), counts)


def sample_id(name: str, seed: int) -> str:
    """Id of one of the texts that answer a pair; the first has that of the pair."""
    return f"{name}#{seed}" if seed else name


def written(answers: Mapping[str, Answer], ids: Sequence[str], effect: Effect) -> Reading:
    """Answers by three texts, under `sample_id`: 1 for yes, -1 for no, 0 for neither, averaged."""
    mine = [[answers[sample_id(name, seed)] for seed in range(N_SAMPLES)] for name in ids]
    votes = np.array([[_vote(answer, effect) for answer in each] for each in mine])
    counts = {
        **_counts(answer for each in mine for answer in each),
        "texts without an answer": int((votes == 0).sum()),
        "pairs without an answer": int((votes == 0).all(axis=1).sum()),
    }
    return Reading("generate", votes.mean(axis=1), float((votes != 0).mean()), counts)


def _vote(answer: Answer, effect: Effect) -> int:
    yes, no = ANSWERS[effect]
    said = parse_answer(answer.text, (yes, no, UNKNOWN)) if answer.status == "ok" else None
    return {yes: 1, no: -1}.get(said or "", 0)


def _counts(answers: Iterable[Answer]) -> dict[str, int]:
    every = list(answers)
    return {
        "too long": sum(answer.status == "too_long" for answer in every),
        "cut": sum(answer.status == "cut" for answer in every),
        "censored": sum(any(answer.censored) for answer in every),
    }
