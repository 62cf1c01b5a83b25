"""What is judged of one main score: its interval, its place between chance and the best, and its warnings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bftembed.bench.report.text import is_known

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bftembed.bench.base import TaskInfo
    from bftembed.bench.results import Result, ScoreRecord

LEAST_COVERAGE = 0.8


def interval_of(record: ScoreRecord) -> tuple[tuple[float, float] | None, str]:
    """The interval to show, and what it is over: items, or folds where there is none over items."""
    if record.interval_items is not None:
        return record.interval_items, "items"
    return record.interval_folds, "folds" if record.interval_folds is not None else ""


def best_baseline(result: Result) -> ScoreRecord | None:
    """The baseline to beat that is best by the main metric."""
    main = result.main
    known = [
        record
        for record in result.baselines
        if main is not None and record.metric == main.metric and is_known(record.mean) and record.to_beat
    ]
    sign = 1 if result.task.higher_is_better else -1
    return max(known, key=lambda record: sign * (record.mean or 0.0), default=None)


def not_better(result: Result) -> bool:
    """Whether the main score does not leave the best baseline behind."""
    best = best_baseline(result)
    return best is not None and best.mean is not None and not leaves_behind(result, best.mean)


def leaves_behind(result: Result, value: float) -> bool:
    """Whether the interval of the main score (without one, the score) is wholly better than a value."""
    main = result.main
    if main is None or main.mean is None:
        return True  # there is nothing to be marked
    low, high = interval_of(main)[0] or (main.mean, main.mean)
    return low > value if result.task.higher_is_better else high < value


def few(result: Result) -> bool:
    """Whether the embedding has less than 80 % of the entities."""
    return result.asked > 0 and result.found / result.asked < LEAST_COVERAGE


def scale(info: TaskInfo, values: Iterable[float]) -> tuple[float, float] | None:
    """The values that get the palest and the strongest colour, or None if there is nothing to tell apart.

    From chance to the best that is possible; to the best there is, if no best is known; and from the worst there is,
    if no chance is known.
    """
    ordered = sorted(values, reverse=not info.higher_is_better)
    if not ordered:
        return None
    low, high = ordered[0], ordered[-1]
    if info.chance is not None:
        low, high = info.chance, high if info.best is None else info.best
    return None if low == high else (low, high)


def shade(value: float, limits: tuple[float, float] | None) -> float | None:
    """Place of a value on the scale, from 0 to 1."""
    if limits is None:
        return None
    low, high = limits
    return min(1.0, max(0.0, (value - low) / (high - low)))
