"""Pairs of embeddings or models in each task on the same items; p-values adjusted over the tasks of a pair."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from bftembed.bench.report.index import basis
from bftembed.bench.report.visible import floats, visible_between
from bftembed.bench.scoring.proportions import paired_shares
from bftembed.bench.scoring.statistics import Difference, holm, paired_bootstrap

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bftembed.bench.base import TaskInfo
    from bftembed.bench.report.index import Index
    from bftembed.bench.results import Result, Subset

LEVEL = 0.05
BOOTSTRAP, MCNEMAR, NONE = "paired bootstrap", "exact McNemar", "none possible"
_SUBSETS: tuple[Subset, ...] = ("own", "shared")


@dataclass(frozen=True)
class Comparison:
    """The main score of `first` minus that of `second`.

    Attributes
    ----------
    subset
        Of the results that were compared; ``shared`` where the own ones are of different items.
    visible
        The smallest difference of these two that a test would find in 80 % of cases, or None.
    adjusted
        P-value, adjusted (Holm) over the tasks in which these two are compared.
    better
        Label of the one that is better at an adjusted p below 0.05, or empty.
    """

    info: TaskInfo
    first: str
    second: str
    subset: Subset
    test: str
    difference: Difference
    visible: float | None = None
    adjusted: float = np.nan
    better: str = ""


@dataclass(frozen=True)
class Pair:
    """Two embeddings and their comparisons, one per task."""

    first: str
    second: str
    rows: list[Comparison]

    def wins(self, name: str) -> int:
        """Number of tasks in which one of them is better."""
        return sum(row.better == name for row in self.rows)


def compare_all(index: Index) -> list[Pair]:
    """Every two embeddings in every task that has results of equal items for both."""
    pairs = []
    for first, second in combinations(index.embeddings, 2):
        found = [_compare(index, info, first, second) for info in index.tasks]
        rows = [row for row in found if row is not None]
        if rows:
            pairs.append(Pair(first, second, _adjusted(rows)))
    return pairs


def shared_test(first: Result, second: Result) -> tuple[str, Difference]:
    """Name and outcome of the test that two results on the same items allow."""
    one, two = first.main, second.main
    if one is None or two is None or one.metric != two.metric:
        return NONE, Difference(np.nan, np.nan, np.nan, np.nan)
    if first.right is not None and second.right is not None:
        return MCNEMAR, paired_shares(first.right, second.right)
    mean = one.mean - two.mean if one.mean is not None and two.mean is not None else np.nan
    if first.draws is not None and second.draws is not None and len(first.draws) == len(second.draws):
        return BOOTSTRAP, paired_bootstrap(mean, floats(first.draws), floats(second.draws))
    return NONE, Difference(mean, np.nan, np.nan, np.nan)


def _compare(index: Index, info: TaskInfo, first: str, second: str) -> Comparison | None:
    for subset in _SUBSETS:
        results = index.of(info.name, subset)
        if first in results and second in results and basis(results[first]) == basis(results[second]):
            one, two = results[first], results[second]
            return Comparison(info, first, second, subset, *shared_test(one, two), visible_between(one, two))
    return None


def _adjusted(rows: Sequence[Comparison]) -> list[Comparison]:
    adjusted = holm([row.difference.p_value for row in rows])
    return [replace(row, adjusted=p, better=_better(row, p)) for row, p in zip(rows, adjusted, strict=True)]


def _better(row: Comparison, adjusted: float) -> str:
    if not adjusted < LEVEL or row.difference.mean == 0:
        return ""
    return row.first if (row.difference.mean > 0) == row.info.higher_is_better else row.second
