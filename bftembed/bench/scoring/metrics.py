"""Metrics under many weightings at once, for the bootstrap over items.

scikit-learn and scipy give one value per call, and an interval needs a thousand; the tests compare each with theirs. A
weighting says how often each item was drawn, and a metric equals that of the sample so drawn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Metric = Callable[[NDArray[Any], NDArray[Any], Floats], Floats]

_AT_ONCE = 4_000_000


def auroc(truth: NDArray[Any], score: NDArray[Any], weights: Floats) -> Floats:
    """Area under the ROC curve, ties counted half (Mann and Whitney).

    Parameters
    ----------
    truth
        (n,) bool, or (n, k) for the mean over k labels.
    score
        As `truth`, float.
    weights
        (n_draws, n).

    Returns
    -------
    (n_draws,); NaN where a replicate lacks one of the classes. Of several labels those that it lacks are left out.
    """
    truth = np.asarray(truth, dtype=bool)
    if truth.ndim == 2:
        columns = [auroc(t, s, weights) for t, s in zip(truth.T, np.asarray(score).T, strict=True)]
        return mean_of_known(np.stack(columns))
    order, starts = _groups(score)
    positive = np.add.reduceat(weights[:, order] * truth[order], starts, axis=1)
    negative = np.add.reduceat(weights[:, order] * ~truth[order], starts, axis=1)
    below = negative.cumsum(axis=1) - negative / 2
    pairs = positive.sum(axis=1) * negative.sum(axis=1)
    return _ratio((positive * below).sum(axis=1), pairs)


def accuracy(truth: NDArray[Any], guess: NDArray[Any], weights: Floats) -> Floats:
    """Share of items whose class (n,) was guessed; (n_draws,)."""
    return _ratio(weights @ (truth == guess), weights.sum(axis=1))


def balanced_accuracy(truth: NDArray[Any], guess: NDArray[Any], weights: Floats) -> Floats:
    """Mean over classes of the share of their items that was guessed; (n_draws,). A class not drawn is left out."""
    classes = np.unique(truth)
    recalls = [_ratio(weights @ ((truth == c) & (guess == c)), weights @ (truth == c)) for c in classes]
    return mean_of_known(np.stack(recalls))


def spearman(truth: NDArray[Any], score: NDArray[Any], weights: Floats) -> Floats:
    """Spearman's rank correlation of two (n,) arrays; (n_draws,). NaN where one of them is constant."""
    total = weights.sum(axis=1)
    a, b = (_midranks(values, weights) for values in (truth, score))
    a, b = (ranks - _ratio((weights * ranks).sum(axis=1), total)[:, None] for ranks in (a, b))
    covariance = (weights * a * b).sum(axis=1)
    return _ratio(covariance, np.sqrt((weights * a * a).sum(axis=1) * (weights * b * b).sum(axis=1)))


METRICS: dict[str, Metric] = {
    "accuracy": accuracy,
    "auroc": auroc,
    "balanced accuracy": balanced_accuracy,
    "spearman": spearman,
}


def plain(metric: Metric, truth: NDArray[Any], guess: NDArray[Any]) -> float:
    """The metric of the items as they are."""
    return float(metric(truth, guess, np.ones((1, len(truth))))[0])


def drawn(metric: Metric, truth: NDArray[Any], guess: NDArray[Any], weights: Floats) -> Floats:
    """The metric under all weightings (n_draws, n), some at a time, since each makes arrays of that shape."""
    step = max(1, _AT_ONCE // max(len(truth), 1))
    parts = [metric(truth, guess, weights[i : i + step]) for i in range(0, len(weights), step)]
    return np.concatenate(parts)


def mean_of_known(values: Floats) -> Floats:
    """Mean over the first axis of what is not NaN; NaN where nothing is."""
    known = ~np.isnan(values)
    return _ratio(np.where(known, values, 0).sum(axis=0), known.sum(axis=0).astype(float))


def _groups(values: NDArray[Any]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Order that sorts, and where in it each group of equal values begins."""
    order = np.argsort(values, kind="stable")
    ordered = np.asarray(values)[order]
    return order, np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))


def _midranks(values: NDArray[Any], weights: Floats) -> Floats:
    order, starts = _groups(values)
    sums = np.add.reduceat(weights[:, order], starts, axis=1)
    middle = sums.cumsum(axis=1) - sums / 2
    ranks = np.empty_like(weights)
    ranks[:, order] = np.repeat(middle, np.diff([*starts, len(order)]), axis=1)
    return ranks


def _ratio(above: Floats, below: Floats) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(below > 0, above / below, np.nan)
