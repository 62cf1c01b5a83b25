"""Intervals from a bootstrap over texts: overlapping windows of one text are not independent, texts are."""

from __future__ import annotations

import numpy as np

_AT_ONCE = 100


def resampled_sums(values: np.ndarray, n_resamples: int, rng: np.random.Generator) -> np.ndarray:
    """Sums over texts drawn with replacement.

    Parameters
    ----------
    values
        (n_texts, k): what each text contributes.
    n_resamples
        How many times as many texts as there are are drawn.

    Returns
    -------
    (n_resamples, k), float64.
    """
    n = len(values)
    sums = np.empty((n_resamples, values.shape[1]))
    for begin in range(0, n_resamples, _AT_ONCE):
        part = sums[begin : begin + _AT_ONCE]
        # How often each text is drawn, which is all that a sum depends on.
        part[:] = rng.multinomial(n, np.full(n, 1 / n), size=len(part)).astype(float) @ values
    return sums


def percentile_interval(estimates: np.ndarray, level: float) -> np.ndarray:
    """Percentile interval (Efron 1979) of each column.

    Parameters
    ----------
    estimates
        (n_resamples, ...), NaN where a resample gives no estimate, e.g. as no window of it is in group B.
    level
        Confidence level in (0, 1).

    Returns
    -------
    (2, ...), float64: lower and upper limit. NaN where more than ``1 - level`` of the resamples give no estimate, or
    all give the same (a share of 0, say): such an interval would be narrower than what is known.
    """
    n = (~np.isnan(estimates)).sum(axis=0)
    # Sorted by hand, NaN last: a ratio may be infinite, and numpy's quantiles interpolate.
    ordered = np.sort(estimates, axis=0)
    limits = [
        np.take_along_axis(ordered, np.rint(share * np.maximum(n - 1, 0)).astype(int)[None], axis=0)[0]
        for share in ((1 - level) / 2, (1 + level) / 2)
    ]
    unknown = (n < level * len(estimates)) | (limits[0] == limits[1])
    return np.where(unknown, np.nan, np.stack(limits))
