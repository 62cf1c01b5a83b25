"""The results as a long table (CSV)."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

from bftembed.bench.report.index import Index
from bftembed.bench.report.visible import smallest_difference

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bftembed.bench.results import Result, ScoreRecord

COLUMNS = (
    "task",
    "version",
    "embedding",
    "subset",
    "fast",
    "status",
    "reason",
    "kind",
    "method",
    "metric",
    "is_main",
    "mean",
    "folds_low",
    "folds_high",
    "items_low",
    "items_high",
    "n_items",
    "asked",
    "found",
    "mode",
    "preset",
    "smallest_visible",
)


def csv_text(results: Sequence[Result]) -> str:
    """One row per task, embedding, subset, score or baseline, method and metric; one row for a result without scores.

    Numbers have all their digits; what there is not is empty.
    """
    buffer = io.StringIO(newline="")
    writer = csv.DictWriter(buffer, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    index = Index(results)
    for result in index.results:
        writer.writerows(_rows(result, smallest_difference(index.of(result.task.name, result.subset))))
    return buffer.getvalue()


def _rows(result: Result, visible: float | None) -> Iterator[dict[str, Any]]:
    common = {
        "task": result.task.name,
        "version": result.task.version,
        "embedding": result.embedding,
        "subset": result.subset,
        "fast": result.fast,
        "status": result.status,
        "reason": result.reason,
        "n_items": result.n_items,
        "asked": result.asked,
        "found": result.found,
        "mode": result.task.mode,
        "preset": result.task.preset,
    }
    if not result.scores and not result.baselines:
        yield common
    for i, record in enumerate(result.scores):
        is_main = i == 0
        told = {"is_main": is_main, "smallest_visible": visible if is_main else None}
        yield common | {"kind": "score"} | told | _record(record)
    for record in result.baselines:
        yield common | {"kind": "baseline", "is_main": False} | _record(record)


def _record(record: ScoreRecord) -> dict[str, Any]:
    folds, items = record.interval_folds or ("", ""), record.interval_items or ("", "")
    return {
        "method": record.method,
        "metric": record.metric,
        "mean": record.mean,
        "folds_low": folds[0],
        "folds_high": folds[1],
        "items_low": items[0],
        "items_high": items[1],
    }
