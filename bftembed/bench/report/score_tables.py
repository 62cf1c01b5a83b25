"""Embedding by task: the main score of each, its interval, and its marks."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Literal

from bftembed.bench.report.index import is_ranking
from bftembed.bench.report.marks import best_baseline, few, interval_of, not_better, scale, shade
from bftembed.bench.report.text import count, interval, number
from bftembed.bench.report.visible import smallest_difference
from bftembed.bench.results import LEAST_SHARED

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bftembed.bench.base import TaskInfo
    from bftembed.bench.report.index import Index
    from bftembed.bench.results import Result


@dataclass(frozen=True)
class Cell:
    """A main score.

    Attributes
    ----------
    status
        ``none`` if there is no score and nothing went wrong.
    shade
        From 0 to 1, or None.
    not_better, few
        Not better than the best baseline; less than 80 % of the entities.
    why
        What is behind it, or why there is nothing.
    """

    status: Literal["ok", "failed", "none"]
    why: str
    value: float | None = None
    limits: tuple[float, float] | None = None
    shade: float | None = None
    not_better: bool = False
    few: bool = False


@dataclass(frozen=True)
class Column:
    """A task; one cell per embedding of the table.

    Attributes
    ----------
    baseline
        Name and score of the best trivial baseline beside any of these scores, or None.
    n_items
        Fewest and most scored items.
    visible
        The smallest difference that could be seen, see `smallest_difference`.
    """

    info: TaskInfo
    family: str
    label: str
    cells: list[Cell]
    baseline: tuple[str, float] | None = None
    n_items: tuple[int, int] = (0, 0)
    visible: float | None = None


@dataclass(frozen=True)
class ScoreTable:
    """A table of columns that are sorted by family, and how many each family has."""

    embeddings: list[str]
    columns: list[Column]

    @property
    def families(self) -> list[tuple[str, int]]:
        """Names of the families in the order of the columns, and the number of columns of each."""
        return [(name, len(list(group))) for name, group in groupby(self.columns, key=lambda column: column.family)]


def own_scores(index: Index, *, ranked: bool) -> ScoreTable:
    """Scores of each embedding on all that it has; of the tasks that may rank, or of the others."""
    tasks = [info for info in index.tasks if is_ranking(info) == ranked]
    columns = [_column(info, index.embeddings, index.of(info.name, "own"), index) for info in tasks]
    return ScoreTable(index.embeddings, sorted(columns, key=_order))


def same_scores(index: Index, *, ranked: bool) -> ScoreTable:
    """Scores on the same items; tasks in which no two embeddings have the same are left out."""
    tasks = [(info, index.same_items(info.name)) for info in index.tasks if is_ranking(info) == ranked]
    columns = [_column(info, index.embeddings, same, index) for info, same in tasks if len(same) > 1]
    return ScoreTable(index.embeddings, sorted(columns, key=_order))


def family_of(info: TaskInfo) -> tuple[str, str]:
    """Family and short name: what stands before and after the first dot, or the kind and the name."""
    family, dot, label = info.name.partition(".")
    return (family, label) if dot else (info.kind, info.name)


def _order(column: Column) -> tuple[str, str]:
    return column.family, column.info.name


def _column(info: TaskInfo, embeddings: Sequence[str], results: Mapping[str, Result], index: Index) -> Column:
    mains = [result.main for result in results.values()]
    limits = scale(info, [main.mean for main in mains if main is not None and main.mean is not None])
    cells = []
    for name in embeddings:
        if name in results:
            cells.append(_scored(results[name], limits))
        else:
            cells.append(_empty(info.name, name, index))
    records = [best_baseline(result) for result in results.values()]
    known = [(record.method, record.mean) for record in records if record is not None and record.mean is not None]
    sign = 1 if info.higher_is_better else -1
    best = max(known, key=lambda each: sign * each[1], default=None)
    counts = [result.n_items for result in results.values()] or [0]
    return Column(info, *family_of(info), cells, best, (min(counts), max(counts)), smallest_difference(results))


def _scored(result: Result, scale_limits: tuple[float, float] | None) -> Cell:
    main = result.main
    if main is None or main.mean is None:
        return Cell("none", "There is no value: no fold could be scored.")
    limits, over = interval_of(main)
    return Cell(
        "ok",
        _behind(result, over),
        main.mean,
        limits,
        shade(main.mean, scale_limits),
        not_better(result),
        few(result),
    )


def _behind(result: Result, over: str) -> str:
    main, best = result.main, best_baseline(result)
    parts = [f"{main.metric}, {main.method}" if main else ""]
    if main is not None and over:
        parts.append(f"95 % interval over {over} {interval(interval_of(main)[0])}")
    if best is not None:
        parts.append(f"best baseline: {best.method}, {number(best.mean)}")
    parts.append(f"{result.found:,} of {result.asked:,} found, {count(result.n_items, 'item')} scored")
    return "; ".join(parts)


def _empty(task: str, embedding: str, index: Index) -> Cell:
    shared, own = index.get(task, embedding, "shared"), index.get(task, embedding, "own")
    for result in (shared, own):
        if result is not None and result.status == "failed":
            return Cell("failed", f"Failed: {result.reason}")
    if own is None:
        return Cell("none", "Not run.")
    if own.status == "not applicable":
        return Cell("none", f"Not applicable: {own.reason}")
    if shared is not None:
        return Cell("none", "Scored on other items than the others of this column.")
    found = f"{own.found:,} of {own.asked:,} found"
    if own.found < LEAST_SHARED * own.asked:
        return Cell("none", f"Too few to be compared: {found}.")
    return Cell("none", f"Not run together with the others, on what all of them have: {found}.")
