"""Effects of perturbations that add up, and of unseen ones by a vote of those that are like them.

A condition is a set of parts (genes, or a drug at a dose). Its change is the sum of the effects of its parts; these are
the mean effect ``m`` plus a deviation each, by ridge regression with the ratio of the noise of a measured change to the
variance of the parts as penalty (empirical Bayes: one measured part alone is shrunk as James and Stein do). A part that
was not measured gets ``m + sum_q K_q d_q / (sum_q K_q + s n k)``, with weights ``K`` by likeness, the deviations ``d``
of the n measured parts, and ``k`` the mean weight between two of them: the training mean counts as ``s`` times all
measured parts together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Kernel = Callable[[float], Floats]

TEMPERATURES = (0.05, 0.1, 0.2, 0.5, 1.0)
SHRINKAGES = (0.0, 0.1, 0.3, 1.0, 3.0, 10.0, np.inf)
_MOST_FOLDS = 20
_LEAST_RATIO = 1e-3


@dataclass(frozen=True, eq=False)
class Effects:
    """Effects of p parts on g genes.

    Attributes
    ----------
    mean
        (g,) mean effect of a part.
    deviations
        (p, g) of the parts from it.
    spread
        (p, p): posterior covariance of the deviations, in units of the noise.
    """

    mean: Floats
    deviations: Floats
    spread: Floats


@dataclass(frozen=True, eq=False)
class Choice:
    """What cross-validation chose.

    Attributes
    ----------
    temperature, shrinkage
        ``t`` and ``s``.
    errors
        (n_temperatures, n_shrinkages): mean squared error of conditions that were held out; NaN if none could be.
    usual
        The same of the training mean.
    unseen
        (g,) variance of the effect of a part that was held out about its prediction: the squared error of the chosen
        ones, less the noise of the changes and the posterior variance of the parts beside it.
    """

    temperature: float
    shrinkage: float
    errors: Floats
    usual: float
    unseen: Floats


def additive_effects(has: NDArray[np.bool_], change: Floats, noise: Floats) -> Effects:
    """Effects of parts, from changes of conditions.

    Parameters
    ----------
    has
        (n, p): which condition has which part, at least one each.
    change
        (n, g): change of each condition.
    noise
        (n, g): variance of its measurement; zeros where it is not known.

    Returns
    -------
    Effects

    Examples
    --------
    >>> has = np.array([[True, False], [False, True], [True, True]])
    >>> effects = additive_effects(has, np.array([[1.0], [3.0], [4.0]]), np.zeros((3, 1)))
    >>> (effects.mean + effects.deviations).round(1).tolist()
    [[1.0], [3.0]]
    """
    x = has.astype(float)
    size = x.sum(axis=1, keepdims=True)
    mean = (size * change).sum(axis=0) / (size**2).sum()
    rest = change - size * mean
    between = float((rest**2 / size - noise).mean())
    level = float(noise.mean())
    ratio = max(level / between, _LEAST_RATIO) if between > 0 else 1 / _LEAST_RATIO
    spread = np.linalg.inv(x.T @ x + ratio * np.eye(x.shape[1]))
    return Effects(mean, spread @ (x.T @ rest), spread)


def voted(weights: Floats, deviations: Floats, shrinkage: float, average: float) -> tuple[Floats, Floats]:
    """Deviations (u, g) of unseen parts by the vote, and the weights (u, p) that they gave, which sum to 1 at most.

    Parameters
    ----------
    weights
        (u, p) weights of the measured parts.
    deviations
        (p, g) of the measured parts.
    shrinkage
        ``s``; infinite for the mean alone.
    average
        ``k``.

    Examples
    --------
    >>> deviations, share = voted(np.array([[1.0, 3.0]]), np.array([[-1.0], [1.0]]), 0.0, 1.0)
    >>> deviations.tolist(), share.tolist()
    ([[0.5]], [[0.25, 0.75]])
    """
    total = weights.sum(axis=1, keepdims=True)
    against = shrinkage * weights.shape[1] * average
    share = np.divide(weights, total + against, out=np.zeros_like(weights), where=(total > 0) & np.isfinite(against))
    return share @ deviations, share


def average_weight(weights: Floats) -> float:
    """Mean weight (p, p) between two different parts; 1 where there is but one.

    Examples
    --------
    >>> average_weight(np.array([[1.0, 0.25], [0.75, 1.0]]))
    0.5
    """
    n = len(weights)
    return float((weights.sum() - np.trace(weights)) / (n * (n - 1))) if n > 1 else 1.0


def cross_validated(
    has: NDArray[np.bool_],
    change: Floats,
    noise: Floats,
    kernel: Kernel,
    *,
    groups: Sequence[object] | None = None,
    temperatures: Sequence[float] = TEMPERATURES,
    shrinkages: Sequence[float] = SHRINKAGES,
) -> Choice:
    """Choose temperature and shrinkage by parts that are held out with every condition that has one of them.

    One group of parts at a time is held out, or one twentieth of them where there are more than 20. Predicted are the
    conditions that have none but unseen parts; where there is none, as in a screen of combinations, all that were held
    out, with the effects of their other parts as measured. Of equals the stronger shrinkage is taken.

    Parameters
    ----------
    has, change, noise
        As in `additive_effects`.
    kernel
        Weights (p, p) between parts at a temperature.
    groups
        (p,) parts of one group are held out together, as doses of a drug; by default each part is one.
    temperatures, shrinkages
        Candidates.

    Returns
    -------
    Choice

    Examples
    --------
    >>> place = np.linspace(0, 1, 30)
    >>> change = np.column_stack([place, -place])
    >>> nothing = np.zeros_like(change)
    >>> found = cross_validated(
    ...     np.eye(30, dtype=bool), change, nothing, lambda t: np.exp(-abs(place[:, None] - place) / t)
    ... )
    >>> bool(found.errors.min() < found.usual)
    True
    """
    n_parts = has.shape[1]
    _, group = np.unique(np.arange(n_parts) if groups is None else np.asarray(groups, dtype=str), return_inverse=True)
    order = np.random.default_rng(0).permutation(group.max() + 1)
    kernels = [kernel(t) for t in temperatures]
    squares = np.zeros((len(temperatures), len(shrinkages), change.shape[1]))
    explained = np.zeros(change.shape[1])
    n_conditions = n_unseen = of_mean = 0.0
    for held in np.array_split(order, min(len(order), _MOST_FOLDS)):
        train = ~has[:, np.isin(group, held)].any(axis=1)
        if not train.any() or train.all():
            continue
        seen = has[train].any(axis=0)
        test = ~train & ~has[:, seen].any(axis=1)
        test = test if test.any() else ~train
        effects = additive_effects(has[np.ix_(train, seen)], change[train], noise[train])
        asked, beside = has[np.ix_(test, ~seen)].astype(float), has[np.ix_(test, seen)].astype(float)
        posterior = np.einsum("ij,jk,ik->", beside, effects.spread, beside)
        explained += noise[test].sum(axis=0) + posterior * noise[train].mean(axis=0)
        n_conditions, n_unseen = n_conditions + len(asked), n_unseen + asked.sum()
        rest = change[test] - has[test].sum(axis=1, keepdims=True) * effects.mean - beside @ effects.deviations
        of_mean += float((rest**2).mean(axis=1).sum())
        for i, weights in enumerate(kernels):
            average = average_weight(weights[np.ix_(seen, seen)])
            for j, shrinkage in enumerate(shrinkages):
                deviations, _ = voted(weights[np.ix_(~seen, seen)], effects.deviations, shrinkage, average)
                squares[i, j] += ((rest - asked @ deviations) ** 2).sum(axis=0)
    with np.errstate(invalid="ignore"):  # nothing could be held out: no error is known
        errors, usual = squares.mean(axis=2) / n_conditions, float(np.divide(of_mean, n_conditions))
        unseen = np.maximum((squares - explained) / n_unseen, 0)
    strongest = np.lexsort((-np.broadcast_to(shrinkages, errors.shape).ravel(), errors.ravel().round(12)))[0]
    i, j = np.unravel_index(strongest, errors.shape)
    return Choice(float(temperatures[i]), float(shrinkages[j]), errors, usual, unseen[i, j])
