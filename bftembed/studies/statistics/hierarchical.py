"""Means over runs (seeds) and items, with an interval that holds for other runs and other items.

Every run is tried on the same items, so that runs and items cross: ``x[s, i] = mean + run[s] + item[i] + rest[s, i]``.
The variance of the mean is that of runs over their number, plus that of items over theirs, plus what is left over both.
It is estimated from the mean squares of the two-way layout without replication, with components below zero taken as
zero, and the interval is Student's with Satterthwaite's degrees of freedom (Satterthwaite 1946, Biometrics Bulletin 2,
110-114; Searle, Casella and McCulloch 1992, Variance Components, section 4.3).

Why not a bootstrap of runs and then of items: three runs have ten different resamples, whose spread is two thirds of
the variance, and their percentiles do not know that the spread itself was estimated from three. Share of simulated
studies of 3 runs and 24 items whose interval of 95 % holds the true mean, by s.d. of runs, items and rest (4,000 by
`coverage`, 1,000 by the bootstrap of the tests):

===================  =====  ============================
s.d.                 this   bootstrap of runs and items
===================  =====  ============================
1, 0.25, 0.25        0.944  0.741
1, 1, 1              0.932  0.826
0.2, 1, 1            0.959  0.946
0, 1, 1              0.961  0.965
1, 5, 1              0.950  0.923
===================  =====  ============================

What three runs can tell: where runs differ by more than items do, two degrees of freedom are left, and the interval is
2.5 standard deviations of the runs to either side; only a difference larger than that is seen. They cannot tell whether
one run in ten goes wrong, and they say nothing about other training samples, models or settings than those of the runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bftembed.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

LEVEL = 0.95


class Interval(NamedTuple):
    """A mean over runs and items.

    Attributes
    ----------
    mean
        Over runs and items.
    low, high
        Of the interval; None of one run, which says nothing about others, and of one item.
    seed_sd
        Standard deviation of the runs' means; None of one run.
    n_seeds, n_items
        Runs, and items that every run has a value of.
    """

    mean: float
    low: float | None
    high: float | None
    seed_sd: float | None
    n_seeds: int
    n_items: int


def interval(values: ArrayLike, weights: ArrayLike | None = None, *, level: float = LEVEL) -> Interval:
    """Mean over runs and items with its interval.

    Parameters
    ----------
    values
        (n_seeds, n_items), float; an item that is NaN in any run is left out.
    weights
        (n_items,) above zero, e.g. tokens of texts; the mean is the ratio of the weighted sum to the weights, and its
        interval that of the linearised ratio. All alike by default.
    level
        Of the interval.

    Raises
    ------
    InputError
        If there is no item that every run has a value of, a value is infinite, or a weight is not above zero.

    Examples
    --------
    >>> found = interval([[1.0, 3.0], [2.0, 4.0], [3.0, 5.0]])
    >>> found.mean, found.seed_sd, found.n_seeds, found.n_items
    (3.0, 1.0, 3, 2)
    """
    table = np.atleast_2d(np.asarray(values, dtype=np.float64))
    shares = np.ones(table.shape[1]) if weights is None else np.asarray(weights, dtype=np.float64)
    if shares.shape != table.shape[1:] or not (shares > 0).all():
        msg = f"Weights are one number above zero for each of {table.shape[1]} items; got {shares.tolist()}."
        raise InputError(msg)
    known = ~np.isnan(table).any(axis=0)
    table, shares = table[:, known], shares[known]
    if not table.size or not np.isfinite(table).all():
        msg = "There is no item of which every run has a value, or a value is infinite: there is no mean."
        raise InputError(msg)
    shares = shares / shares.mean()
    means = (table * shares).mean(axis=1)
    mean = float(means.mean())
    n_seeds, n_items = table.shape
    seed_sd = float(means.std(ddof=1)) if n_seeds > 1 else None
    if n_seeds < 2 or n_items < 2:
        return Interval(mean, None, None, seed_sd, n_seeds, n_items)
    # What an item adds to its run's mean beyond that mean; of equal weights this is the item itself.
    half = float(_half_width((table - means[:, None]) * shares + means[:, None], level))
    return Interval(mean, mean - half, mean + half, seed_sd, n_seeds, n_items)


def paired(first: ArrayLike, second: ArrayLike, weights: ArrayLike | None = None, *, level: float = LEVEL) -> Interval:
    """First minus second, run by run and item by item; see `interval`.

    Parameters
    ----------
    first, second
        (n_seeds, n_items) each, of the same seeds and items in the same order.
    weights, level
        See `interval`.

    Raises
    ------
    InputError
        If they are not of one shape, or as `interval`.
    """
    one, other = (np.atleast_2d(np.asarray(values, dtype=np.float64)) for values in (first, second))
    if one.shape != other.shape:
        msg = f"What is compared is of the same runs and items; got {one.shape} and {other.shape}."
        raise InputError(msg)
    return interval(one - other, weights, level=level)


def _half_width(tables: NDArray[np.float64], level: float) -> NDArray[np.float64]:
    """Half of the interval of each table's mean, (..., n_seeds, n_items) to (...)."""
    from scipy import stats

    n_seeds, n_items = tables.shape[-2:]
    grand = tables.mean(axis=(-2, -1), keepdims=True)
    seeds, items = tables.mean(axis=-1, keepdims=True) - grand, tables.mean(axis=-2, keepdims=True) - grand
    rest = tables - grand - seeds - items
    freedom = np.array([n_seeds - 1, n_items - 1, (n_seeds - 1) * (n_items - 1)], dtype=np.float64)
    of_seeds = n_items * (seeds**2).sum(axis=(-2, -1)) / freedom[0]
    of_items = n_seeds * (items**2).sum(axis=(-2, -1)) / freedom[1]
    of_rest = (rest**2).sum(axis=(-2, -1)) / freedom[2]
    squares = np.stack([of_seeds, of_items, of_rest])
    # Mean squares are added up with these signs; a component below zero counts as zero.
    is_seed, is_item = of_seeds > of_rest, of_items > of_rest
    signs = np.stack([is_seed, is_item, 1 - is_seed.astype(int) - is_item]).astype(np.float64)
    total = (signs * squares).sum(axis=0)
    spread = (signs**2 * squares**2 / freedom[:, *[None] * total.ndim]).sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        degrees = np.where(spread > 0, total**2 / spread, 1.0)
    return np.asarray(stats.t.ppf((1 + level) / 2, degrees) * np.sqrt(total / (n_seeds * n_items)))


def coverage(
    *, seed_sd: float, item_sd: float, rest_sd: float, n_seeds: int = 3, n_items: int = 24, n_draws: int = 2000
) -> float:
    """Share of simulated studies whose interval holds the true mean.

    Parameters
    ----------
    seed_sd, item_sd, rest_sd
        Standard deviations of normal effects.
    n_seeds, n_items, n_draws
        Runs and items of a study, and studies.

    Examples
    --------
    >>> from bftembed.studies.statistics.hierarchical import coverage
    >>> 0.9 < coverage(seed_sd=1, item_sd=1, rest_sd=1, n_draws=200) <= 1
    True
    """
    rng = np.random.default_rng(0)
    tables = seed_sd * rng.standard_normal((n_draws, n_seeds, 1))
    tables = tables + item_sd * rng.standard_normal((n_draws, 1, n_items))
    tables = tables + rest_sd * rng.standard_normal((n_draws, n_seeds, n_items))
    return float((np.abs(tables.mean(axis=(1, 2))) <= _half_width(tables, LEVEL)).mean())
