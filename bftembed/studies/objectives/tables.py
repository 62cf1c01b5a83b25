"""Numbers of the study as cells of tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from bftembed.studies.objectives.outcomes import Measure
    from bftembed.studies.statistics.hierarchical import Interval

NONE = "-"


def number(value: float) -> str:
    """Three digits, without an exponent where that is readable.

    Examples
    --------
    >>> from bftembed.studies.objectives.tables import number
    >>> number(0.04567), number(12.3456), number(1234.6), number(-0.5)
    ('0.0457', '12.3', '1235', '-0.500')
    """
    size = abs(value)
    if size >= 1e5 or 0 < size < 1e-4:
        return f"{value:.2e}"
    digits = max(0, 2 - int(np.floor(np.log10(size)))) if size > 0 else 0
    return f"{value:.{digits}f}"


def with_interval(found: Interval | None, measure: Measure) -> str:
    """A mean with its interval, or alone where it has none."""
    return NONE if found is None else _with(found, measure.shown)


def ratio(found: Interval | None) -> str:
    """The exponential of a difference of logarithms, with its interval.

    Examples
    --------
    >>> from bftembed.studies.objectives.tables import ratio
    >>> from bftembed.studies.statistics.hierarchical import Interval
    >>> ratio(Interval(0.0, -0.6931471805599453, 0.6931471805599453, 0.1, 3, 20))
    '1.00 [0.500, 2.00]'
    """
    return NONE if found is None else _with(found, lambda value: float(np.exp(value)))


def difference(found: Interval | None, measure: Measure) -> str:
    """A difference with its interval: a ratio where the measure is shown by its exponential, else with its sign."""
    if found is None:
        return NONE
    if measure.is_log:
        return ratio(found)
    sign = "+" if found.mean > 0 else ""
    return f"{sign}{_with(found, float)}"


def spread(found: Interval | None, measure: Measure) -> str:
    """A mean with the standard deviation over seeds, that of the logarithm as a percentage."""
    if found is None:
        return NONE
    if found.seed_sd is None:
        return number(measure.shown(found.mean))
    sd = f"{100 * found.seed_sd:.1f} %" if measure.is_log else number(found.seed_sd)
    return f"{number(measure.shown(found.mean))} ± {sd}"


def _with(found: Interval, shown: Callable[[float], float]) -> str:
    if found.low is None or found.high is None:
        return number(shown(found.mean))
    return f"{number(shown(found.mean))} [{number(shown(found.low))}, {number(shown(found.high))}]"
