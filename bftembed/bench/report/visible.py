"""The smallest difference that a column could show between two of its embeddings or models."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from bftembed.bench.report.index import basis
from bftembed.bench.scoring.proportions import discordant, visible

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from bftembed.bench.results import Result


def smallest_difference(results: Mapping[str, Result]) -> float | None:
    """What a test at 5 % of two of these results on the same items would find in 80 % of cases.

    The median over the pairs, see `visible_between`. Where there is no pair, or all that there are agree in everything,
    it is that of a result and another one as good that is independent of it, which is more than two that answer the
    same items need.

    Returns
    -------
    None where no result has replicates or tells which items were right.
    """
    pairs = [
        found
        for one, other in combinations(results.values(), 2)
        if basis(one) == basis(other) and (found := visible_between(one, other))
    ]
    alone = [visible(np.sqrt(2) * error) for one in results.values() if (error := _error(one))]
    return float(np.median(pairs or alone)) if pairs or alone else None


def visible_between(one: Result, other: Result) -> float | None:
    """What a test of two results on the same items would find in 80 % of cases.

    By the share of items that one of the two alone has right, or by the replicates of the difference. None where there
    are neither.
    """
    error = _error_of_difference(one, other)
    return None if error is None else visible(error)


def _error_of_difference(one: Result, other: Result) -> float | None:
    if one.right is not None and other.right is not None:
        n = len(one.right)
        return float(np.sqrt(sum(discordant(one.right, other.right))) / n) if n else None
    if one.draws is None or other.draws is None or len(one.draws) != len(other.draws):
        return None
    return _spread(np.subtract(floats(one.draws), floats(other.draws)))


def _error(result: Result) -> float | None:
    if result.right:
        share = float(np.mean(result.right))
        return float(np.sqrt(share * (1 - share) / len(result.right)))
    return None if result.draws is None else _spread(floats(result.draws))


def _spread(draws: NDArray[np.float64]) -> float | None:
    known = draws[~np.isnan(draws)]
    return float(known.std(ddof=1)) if len(known) > 1 else None


def floats(values: Sequence[float | None]) -> NDArray[np.float64]:
    """Replicates as result files have them, NaN where one has no value."""
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)
