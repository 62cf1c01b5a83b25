"""All metrics of a task of cells side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bftembed.bench.base import TaskInfo
    from bftembed.bench.report.index import Index
    from bftembed.bench.results import ScoreRecord, Subset


@dataclass(frozen=True)
class MetricTable:
    """A row per embedding; a cell is None where an embedding lacks that metric.

    Attributes
    ----------
    columns
        Names of the metrics, with their methods if the task has several.
    """

    info: TaskInfo
    subset: Subset
    columns: list[str]
    rows: list[tuple[str, list[ScoreRecord | None]]]


def metric_tables(index: Index) -> list[MetricTable]:
    """Tables of the tasks of kind ``cell`` that have scores."""
    subsets: tuple[Subset, ...] = ("own", "shared")
    tables = [_table(index, info, subset) for info in index.tasks if info.kind == "cell" for subset in subsets]
    return [table for table in tables if table.rows]


def _table(index: Index, info: TaskInfo, subset: Subset) -> MetricTable:
    results = index.of(info.name, subset)
    by_name = {
        name: {(record.method, record.metric): record for record in result.scores} for name, result in results.items()
    }
    keys = list(dict.fromkeys(key for records in by_name.values() for key in records))
    several = len({method for method, _ in keys}) > 1
    columns = [f"{metric}, {method}" if several else metric for method, metric in keys]
    rows = [(name, [records.get(key) for key in keys]) for name, records in by_name.items()]
    return MetricTable(info, subset, columns, rows)
