"""Whether one embedding is better than another: a paired test, corrected for many tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import stats

from bftembed.bench.scoring import LEVEL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


class Difference(NamedTuple):
    """Mean difference of two scores, its 95 % interval and its two-sided p-value (NaN where they cannot be had)."""

    mean: float
    low: float
    high: float
    p_value: float


def paired_bootstrap(difference: float, first: NDArray[np.float64], second: NDArray[np.float64]) -> Difference:
    """Difference of two scores of the same items, with its interval and p-value from bootstrap replicates.

    The difference over the standard deviation of the replicates' differences is taken as normal: shares of a thousand
    could not tell p-values below 0.002 apart, which none of thirty adjusted ones would survive.

    Parameters
    ----------
    difference
        Of the scores themselves.
    first, second
        (n_draws,) each, of the same bootstrap replicates; see `bftembed.bench.scoring.scores.widened` for those of
        cross-validated scores.
    """
    differences = first - second
    differences = differences[~np.isnan(differences)]
    if len(differences) < 2:
        return Difference(difference, np.nan, np.nan, np.nan)
    error = float(differences.std(ddof=1))
    if error == 0:  # equal in every replicate, or different by the same in each
        return Difference(difference, difference, difference, 1.0 if difference == 0 else 0.0)
    width = float(stats.norm.ppf((1 + LEVEL) / 2)) * error
    p_value = float(2 * stats.norm.sf(abs(difference) / error))
    return Difference(difference, difference - width, difference + width, p_value)


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values adjusted for their number (Holm 1979); NaN stays NaN and is not counted."""
    from statsmodels.stats.multitest import multipletests

    values = np.asarray(p_values, dtype=float)
    known = ~np.isnan(values)
    adjusted = np.full(len(values), np.nan)
    if known.any():
        adjusted[known] = multipletests(values[known], method="holm")[1]
    return [float(value) for value in adjusted]
