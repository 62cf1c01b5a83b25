"""Whether one embedding is better than another: paired tests, corrected for overlapping folds and for many tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import stats

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


class Difference(NamedTuple):
    """Mean difference of two scores, its 95 % interval and its two-sided p-value (NaN where they cannot be had)."""

    mean: float
    low: float
    high: float
    p_value: float


def corrected_t_test(first: NDArray[np.float64], second: NDArray[np.float64], test_train: float) -> Difference:
    """Corrected resampled t-test of Nadeau and Bengio (2003) on the folds of repeated cross-validation.

    Training sets of different folds overlap, so their differences are correlated: the variance is multiplied by
    ``1/n + test_train`` instead of ``1/n``.

    Parameters
    ----------
    first, second
        (n_repeats, n_folds) of the same folds; a fold that lacks a value in one is left out.
    test_train
        Items in a test fold over items in a training fold, e.g. 0.25 for five folds.
    """
    differences = (first - second).ravel()
    differences = differences[~np.isnan(differences)]
    n = len(differences)
    if n < 2:
        mean = float(differences.mean()) if n else np.nan
        return Difference(mean, np.nan, np.nan, np.nan)
    mean = float(differences.mean())
    error = float(np.sqrt(differences.var(ddof=1) * (1 / n + test_train)))
    if error == 0:  # equal in every fold, or different by the same in every fold
        return Difference(mean, mean, mean, 1.0 if mean == 0 else 0.0)
    width = float(stats.t.ppf(0.975, n - 1)) * error
    return Difference(mean, mean - width, mean + width, float(2 * stats.t.sf(abs(mean) / error, n - 1)))


def paired_bootstrap(difference: float, first: NDArray[np.float64], second: NDArray[np.float64]) -> Difference:
    """Difference of two scores of one fixed test set, with an interval from draws of the same items.

    The p-value is twice the smaller share of draws on one side of zero (at least 1 / (n + 1)).

    Parameters
    ----------
    difference
        Of the scores themselves.
    first, second
        (n_draws,) each.
    """
    differences = first - second
    differences = differences[~np.isnan(differences)]
    n = len(differences)
    if n < 2:
        return Difference(difference, np.nan, np.nan, np.nan)
    low, high = np.quantile(differences, [0.025, 0.975])
    tail = min((differences <= 0).sum(), (differences >= 0).sum())
    return Difference(difference, float(low), float(high), float(min(1.0, 2 * (tail + 1) / (n + 1))))


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values adjusted for their number (Holm 1979); NaN stays NaN and is not counted."""
    from statsmodels.stats.multitest import multipletests

    values = np.asarray(p_values, dtype=float)
    known = ~np.isnan(values)
    adjusted = np.full(len(values), np.nan)
    if known.any():
        adjusted[known] = multipletests(values[known], method="holm")[1]
    return [float(value) for value in adjusted]
