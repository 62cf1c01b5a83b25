"""What a model chose: from log-probabilities of options, or out of a text."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from bftembed.errors import EngineError
from bftembed.tune.grpo.rewards import parse_answer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from bftembed.bench.asking.questions import Answer
    from bftembed.bench.language.choices.prompts import ClosedQuestion


@dataclass(frozen=True, eq=False)
class Chosen:
    """What became of questions.

    Attributes
    ----------
    choices
        (n,) str: one of each question's choices, or ``""`` where there is no answer, which is never right.
    logprobs
        (n, k) float64: of the choices in their order, -inf beyond the last one of a question; a NaN row where they are
        not known, or one of them is only known to be less than that. (n, 0) of texts.
    counts
        How many have no answer, by the reason; and how many have an option that is not among a server's likeliest.
    """

    choices: NDArray[np.str_]
    logprobs: NDArray[np.float64]
    counts: dict[str, int] = field(default_factory=dict)

    def right(self, rows: Sequence[ClosedQuestion]) -> NDArray[np.bool_]:
        """Whether each was answered right (n,)."""
        return np.asarray(self.choices == np.array([row.gold for row in rows], dtype=str))

    @property
    def answered(self) -> NDArray[np.bool_]:
        """Whether each was answered (n,)."""
        return np.asarray(self.choices != "")


def ranked(rows: Sequence[ClosedQuestion], answers: Sequence[Answer]) -> Chosen:
    """The likeliest choice of each question; none where two are equally likely, or it is not known which is.

    Raises
    ------
    EngineError
        If a log-probability is not a number.
    """
    width = max((len(row.choices) for row in rows), default=0)
    logprobs = np.full((len(rows), width), np.nan)
    censored = np.zeros((len(rows), width), dtype=bool)
    for line, row, answer in zip(range(len(rows)), rows, answers, strict=True):
        if answer.status != "ok":
            continue
        if np.isnan(answer.logprobs).any():
            msg = f"The model gave a log-probability that is not a number for `{answer.id}`: {answer.logprobs}."
            raise EngineError(msg)
        logprobs[line] = -np.inf
        logprobs[line, : len(row.choices)] = answer.logprobs
        censored[line, : len(row.choices)] = answer.censored or False
    best = likeliest(logprobs, censored)
    chosen = np.array([row.choices[i] if i >= 0 else "" for row, i in zip(rows, best, strict=True)], dtype=str)
    asked = np.array([answer.status == "ok" for answer in answers], dtype=bool)
    counts = Counter(answer.status.replace("_", " ") for answer in answers if answer.status != "ok")
    counts["undecided"] = int((asked & (best < 0)).sum())
    counts["censored"] = int(censored.any(axis=1).sum())
    logprobs[censored.any(axis=1)] = np.nan
    return Chosen(chosen, logprobs, {name: n for name, n in counts.items() if n})


def likeliest(logprobs: NDArray[np.float64], censored: NDArray[np.bool_] | None = None) -> NDArray[np.intp]:
    """Column of the largest value (n,); -1 where it is not the only one, is only a bound, or the row is NaN."""
    known = np.asarray(~np.isnan(logprobs).any(axis=1))
    filled = np.where(known[:, None], logprobs, -np.inf)
    best = filled.argmax(axis=1)
    lines = np.arange(len(filled))
    is_alone = (filled == filled[lines, best][:, None]).sum(axis=1) == 1
    if censored is not None:
        is_alone &= ~censored[lines, best]
    return np.where(known & is_alone, best, -1)


def written(rows: Sequence[ClosedQuestion], answers: Sequence[Answer]) -> Chosen:
    """The choice that each text ends with; a text that was cut has no end."""
    parsed = [
        parse_answer(answer.text, row.choices, texts=row.options) if answer.status == "ok" else None
        for row, answer in zip(rows, answers, strict=True)
    ]
    counts = Counter(answer.status.replace("_", " ") for answer in answers if answer.status != "ok")
    counts["unparsed"] = sum(
        found is None and answer.status == "ok" for found, answer in zip(parsed, answers, strict=True)
    )
    chosen = np.array([found or "" for found in parsed], dtype=str)
    return Chosen(chosen, np.empty((len(rows), 0)), {name: n for name, n in counts.items() if n})


def probabilities(logprobs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of the options among each other (n, k), from rows without NaN."""
    shifted = np.exp(logprobs - logprobs.max(axis=1, keepdims=True))
    shares: NDArray[np.float64] = shifted / shifted.sum(axis=1, keepdims=True)
    return shares


def calibration_error(confidence: NDArray[np.float64], right: NDArray[np.bool_], *, n_bins: int = 15) -> float:
    """Expected calibration error over bins of equal width (Guo et al. 2017); NaN of nothing.

    Parameters
    ----------
    confidence, right
        (n,): the probability of each choice, and whether it was right.

    Examples
    --------
    >>> import numpy as np
    >>> from bftembed.bench.language.choices.answers import calibration_error
    >>> round(calibration_error(np.array([0.9, 0.9, 0.5, 0.5]), np.array([True, True, True, False])), 3)
    0.05
    """
    if not len(confidence):
        return float("nan")
    bins = np.minimum((confidence * n_bins).astype(int), n_bins - 1)
    gaps = np.bincount(bins, weights=confidence - right, minlength=n_bins)
    return float(np.abs(gaps).sum() / len(confidence))
