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
    return _aurocs(truth, np.asarray(score), np.zeros(len(truth), dtype=np.intp), weights)[:, 0]


def auroc_per_group(
    truth: NDArray[Any],
    score: NDArray[Any],
    groups: NDArray[Any],
    weights: Floats | None = None,
    *,
    times: Floats | None = None,
) -> Floats:
    """AUROC within each group, averaged over the groups with both classes.

    What holds for a group as a whole, e.g. a gene that answers to everything, is worth nothing by it.

    Parameters
    ----------
    truth
        (n,) bool.
    score
        (n,) float.
    groups
        (n,): the group of each item.
    weights
        (n_draws, n), which must be 0 where the group was not drawn; without them the items are as they are.
    times
        (n_draws, n): how often the group of each item was drawn, which is how often it counts. Without it groups are
        the same in all replicates.

    Returns
    -------
    (n_draws,); a replicate leaves out the groups of which it lacks a class, and is NaN without any.

    Examples
    --------
    >>> from bftembed.bench.scoring.metrics import auroc_per_group
    >>> truth, score = [True, False, True, False], [0.2, 0.1, 0.8, 0.9]
    >>> auroc_per_group(truth, score, ["A", "A", "B", "B"])
    array([0.5])
    """
    truth, score = np.asarray(truth, dtype=bool), np.asarray(score)
    weights = np.ones((1, len(truth))) if weights is None else weights
    codes = np.unique(np.asarray(groups), return_inverse=True)[1]
    positive = np.bincount(codes, truth)
    used = np.flatnonzero(((positive > 0) & (positive < np.bincount(codes)))[codes])
    if not len(used):
        return np.full(len(weights), np.nan)
    truth, score, codes = truth[used], score[used], codes[used]
    firsts = used[np.unique(codes, return_index=True)[1]]
    step = max(1, _AT_ONCE // len(used))
    means = []
    for begin in range(0, len(weights), step):
        rows = slice(begin, begin + step)
        within = _aurocs(truth, score, codes, weights[rows, used])
        counted = ~np.isnan(within) * (1.0 if times is None else times[rows, firsts])
        means.append(_ratio((np.nan_to_num(within) * counted).sum(axis=1), counted.sum(axis=1)))
    return np.concatenate(means)


def f1(truth: NDArray[Any], guess: NDArray[Any], weights: Floats) -> Floats:
    """Harmonic mean of precision and recall of what is true, of two (n,) bool; (n_draws,).

    NaN where nothing that was drawn is true or guessed to be.
    """
    truth, guess = np.asarray(truth, dtype=bool), np.asarray(guess, dtype=bool)
    return _ratio(2 * (weights @ (truth & guess)), weights @ (truth.astype(float) + guess))


def macro_f1(truth: NDArray[Any], guess: NDArray[Any], weights: Floats) -> Floats:
    """Mean of `f1` over the classes of truth (n,); (n_draws,).

    A class neither drawn nor guessed is left out. A guess that is no class, as of what was not answered, is wrong.
    """
    truth, guess = np.asarray(truth), np.asarray(guess)
    return mean_of_known(np.stack([f1(truth == c, guess == c, weights) for c in np.unique(truth)]))


def mean(values: NDArray[Any], weights: Floats) -> Floats:
    """Mean of (n,) values; (n_draws,)."""
    return _ratio(weights @ np.asarray(values, dtype=float), weights.sum(axis=1))


def accuracy(truth: NDArray[Any], guess: NDArray[Any], weights: Floats) -> Floats:
    """Share of items whose class (n,) was guessed; (n_draws,)."""
    return mean(np.asarray(truth) == np.asarray(guess), weights)


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
    "f1": f1,
    "macro f1": macro_f1,
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


def _aurocs(truth: NDArray[Any], score: NDArray[Any], codes: NDArray[np.intp], weights: Floats) -> Floats:
    """AUROC within each group of items: (n_draws, n_groups), NaN where a replicate lacks a class."""
    order = np.lexsort((score, codes))
    codes, score = codes[order], score[order]
    new_group = np.concatenate([[True], codes[1:] != codes[:-1]])
    ties = np.flatnonzero(new_group | np.concatenate([[True], score[1:] != score[:-1]]))
    groups = np.searchsorted(ties, np.flatnonzero(new_group))
    positive = np.add.reduceat(weights[:, order] * truth[order], ties, axis=1)
    negative = np.add.reduceat(weights[:, order] * ~truth[order], ties, axis=1)
    totals = np.add.reduceat(negative, groups, axis=1)
    before = np.repeat(totals.cumsum(axis=1) - totals, np.diff([*groups, len(ties)]), axis=1)
    below = negative.cumsum(axis=1) - negative / 2 - before
    pairs = np.add.reduceat(positive, groups, axis=1) * totals
    return _ratio(np.add.reduceat(positive * below, groups, axis=1), pairs)


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
