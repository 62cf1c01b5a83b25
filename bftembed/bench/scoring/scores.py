"""A score: one value per fold of every repeat, with intervals over folds and over items."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bftembed.bench.scoring import LEVEL
from bftembed.bench.scoring.metrics import mean_of_known

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

N_DRAWS = 1000


@dataclass(frozen=True, eq=False)
class Score:
    """One metric of one method.

    Attributes
    ----------
    method
        What made the predictions, e.g. ``logistic regression``; for a baseline its name.
    metric
        E.g. ``auroc``.
    values
        (n_repeats, n_folds) float64, NaN where a fold has no value; (1, 1) for a fixed test set.
    draws
        (n_draws,): the score of resampled items, or None. Equal items are resampled equally for every embedding, so
        that replicates of two embeddings are paired.
    to_beat
        Of a baseline: whether an embedding has to beat it. False for one that is shown as a warning of how easily its
        score is reached, e.g. on a random split, which leaks.
    right
        Of a share of right items that do not depend on each other: (n,) whether each was. Its interval is Wilson's.

    Examples
    --------
    >>> import numpy as np
    >>> from bftembed.bench import Score
    >>> score = Score("logistic regression", "auroc", np.array([[0.7, 0.9], [0.8, 0.8]]))  # 2 repeats of 2 folds
    >>> round(score.mean, 2)
    0.8
    """

    method: str
    metric: str
    values: NDArray[np.float64]
    draws: NDArray[np.float64] | None = None
    to_beat: bool = True
    right: Sequence[bool] | None = None

    @property
    def mean(self) -> float:
        """Mean over folds and repeats; NaN if no fold has a value."""
        return float(mean_of_known(self.values.ravel()[:, None])[0])

    def describe(self) -> dict[str, Any]:
        """As it goes into a result file; NaN becomes None."""
        known = self.values[~np.isnan(self.values)]
        return {
            "method": self.method,
            "metric": self.metric,
            "mean": number(self.mean),
            "interval_folds": interval(_resampled_means(known), self.mean) if len(known) > 1 else None,
            "interval_items": self._over_items(),
            "values": [[number(value) for value in row] for row in self.values],
            "to_beat": self.to_beat,
        }

    def _over_items(self) -> list[float | None] | None:
        if self.right is not None:
            from bftembed.bench.scoring.proportions import wilson

            return [number(limit) for limit in wilson(int(np.sum(self.right)), len(self.right))]
        return None if self.draws is None else interval(self.draws, self.mean)


def interval(draws: NDArray[np.float64], score: float) -> list[float | None] | None:
    """95 % percentile interval (Efron 1979); None where more than 5 % of the replicates give no value.

    Moved so that the median of the replicates is the score, which the interval therefore always holds: one leaves
    out the classes or genes that it lacks, and what stays is not like the whole, so that replicates are biased.
    """
    known = draws[~np.isnan(draws)]
    if np.isnan(score) or len(known) < LEVEL * len(draws):
        return None
    low, middle, high = np.quantile(known, [(1 - LEVEL) / 2, 0.5, (1 + LEVEL) / 2])
    return [number(score + low - middle), number(score + high - middle)]


def widened(draws: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Replicates of a cross-validated score, as wide as if the models had been fitted anew on other items.

    Resampled test items under fixed models know nothing of the variance that comes from the training sets. It is taken
    as the share that Nadeau and Bengio (2003) give it: items in a test fold over items in a training fold. By
    simulation (``benchmarks/error_rates.py``) it fits few and many dimensions alike. The target is the expected score
    of this cross-validation on as many new items, not the score of the models that were fitted here.

    Parameters
    ----------
    draws
        (n_draws,)
    values
        (n_repeats, n_folds) of the score itself; one fold is no cross-validation, and its replicates stay as they are.

    Returns
    -------
    (n_draws,) about the score, none above 1, the best value of all metrics that are cross-validated.
    """
    n_folds = values.shape[1]
    if n_folds == 1 or np.isnan(draws).all() or np.isnan(values).all():
        return draws
    deviations = draws - np.nanmedian(draws)
    wide: NDArray[np.float64] = np.nanmean(values) + np.sqrt(1 + 1 / (n_folds - 1)) * deviations
    return np.minimum(wide, 1.0)


def item_weights(items: Sequence[str], *, role: str | None = None) -> NDArray[np.float64]:
    """How often each item is drawn: (`N_DRAWS`, n), the same for the same items.

    The generator is seeded by the names, so that all embeddings scored on these items share the replicates; and by
    `role`, if there is one, so that the same names in two roles are drawn independently.
    """
    rng = np.random.default_rng(seed_of(*items) if role is None else seed_of(role, *items))
    return rng.multinomial(len(items), np.full(len(items), 1 / len(items)), size=N_DRAWS).astype(float)


def seed_of(*parts: str) -> int:
    """A seed that is fixed by names."""
    return int.from_bytes(digest_of(parts)[:16].encode(), "big")


def digest_of(parts: Sequence[str]) -> str:
    """SHA-256 of names in their order."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def number(value: float) -> float | None:
    """A float for JSON, which has no NaN; rounded to what can be compared between machines."""
    return None if np.isnan(value) else round(float(value), 10)


def _resampled_means(values: NDArray[np.float64]) -> NDArray[np.float64]:
    rng = np.random.default_rng(0)
    means: NDArray[np.float64] = values[rng.integers(0, len(values), (N_DRAWS, len(values)))].mean(axis=1)
    return means
