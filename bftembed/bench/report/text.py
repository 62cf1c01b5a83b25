"""How numbers are written: three decimals, a proper minus sign, an en dash where there is none."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

DASH = "–"  # noqa: RUF001 (an en dash is meant)
MINUS = "−"  # noqa: RUF001 (a minus sign is meant)


def is_known(value: float | None) -> bool:
    """Whether it is a number at all."""
    return value is not None and math.isfinite(value)


def number(value: float | None, digits: int = 3) -> str:
    """E.g. ``0.812`` or ``−0.034``; never a minus before zero."""  # noqa: RUF002
    if value is None or not math.isfinite(value):
        return DASH
    text = f"{abs(value):.{digits}f}"
    return f"{MINUS}{text}" if value < 0 and float(text) != 0 else text


def span(numbers: tuple[int, int]) -> str:
    """E.g. ``72``, or ``72 to 150`` where the two differ."""
    return " to ".join(f"{n:,}" for n in sorted(set(numbers)))


def interval(limits: Sequence[float] | None) -> str:
    """E.g. ``[0.790, 0.834]``; empty where there is none."""
    if limits is None or not all(map(is_known, limits)):
        return ""
    return f"[{number(limits[0])}, {number(limits[1])}]"


def p_value(value: float | None) -> str:
    """Three decimals, but never zero."""
    return "<0.001" if value is not None and value < 0.001 else number(value)


def sort_key(value: float | str) -> str:
    """A number as a table is sorted by; text stays as it is."""
    return value if isinstance(value, str) else f"{value:.9g}"


def share(part: int, whole: int) -> str:
    """Per cent, rounded down, so that only all is 100 %."""
    return f"{100 * part // whole} %" if whole else DASH


def count(n: int, what: str) -> str:
    """E.g. ``1 task`` or ``2 tasks``."""
    return f"{n:,} {what}" if n == 1 else f"{n:,} {what}s"
