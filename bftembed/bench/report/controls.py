"""Language models beside the controls of a task: what is had without the model, or without what it is asked."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bftembed.bench.report.marks import interval_of, leaves_behind
from bftembed.bench.report.text import DASH, p_value
from bftembed.bench.report.visible import smallest_difference

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bftembed.bench.base import TaskInfo
    from bftembed.bench.report.comparisons import Comparison, Pair
    from bftembed.bench.report.index import Index
    from bftembed.bench.results import Result

BASE = "base model"
_CHANCE = "chance"
_TROUBLE = re.compile(
    r"\b(too long|beyond the window|cut|censored|undecided|unanswered|unparsed|not answered"
    r"|without an? (answer|name|confidence|verdict))\b"
)


@dataclass(frozen=True)
class Control:
    """A control of one model; `not_better`: the model does not leave it behind, and has to. `why` says more."""

    value: float
    not_better: bool
    why: str = ""


@dataclass(frozen=True)
class ControlRow:
    """A model: its main score, its controls by name, and how many answers could not be used, e.g. ``too long: 3``."""

    model: str
    value: float
    limits: tuple[float, float] | None
    controls: dict[str, Control] = field(default_factory=dict)
    trouble: str = DASH


@dataclass(frozen=True)
class ControlTable:
    """A task: names of the controls in their order, and a row per model that has a score."""

    info: TaskInfo
    controls: list[str]
    rows: list[ControlRow]
    visible: float | None


def control_tables(index: Index, pairs: Sequence[Pair]) -> list[ControlTable]:
    """One per task in which a model has a score."""
    compared = {(row.info.name, *sorted((row.first, row.second))): row for pair in pairs for row in pair.rows}
    tables = []
    for info in index.tasks:
        results = index.of(info.name, "own")
        rows = [row for result in results.values() if (row := _row(info, result, results, compared)) is not None]
        if rows:
            names = list(dict.fromkeys(name for row in rows for name in row.controls))
            names.sort(key=lambda name: (name == BASE) - (name == _CHANCE))
            tables.append(ControlTable(info, names, rows, smallest_difference(results)))
    return tables


def _row(
    info: TaskInfo,
    result: Result,
    results: Mapping[str, Result],
    compared: Mapping[tuple[str, ...], Comparison],
) -> ControlRow | None:
    main = result.main
    if main is None or main.mean is None:
        return None
    controls = {} if info.chance is None else {_CHANCE: _control(result, info.chance)}
    for record in result.baselines:
        if record.metric == main.metric and record.mean is not None:
            controls[record.method] = _control(result, record.mean, to_beat=record.to_beat)
    base = untuned(result, results)
    if base is not None:
        row = compared.get((info.name, *sorted((result.embedding, base.embedding))))
        controls |= _of_base(result, base, row)
    return ControlRow(result.embedding, main.mean, interval_of(main)[0], controls, trouble(result))


def _control(result: Result, value: float, *, to_beat: bool = True) -> Control:
    return Control(value, to_beat and not leaves_behind(result, value))


def _of_base(result: Result, base: Result, row: Comparison | None) -> dict[str, Control]:
    if base.main is None or base.main.mean is None:
        return {}
    better = row is not None and row.better == result.embedding
    tested = (
        f"{base.embedding}, adjusted p {p_value(row.adjusted)} ({row.test})" if row else f"{base.embedding}, no test"
    )
    return {BASE: Control(base.main.mean, not better, tested)}


def untuned(result: Result, results: Mapping[str, Result]) -> Result | None:
    """The result of the model that an adapter stands on, or None: the same weights and settings without an adapter."""
    mine = result.description.get("engine")
    if not isinstance(mine, dict) or not mine.get("adapter"):
        return None
    return next((other for other in results.values() if _bare(other.description.get("engine")) == _without(mine)), None)


def _without(engine: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in engine.items() if name != "adapter"}


def _bare(engine: Any) -> dict[str, Any] | None:
    return _without(engine) if isinstance(engine, dict) and not engine.get("adapter") else None


def trouble(result: Result) -> str:
    """Counts of answers that could not be used or that change, e.g. ``too long: 3``; a dash where none is counted."""
    counts = {name: n for name, n in result.counts.items() if _TROUBLE.search(name)}
    told = [f"{name}: {n:,}" for name, n in counts.items() if n] or (["none"] if counts else [])
    if "flips" in result.counts:
        told.append(f"flips: {result.counts['flips']:,} of {result.counts['asked twice']:,}")
    return ", ".join(told) or DASH
