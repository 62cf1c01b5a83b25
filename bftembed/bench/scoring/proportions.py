"""Shares of right answers: their interval, the test of two models on the same items, and what a test could see."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from bftembed.bench.scoring import LEVEL
from bftembed.bench.scoring.statistics import Difference
from bftembed.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence


def wilson(right: int, n: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson 1927).

    Parameters
    ----------
    right, n
        Right items of all items.

    Raises
    ------
    InputError
        If there is no item, or more are right than there are.

    Examples
    --------
    >>> from bftembed.bench.scoring.proportions import wilson
    >>> [round(limit, 3) for limit in wilson(8, 10)]
    [0.49, 0.943]
    """
    from statsmodels.stats.proportion import proportion_confint

    if not 0 <= right <= n or n == 0:
        msg = f"A share needs at least one item, and no more right ones than items; got {right} of {n}."
        raise InputError(msg)
    low, high = proportion_confint(right, n, alpha=1 - LEVEL, method="wilson")
    return min(float(low), right / n), max(float(high), right / n)  # not off in the last bit where all are right


def discordant(first: Sequence[bool], second: Sequence[bool]) -> tuple[int, int]:
    """How many items the first alone has right, and the second alone.

    Raises
    ------
    InputError
        If they are not of the same items.
    """
    if len(first) != len(second):
        msg = f"Two models are compared on the same items, but one has {len(first)} and the other {len(second)}."
        raise InputError(msg)
    one, two = np.asarray(first, dtype=bool), np.asarray(second, dtype=bool)
    return int((one & ~two).sum()), int((two & ~one).sum())


def mcnemar(first: Sequence[bool], second: Sequence[bool]) -> float:
    """Exact two-sided p-value of two models that answered the same items (McNemar 1947); 1 where they agree in all.

    Parameters
    ----------
    first, second
        (n,): whether each item was right.

    Raises
    ------
    InputError
        If they are not of the same items.

    Examples
    --------
    >>> from bftembed.bench.scoring.proportions import mcnemar
    >>> mcnemar([True] * 6 + [False], [False] * 7)
    0.03125
    """
    from statsmodels.stats.contingency_tables import mcnemar as test

    one, two = discordant(first, second)
    return float(test([[0, one], [two, 0]], exact=True).pvalue) if one + two else 1.0


def paired_shares(first: Sequence[bool], second: Sequence[bool]) -> Difference:
    """Difference of two shares of the same items, with the p-value of `mcnemar`.

    Its interval is Wald's after half an item was added to each cell of the table (Agresti and Min 2005, Statistics in
    Medicine 24, 729-740), which also has a width where the two agree in all. It may hold 0 where the exact test, which
    is another method, rejects, and the reverse.

    Parameters
    ----------
    first, second
        (n,): whether each item was right.

    Raises
    ------
    InputError
        If they are not of the same items.

    Examples
    --------
    >>> from bftembed.bench.scoring.proportions import paired_shares
    >>> paired_shares([True] * 9 + [False], [True] * 6 + [False] * 4).mean
    0.3
    """
    one, two = discordant(first, second)
    n = len(first)
    if n == 0:
        return Difference(np.nan, np.nan, np.nan, np.nan)
    middle = (one - two) / (n + 2)
    error = float(np.sqrt((one + two + 1) / (n + 2) - middle**2) / np.sqrt(n + 2))
    width = float(stats.norm.ppf((1 + LEVEL) / 2)) * error
    return Difference((one - two) / n, max(-1.0, middle - width), min(1.0, middle + width), mcnemar(first, second))


def visible(error: float, *, power: float = 0.8, level: float = 0.05) -> float:
    """The smallest difference that a two-sided test at `level` finds with probability `power`.

    Parameters
    ----------
    error
        Standard error of the difference, which is taken as normal.

    Examples
    --------
    >>> from bftembed.bench.scoring.proportions import visible
    >>> round(visible(1.0), 2)
    2.8
    """
    return float(stats.norm.ppf(1 - level / 2) + stats.norm.ppf(power)) * error


def smallest_visible(share_discordant: float, n: int, *, power: float = 0.8, level: float = 0.05) -> float:
    """The smallest difference of two shares that McNemar's test of n items would find with probability `power`.

    Parameters
    ----------
    share_discordant
        Share of the items that one of the two models alone has right, from 0 to 1.

    Raises
    ------
    InputError
        If there is no item, or it is no share.

    Examples
    --------
    >>> from bftembed.bench.scoring.proportions import smallest_visible
    >>> round(smallest_visible(0.2, 1273), 3)
    0.035
    """
    if n < 1 or not 0 <= share_discordant <= 1:
        msg = f"Give a share of discordant items between 0 and 1 of at least one item; got {share_discordant} of {n}."
        raise InputError(msg)
    return visible(float(np.sqrt(share_discordant / n)), power=power, level=level)
