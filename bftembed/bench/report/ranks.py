"""Mean rank on the same items, family by family, of embeddings that have every ranked task of it and of no others.

Language models are ranked by the tasks of one family, mode and preset.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bftembed.bench.report.index import is_ranking
from bftembed.bench.report.score_tables import family_of

if TYPE_CHECKING:
    from bftembed.bench.base import TaskInfo
    from bftembed.bench.report.index import Index


@dataclass(frozen=True)
class Rank:
    """Mean rank of an embedding (1 is best), or None and the tasks that it lacks."""

    embedding: str
    mean: float | None
    lacks: list[str]


@dataclass(frozen=True)
class Ranks:
    """Ranks over the tasks of a family; a mean over different tasks would favour who skips the hard ones."""

    family: str
    tasks: list[str]
    rows: list[Rank]


def mean_ranks(index: Index) -> list[Ranks]:
    """Rank embeddings in every ranked task that one of them has a score in; families in which two are ranked."""
    families: dict[str, list[TaskInfo]] = {}
    for info in index.tasks:
        if is_ranking(info) and _scores(index, info):
            name = ", ".join(filter(None, (family_of(info)[0], info.mode, info.preset)))
            families.setdefault(name, []).append(info)
    every = [_of_family(index, family, tasks) for family, tasks in sorted(families.items())]
    return [ranks for ranks in every if any(row.mean is not None for row in ranks.rows)]


def _of_family(index: Index, family: str, tasks: list[TaskInfo]) -> Ranks:
    import numpy as np
    from scipy.stats import rankdata

    same = {info.name: _same_scores(index, info) for info in tasks}
    lacks = {name: [task for task in same if name not in same[task]] for name in index.embeddings}
    complete = [name for name in index.embeddings if not lacks[name]]
    means: dict[str, float] = {}
    if len(complete) > 1:
        rows = []
        for info in tasks:
            sign = -1 if info.higher_is_better else 1
            rows.append(rankdata([sign * same[info.name][name] for name in complete]))
        means = dict(zip(complete, map(float, np.mean(rows, axis=0)), strict=True))
    ranks = [Rank(name, means.get(name), lacks[name]) for name in index.embeddings]
    return Ranks(family, [info.name for info in tasks], ranks)


def _scores(index: Index, info: TaskInfo) -> bool:
    return bool(index.of(info.name, "own") or index.of(info.name, "shared"))


def _same_scores(index: Index, info: TaskInfo) -> dict[str, float]:
    mains = {name: result.main for name, result in index.same_items(info.name).items()}
    return {name: main.mean for name, main in mains.items() if main is not None and main.mean is not None}
