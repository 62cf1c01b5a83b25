"""Scores of answers to closed questions: shares of right ones, and how well probabilities tell them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bftembed.bench.language.choices.answers import calibration_error, likeliest, probabilities
from bftembed.bench.scoring.metrics import drawn, macro_f1, mean, mean_of_known, plain
from bftembed.bench.scoring.scores import Score

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from bftembed.bench.language.choices.answers import Chosen
    from bftembed.bench.language.choices.prompts import ClosedQuestion

    Floats = NDArray[np.float64]


def share(
    method: str,
    metric: str,
    values: NDArray[np.float64] | NDArray[np.bool_],
    weights: Floats | None,
    *,
    where: NDArray[np.bool_] | None = None,
) -> Score:
    """Mean of values; of truths the share that is true, which then has an interval by itself.

    Parameters
    ----------
    method, metric
        Of the score.
    values
        (n,)
    weights
        (n_draws, n) of the bootstrap; None: no interval.
    where
        Items that count (n,); all by default.
    """
    kept = np.ones(len(values), dtype=bool) if where is None else where
    known = np.asarray(values, dtype=float)[kept]
    draws = None if weights is None else mean(known, weights[:, kept])
    right = values[kept].tolist() if values.dtype == bool and kept.any() else None
    return Score(method, metric, mean(known, np.ones((1, len(known))))[:, None], draws, right=right)


def f1_score(method: str, gold: NDArray[np.str_], choices: NDArray[np.str_], weights: Floats) -> Score:
    """Mean of F1 over the answers; what is not answered is wrong."""
    value = plain(macro_f1, gold, choices)
    return Score(method, "macro F1", np.array([[value]]), drawn(macro_f1, gold, choices, weights))


def by_stratum(
    method: str, right: NDArray[np.bool_], strata: NDArray[np.str_], weights: Floats, *, metric: str = "accuracy"
) -> list[Score]:
    """One score for each stratum; none if there is but one."""
    names = np.unique(strata)
    if len(names) < 2:
        return []
    return [share(method, f"{metric}, {name}", right, weights, where=strata == name) for name in names]


def mean_of_subsets(method: str, right: NDArray[np.bool_], strata: NDArray[np.str_], weights: Floats) -> Score:
    """Mean over the subsets of their accuracies, each as heavy as another."""
    scores = by_stratum(method, right, strata, weights) or [share(method, "", right, weights)]
    values = np.array([[np.mean([score.mean for score in scores])]])
    draws = mean_of_known(np.stack([score.draws for score in scores if score.draws is not None]))
    return Score(method, "mean of subset means", values, draws)


def of_probabilities(method: str, rows: Sequence[ClosedQuestion], chosen: Chosen, weights: Floats) -> list[Score]:
    """Calibration, and the log-probability of the right answer, over the questions whose probabilities are known."""
    known = np.asarray(~np.isnan(chosen.logprobs).any(axis=1))
    logprobs = np.where(known[:, None], chosen.logprobs, 0.0)
    shares = probabilities(logprobs)
    gold = np.array([row.choices.index(row.gold) for row in rows])
    lines = np.arange(len(rows))
    confidence = shares.max(axis=1)
    error = calibration_error(confidence[known], chosen.right(rows)[known])
    return [
        Score(method, "calibration error", np.array([[error]])),
        share(method, "mean log-probability of the right answer", logprobs[lines, gold], weights, where=known),
        share(
            method,
            "mean log-probability of the right answer among the options",
            np.log(shares[lines, gold]),
            weights,
            where=known,
        ),
    ]


def choices_of(rows: Sequence[ClosedQuestion], logprobs: Floats) -> NDArray[np.str_]:
    """The likeliest choice of each question (n,), ``""`` where it is not known or not the only one."""
    best = likeliest(logprobs)
    return np.array([row.choices[i] if i >= 0 else "" for row, i in zip(rows, best, strict=True)], dtype=str)
