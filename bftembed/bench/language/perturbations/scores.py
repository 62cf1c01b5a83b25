"""Scores of answers to pairs of perturbation and gene: within genes, within perturbations, balanced, and pooled."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from bftembed.bench.language.perturbations.pairs import balanced
from bftembed.bench.scoring.clusters import group_weights
from bftembed.bench.scoring.metrics import accuracy, auroc_per_group, f1, plain
from bftembed.bench.scoring.scores import Score

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

PER_GENE = "auroc per gene"
BALANCED = "accuracy balanced in genes"
PER_PERT = "auroc per perturbation"
F1 = "f1"
ANSWERED = "answered"
DIFFERENCE = "auroc per gene, less retrieval only"
POOLED, POOLED_ACCURACY = "pooled auroc (a warning)", "pooled accuracy (a warning)"


class Sample:
    """Asked pairs and their replicates.

    Replicates are of the pigeonhole bootstrap (Owen 2007): genes (in one cell line) and perturbations are drawn
    independently, and a pair counts as often as its two. One leaves out the genes of which it lacks an answer.

    Parameters
    ----------
    asked
        Rows, as `asked_pairs` gives them.
    """

    def __init__(self, asked: pd.DataFrame) -> None:
        self.label = asked["label"].to_numpy(dtype=bool)
        self.readouts, self._readout = np.unique(asked["readout"].to_numpy(dtype=str), return_inverse=True)
        self.perts, self._pert = np.unique(asked["pert"].to_numpy(dtype=str), return_inverse=True)
        self.balanced = balanced(asked)

    @cached_property
    def _of_readout(self) -> Floats:
        return group_weights(self.readouts[self._readout].tolist(), role="columns")

    @cached_property
    def _of_pert(self) -> Floats:
        return group_weights(self.perts[self._pert].tolist(), role="rows")

    @cached_property
    def _product(self) -> Floats:
        return self._of_readout * self._of_pert

    def per_gene(self, method: str, score: Floats, *, to_beat: bool = True) -> Score:
        """AUROC over the perturbations of one read-out, averaged over read-outs.

        `score` (n,) is NaN where there is no answer: it ties with all others.
        """
        value, draws = self._within(score, self._readout), self._within(score, self._readout, self._of_readout)
        return Score(method, PER_GENE, value[:, None], draws, to_beat)

    def plain_per_gene(self, score: Floats) -> float:
        """`per_gene` without replicates."""
        return float(self._within(score, self._readout)[0])

    def per_perturbation(self, method: str, score: Floats) -> Score:
        """AUROC over the read-outs of one perturbation, averaged over the perturbations that have both answers."""
        value, draws = self._within(score, self._pert), self._within(score, self._pert, self._of_pert)
        return Score(method, PER_PERT, value[:, None], draws)

    def accuracy(self, method: str, guess: NDArray[np.int_], *, to_beat: bool = True) -> Score:
        """Share of the balanced pairs that are right; `guess` (n,) is 1 for yes, -1 for no, 0 for no answer."""
        truth, guess = np.where(self.label, 1, -1)[self.balanced], guess[self.balanced]
        draws = accuracy(truth, guess, self._product[:, self.balanced])
        return Score(method, BALANCED, _one(plain(accuracy, truth, guess)), draws, to_beat)

    def f1(self, method: str, yes: NDArray[np.bool_], *, to_beat: bool = True) -> Score:
        """F1 of yes (n,) among the asked pairs."""
        return Score(method, F1, _one(plain(f1, self.label, yes)), f1(self.label, yes, self._product), to_beat)

    def pooled(self, method: str, score: Floats, guess: NDArray[np.int_]) -> list[Score]:
        """AUROC and, of guesses, accuracy of all asked pairs as one; knowing the genes is enough for both."""
        value = self._within(score, np.zeros(len(score), dtype=np.intp))
        right = plain(accuracy, np.where(self.label, 1, -1), guess)
        return [
            Score(method, POOLED, value[:, None], to_beat=False),
            Score(method, POOLED_ACCURACY, _one(right), to_beat=False),
        ]

    def _within(self, score: Floats, group: NDArray[np.intp], times: Floats | None = None) -> Floats:
        """Mean over groups of the AUROC within: as it is (1,), or, by how often each was drawn, replicates (n_draws,).

        A pair without an answer ties with all others: the mean of being above and below all of them.
        """
        weights = None if times is None else self._product
        ends = (np.inf, -np.inf) if np.isnan(score).any() else (0.0,)
        found = [
            auroc_per_group(self.label, np.where(np.isnan(score), end, score), group, weights, times=times)
            for end in ends
        ]
        return np.asarray(np.mean(found, axis=0))


def less(score: Score, other: Score) -> Score:
    """How much more one has than the other, replicate by replicate."""
    draws = None if score.draws is None or other.draws is None else score.draws - other.draws
    return Score(score.method, DIFFERENCE, _one(score.mean - other.mean), draws)


def best_threshold(label: NDArray[np.bool_], score: Floats) -> float | None:
    """The score from which on yes gives the largest F1 (the highest of equals); None without a yes and a no.

    Examples
    --------
    >>> best_threshold(np.array([False, True, True]), np.array([-3.0, -1.0, 2.0]))
    -1.0
    """
    known = ~np.isnan(score)
    label, score = label[known], score[known]
    if label.all() or not label.any():
        return None
    thresholds = np.unique(score)[::-1]
    yes = score >= thresholds[:, None]
    f1 = 2 * (yes & label).sum(axis=1) / (yes.sum(axis=1) + label.sum())
    return float(thresholds[np.argmax(f1)])


def _one(value: float) -> Floats:
    return np.array([[value]])
