"""All metrics of a task of cells side by side, in the groups that their names give (``bio: ...``, ``batch: ...``)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bftembed.bench.base import TaskInfo
    from bftembed.bench.report.index import Index
    from bftembed.bench.results import ScoreRecord, Subset


@dataclass(frozen=True)
class WideColumn:
    """A metric of a method; `label` has the method too, if the task has several."""

    group: str
    label: str


@dataclass(frozen=True)
class Wide:
    """A row per embedding; a cell is None where an embedding lacks that metric."""

    info: TaskInfo
    subset: Subset
    columns: list[WideColumn]
    rows: list[tuple[str, list[ScoreRecord | None]]]

    @property
    def groups(self) -> list[tuple[str, int]]:
        """Names of the groups in the order of the columns, and the number of columns of each."""
        return [(name, len(list(group))) for name, group in groupby(self.columns, key=lambda column: column.group)]


def wide_tables(index: Index) -> list[Wide]:
    """Tables of the tasks of kind ``cell`` that have scores."""
    subsets: tuple[Subset, ...] = ("own", "shared")
    tables = [_table(index, info, subset) for info in index.tasks if info.kind == "cell" for subset in subsets]
    return [table for table in tables if table.rows]


def _table(index: Index, info: TaskInfo, subset: Subset) -> Wide:
    results = index.of(info.name, subset)
    by_name = {
        name: {(record.method, record.metric): record for record in result.scores} for name, result in results.items()
    }
    keys = list(dict.fromkeys(key for records in by_name.values() for key in records))
    groups = list(dict.fromkeys(_group(metric) for _, metric in keys))
    keys.sort(key=lambda key: groups.index(_group(key[1])))
    several = len({method for method, _ in keys}) > 1
    columns = [WideColumn(_group(metric), _label(method if several else "", metric)) for method, metric in keys]
    rows = [(name, [records.get(key) for key in keys]) for name, records in by_name.items()]
    return Wide(info, subset, columns, rows)


def _group(metric: str) -> str:
    group, colon, _ = metric.partition(": ")
    return group if colon else ""


def _label(method: str, metric: str) -> str:
    short = metric.partition(": ")[2] or metric
    return f"{short}, {method}" if method else short
