"""Benchmarks: what a task is, embeddings as inputs, runner, statistics, results and report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bftembed.bench.base import Evaluation, Problem, Published, Task, TaskInfo, task
    from bftembed.bench.cells import CellLabels
    from bftembed.bench.embeddings import Source, get_source
    from bftembed.bench.expression import ExpressionResponse
    from bftembed.bench.genes import GeneLabels
    from bftembed.bench.pairs import PairLabels
    from bftembed.bench.registry import find_tasks
    from bftembed.bench.results import read_results
    from bftembed.bench.runner import run
    from bftembed.bench.scores import Score
    from bftembed.bench.terms import GeneTerms

_HOMES = {
    "CellLabels": "cells",
    "Evaluation": "base",
    "ExpressionResponse": "expression",
    "GeneLabels": "genes",
    "GeneTerms": "terms",
    "PairLabels": "pairs",
    "Problem": "base",
    "Published": "base",
    "Score": "scores",
    "Source": "embeddings",
    "Task": "base",
    "TaskInfo": "base",
    "find_tasks": "registry",
    "get_source": "embeddings",
    "read_results": "results",
    "run": "runner",
    "task": "base",
}
__all__ = [
    "CellLabels",
    "Evaluation",
    "ExpressionResponse",
    "GeneLabels",
    "GeneTerms",
    "PairLabels",
    "Problem",
    "Published",
    "Score",
    "Source",
    "Task",
    "TaskInfo",
    "find_tasks",
    "get_source",
    "read_results",
    "run",
    "task",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    import importlib

    return getattr(importlib.import_module(f"bftembed.bench.{_HOMES[name]}"), name)
