"""Whether a setting makes no difference: variance components, and the interval of the range of its levels' means.

That no difference is found is no evidence that there is none: with few seeds none is ever found. Equivalence is shown
the other way about, by two one-sided tests (Schuirmann 1987, J. Pharmacokinet. Biopharm. 15, 657-680): the whole
interval of the difference has to lie within a margin that was stated before. Tables here have a row per level of the
setting and a column per seed; a seed gives the data, their order and the initial weights, so that levels are paired.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import stats

from bftembed.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

_RESAMPLES = 9999
_MOST_SEEDS = 1000


class Components(NamedTuple):
    """Where the variance of a table comes from.

    Attributes
    ----------
    levels, seeds, residual
        Variance components of the additive two-way random-effects model, estimated from mean squares; a negative
        estimate is 0.
    f, p_f
        One-way random effects: mean square between levels over that within them, and its p-value. Seeds that the
        levels share make it conservative. NaN where nothing varies within levels.
    p_within
        P-value of the variance of the levels' means when levels are exchanged within each seed (9,999 draws, or all).
    """

    levels: float
    seeds: float
    residual: float
    f: float
    p_f: float
    p_within: float


class RangeInterval(NamedTuple):
    """Largest less smallest mean of the levels, and its interval; with equal means `high` would be `half_width`."""

    observed: float
    low: float
    high: float
    half_width: float


class Equivalence(NamedTuple):
    """``"robust"``, ``"not robust"`` or ``"cannot be told"``, why, and the numbers it rests on (NaN where none are)."""

    verdict: str
    reason: str
    margin: float
    interval: RangeInterval


def variance_components(table: ArrayLike) -> Components:
    """Variance of levels against that of seeds.

    Parameters
    ----------
    table
        (n_levels, n_seeds), at least two of both.

    Raises
    ------
    InputError
        If there are fewer, or a value is not finite.

    Examples
    --------
    >>> from bftembed.studies.statistics.equivalence import variance_components
    >>> found = variance_components([[1.0, 2.0, 3.0], [1.1, 2.1, 3.0], [0.9, 2.0, 3.1]])
    >>> round(found.seeds, 2), round(found.levels, 3)
    (1.03, 0.0)
    """
    x = _checked(table)
    levels, seeds = x.shape
    between = seeds * x.mean(1).var(ddof=1)
    columns = levels * x.mean(0).var(ddof=1)
    residual = (_residuals(x) ** 2).sum() / ((levels - 1) * (seeds - 1))
    within = x.var(axis=1, ddof=1).mean()
    f = float(between / within) if within > 0 else np.nan
    result = stats.permutation_test(
        tuple(x),
        lambda *rows, axis: np.mean(rows, axis=axis).var(axis=0),
        permutation_type="samples",
        vectorized=True,
        n_resamples=_RESAMPLES,
        alternative="greater",
        random_state=np.random.default_rng(0),
    )
    return Components(
        levels=float(max((between - residual) / seeds, 0)),
        seeds=float(max((columns - residual) / levels, 0)),
        residual=float(residual),
        f=f,
        p_f=float(stats.f.sf(f, levels - 1, levels * (seeds - 1))),
        p_within=float(result.pvalue),
    )


def range_interval(table: ArrayLike, *, level: float = 0.9) -> RangeInterval:
    """Interval of the largest less the smallest mean of the levels.

    The plain range of observed means lies above the true one, the more the noisier they are, and percentiles of a
    bootstrap over seeds do not mend that. The true range is below a margin if and only if all differences of two levels
    are, so equivalence is an intersection-union test (Berger 1982, Technometrics 24, 295-300): each pair is tested at
    full level, and all have to pass. Its inversion is the upper limit: the largest, over the pairs, upper limit of a
    paired t interval. The lower limit is the largest lower limit of the same intervals after Bonferroni, 0 at least,
    so that a true range of 0 is covered. Both hold whatever the variances of the levels and their correlations: pooling
    one variance of all levels would give narrower intervals, and wrong ones where one level is noisier than others or
    neighbours are alike (`benchmarks/window_equivalence.py`).

    Parameters
    ----------
    table
        (n_levels, n_seeds), at least two of both.
    level
        Of the two-sided interval; each limit has half of the error. 0.9 is that of two one-sided tests at 0.05.

    Raises
    ------
    InputError
        If there are fewer levels or seeds, or a value is not finite.

    Examples
    --------
    >>> from bftembed.studies.statistics.equivalence import range_interval
    >>> found = range_interval([[1.0, 2.0, 3.0], [1.1, 2.1, 3.0], [0.9, 2.0, 3.1]])
    >>> round(found.observed, 3), round(found.low, 3), round(found.high, 3)
    (0.067, 0.0, 0.324)
    """
    x = _checked(table)
    first, second = np.triu_indices(len(x), 1)
    differences = x[first] - x[second]
    seeds = x.shape[1]
    mean, error = np.abs(differences.mean(1)), differences.std(axis=1, ddof=1) / np.sqrt(seeds)
    alpha = (1 - level) / 2
    upper = stats.t.ppf(1 - alpha, seeds - 1) * error
    lower = stats.t.ppf(1 - alpha / (2 * len(first)), seeds - 1) * error
    return RangeInterval(
        float(mean.max()), float(max((mean - lower).max(), 0)), float((mean + upper).max()), float(upper.max())
    )


def seed_deviation(table: ArrayLike, *, level: float = 0.95) -> tuple[float, float]:
    """Standard deviation over seeds within a level, and its lower confidence limit.

    A margin of "one standard deviation over seeds" has to be the lower limit where it is estimated from the same runs:
    with the estimate itself, which is as often too large as too small, a difference of just that size passes in 33 to
    40 % of experiments whose levels hardly vary by themselves (`benchmarks/window_equivalence.py`). The limit takes the
    n_seeds - 1 degrees of freedom that are left where all levels share the seeds' effects.

    Parameters
    ----------
    table
        (n_levels, n_seeds), at least two of both.
    level
        Of the one-sided limit.

    Raises
    ------
    InputError
        As `range_interval`.
    """
    x = _checked(table)
    deviation = float(np.sqrt(x.var(axis=1, ddof=1).mean()))
    freedom = x.shape[1] - 1
    return deviation, deviation * float(np.sqrt(freedom / stats.chi2.ppf(level, freedom)))


def judge_equivalence(
    table: ArrayLike, *, margin: float | None = None, seed_deviations: float | None = None
) -> Equivalence:
    """Whether the levels are alike within a margin.

    Parameters
    ----------
    table
        (n_levels, n_seeds).
    margin
        In the units of the table.
    seed_deviations
        Instead: the margin in standard deviations over seeds, of which the lower confidence limit is taken.

    Returns
    -------
    ``"robust"`` if the 90 % interval of the range lies below the margin, ``"not robust"`` if it lies above it, else
    ``"cannot be told"``; always the latter with a single seed or level.

    Raises
    ------
    InputError
        If a value is not finite, the margin is not positive, or not exactly one of both ways to state it is used.

    Examples
    --------
    >>> from bftembed.studies.statistics.equivalence import judge_equivalence
    >>> judge_equivalence([[1.0, 2.0, 3.0], [1.1, 2.1, 3.0], [0.9, 2.0, 3.1]], margin=0.5).verdict
    'robust'
    """
    x = np.asarray(table, dtype=float)
    given = margin if margin is not None else seed_deviations
    if given is None or (margin is not None and seed_deviations is not None) or not given > 0:
        msg = "State the margin once, as a positive number of `margin` or of `seed_deviations`."
        raise InputError(msg)
    for count, what in zip(x.shape, ("level", "seed"), strict=True):
        if count < 2:
            none = RangeInterval(np.nan, np.nan, np.nan, np.nan)
            reason = f"there is one {what} only" if count else f"there is no {what}"
            return Equivalence("cannot be told", reason, margin if margin is not None else np.nan, none)
    found = range_interval(x)
    within = margin if margin is not None else given * seed_deviation(x)[1]
    if found.high < within:
        return Equivalence("robust", "the 90 % interval of the range lies within the margin", within, found)
    if found.low > within:
        return Equivalence("not robust", "the 90 % interval of the range lies beyond the margin", within, found)
    reason = "the 90 % interval of the range holds the margin"
    if found.half_width >= within:
        reason = f"{x.shape[1]} seeds are too few: with equal means the interval would still reach the margin"
        if margin is not None:
            reason += f"; about {_seeds_for(found.half_width, within, x.shape[1])} are needed"
    return Equivalence("cannot be told", reason, within, found)


def _seeds_for(half_width: float, margin: float, seeds: int) -> str:
    """How many seeds would bring the half-width below the margin, if differences vary as they do."""
    counts = np.arange(seeds, _MOST_SEEDS + 1)
    scale = half_width * np.sqrt(seeds) / stats.t.ppf(0.95, seeds - 1)
    enough = scale * stats.t.ppf(0.95, counts - 1) / np.sqrt(counts) < margin
    return f"{counts[enough.argmax()]}" if enough.any() else f"more than {_MOST_SEEDS:,}"


def _residuals(x: NDArray[np.float64]) -> NDArray[np.float64]:
    left: NDArray[np.float64] = x - x.mean(0) - x.mean(1)[:, None] + x.mean()
    return left


def _checked(table: ArrayLike) -> NDArray[np.float64]:
    x = np.asarray(table, dtype=float)
    if x.ndim != 2 or min(x.shape) < 2:
        msg = f"A table of at least two levels and two seeds is needed; got the shape {x.shape}."
        raise InputError(msg)
    if not np.isfinite(x).all():
        row, column = np.argwhere(~np.isfinite(x))[0]
        msg = f"The value of level {row} and seed {column} is {x[row, column]}; run that cell again."
        raise InputError(msg)
    return x
