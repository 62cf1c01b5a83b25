"""Progress of long work: a bar on a terminal or in a notebook, else a line in the log now and then."""

from __future__ import annotations

import importlib.util
import logging
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

log = logging.getLogger("bftembed")

#: Seconds between two lines of the log.
INTERVAL = 30.0


class Progress:
    """Counts what is done and shows it: see :func:`progress`."""

    def __init__(self, total: int, desc: str, unit: str, bar: Any, *, lines: bool) -> None:
        self.done, self._total, self._desc, self._unit = 0, total, desc, unit
        self._bar, self._lines, self._note = bar, lines, ""
        self._began = self._said = time.monotonic()

    def update(self, n: int = 1, *, note: str = "") -> None:
        """Count `n` more as done; `note` (such as a speed) stands behind the numbers."""
        self.done += n
        self._note = note or self._note
        if self._bar is not None:
            self._bar.set_postfix_str(self._note, refresh=False)
            self._bar.update(n)
        now = time.monotonic()
        if self._lines and now - self._said >= INTERVAL:
            self._said = now
            log.info("%s", self._line(now - self._began))

    def _line(self, elapsed: float) -> str:
        rate = self.done / elapsed
        left = f", about {spoken((self._total - self.done) / rate)} left" if rate > 0 else ""
        speed = f"{rate:,.1f}" if rate >= 1 or not rate else f"{rate:.2g}"
        note = f", {self._note}" if self._note else ""
        return f"{self._desc}: {self.done:,} of {self._total:,} {self._unit}s, {speed} per second{note}{left}"


@contextmanager
def progress(total: int, desc: str, unit: str, *, show: bool | None = None) -> Iterator[Progress]:
    """Show the progress of `total` steps.

    On a terminal, or in a notebook with ipywidgets, it is a bar. Elsewhere a line goes to the logger ``bftembed``
    (level INFO) at most every 30 seconds, with what is done, the speed and the time left; work of under 30 s says
    nothing.

    Parameters
    ----------
    total
        Number of steps.
    desc
        What is done, e.g. ``"encode"``.
    unit
        What a step is, singular, e.g. ``"text"``.
    show
        True: always a bar; False: nothing at all; None: as said above.

    Yields
    ------
    Progress
        Call its ``update(n)`` when `n` more steps are done.
    """
    watched = show if show is not None else sys.stderr.isatty() or _in_notebook()
    if not watched:
        yield Progress(total, desc, unit, None, lines=show is None)
        return
    from tqdm.auto import tqdm

    with tqdm(total=total, desc=desc, unit=unit) as bar:
        yield Progress(total, desc, unit, bar, lines=False)


def spoken(seconds: float) -> str:
    """A duration for display: ``"45 s"``, ``"12 min"``, ``"3 h 05 min"``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02} min"


def _in_notebook() -> bool:
    return "ipykernel.zmqshell" in sys.modules and importlib.util.find_spec("ipywidgets") is not None
