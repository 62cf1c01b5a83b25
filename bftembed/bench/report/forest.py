"""Forest plot of one task as SVG: a point and its interval per embedding, beside chance and the best baseline.

Places across are per cent and text has a fixed size, so that a plot is as wide as the page and can be read on a phone;
names and numbers stand above their line, not beside it, for the same reason.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup

from bftembed.bench.report.text import interval, number

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_ROW, _TOP, _AXIS = 38, 2, 26
_LONGEST = 26
_MARGIN = 2.0


@dataclass(frozen=True)
class Point:
    """A score, its interval, and the best baseline on the same items."""

    label: str
    value: float
    limits: tuple[float, float] | None = None
    baseline: float | None = None


@dataclass(frozen=True)
class Plot:
    """What a forest plot shows; `title` is its text for who cannot see it."""

    title: str
    caption: str
    points: list[Point]
    chance: float | None = None


def forest_svg(plot: Plot) -> Markup:
    """Plot it; nothing if there is no point.

    Colours come from the classes `point`, `limits`, `chance`, `baseline`, `axis` of the page.
    """
    if not plot.points:
        return Markup("")
    axis = _Axis(_shown_values(plot))
    height = _TOP + _ROW * len(plot.points) + _AXIS
    parts = [
        Markup('<svg class="forest" role="img" width="100%" height="{}" aria-label="{}">').format(height, plot.title)
    ]
    parts.append(Markup("<title>{}</title>").format(plot.title))
    for i, point in enumerate(plot.points):
        parts += _row(point, plot.chance, axis, _TOP + _ROW * i)
    parts += _axis(axis, height - _AXIS)
    parts.append(Markup("</svg>"))
    return Markup("\n").join(parts)


def nice_ticks(low: float, high: float) -> list[float]:
    """Two to six round numbers between two limits."""
    rough = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    return [round(i * step, 10) for i in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


class _Axis:
    def __init__(self, values: Iterable[float]) -> None:
        ordered = sorted(values)
        low, high = ordered[0], ordered[-1]
        margin = 0.04 * (high - low) or max(abs(high), 1.0) * 0.05
        self.low, self.high = low - margin, high + margin

    def place(self, value: float) -> str:
        part = (value - self.low) / (self.high - self.low)
        return f"{_MARGIN + (100 - 2 * _MARGIN) * part:.2f}%"


def _shown_values(plot: Plot) -> list[float]:
    values = [value for point in plot.points for value in (point.value, *(point.limits or ()), point.baseline)]
    return [value for value in (*values, plot.chance) if value is not None]


def _row(point: Point, chance: float | None, axis: _Axis, top: int) -> list[Markup]:
    middle = top + 26
    parts = [
        Markup('<g><title>{}</title><text x="0" y="{}">{}</text>').format(point.label, top + 13, _short(point.label)),
        Markup('<text class="value" x="100%" y="{}">{}</text>').format(
            top + 13, f"{number(point.value)} {interval(point.limits)}".strip()
        ),
        Markup('<line class="track" x1="{0}%" x2="{1}%" y1="{2}" y2="{2}"/>').format(_MARGIN, 100 - _MARGIN, middle),
    ]
    for kind, value in (("chance", chance), ("baseline", point.baseline)):
        if value is not None:
            parts.append(_line(kind, axis.place(value), axis.place(value), middle - 8, middle + 8))
    if point.limits is not None:
        parts.append(_line("limits", axis.place(point.limits[0]), axis.place(point.limits[1]), middle, middle))
    place = axis.place(point.value)
    parts.append(Markup('<circle class="point" cx="{}" cy="{}" r="4.5"/></g>').format(place, middle))
    return parts


def _axis(axis: _Axis, top: int) -> list[Markup]:
    parts = []
    ticks = nice_ticks(axis.low, axis.high)
    digits = _digits(ticks)
    for tick in ticks:
        place = axis.place(tick)
        parts.append(_line("axis", place, place, top, top + 5))
        parts.append(Markup('<text class="tick" x="{}" y="{}">{}</text>').format(place, top + 18, number(tick, digits)))
    return parts


def _digits(ticks: Sequence[float]) -> int:
    return max(len(f"{tick:.10f}".rstrip("0").partition(".")[2]) for tick in ticks) if ticks else 0


def _line(kind: str, x1: str, x2: str, y1: float, y2: float) -> Markup:
    return Markup('<line class="{}" x1="{}" x2="{}" y1="{}" y2="{}"/>').format(kind, x1, x2, y1, y2)


def _short(label: str) -> str:
    return label if len(label) <= _LONGEST else f"{label[: _LONGEST - 1]}…"
