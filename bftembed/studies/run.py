"""Running a study: the missing cells one by one, a file each, then the report."""

from __future__ import annotations

import json
import logging
import math
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import filelock

from bftembed._files import refuse_nul, replacing
from bftembed._html import Shown
from bftembed.errors import DataError, InputError
from bftembed.studies.base import Cell, Cost
from bftembed.studies.page import write_page

if TYPE_CHECKING:
    from pathlib import Path

    from bftembed.studies.base import Study

log = logging.getLogger("bftembed")


@dataclass(frozen=True)
class StudyPlan(Shown):
    """What is still to be done: runs and their tokens, and hours by the given speeds (or by finished cells)."""

    runs: int
    finished: int
    cost: Cost
    hours: float
    basis: str

    def __str__(self) -> str:
        tokens = ", ".join(
            f"{n:,} {what}"
            for what, n in (
                ("trained on", self.cost.trained),
                ("read", self.cost.read),
                ("generated", self.cost.generated),
            )
        )
        return (
            f"{self.runs} runs to do, {self.finished} finished; tokens: {tokens}; about {self.hours:.2g} hours "
            f"({self.basis})"
        )


def run_study(study: Study) -> Path:
    """Run the cells that have no result yet, then write the report.

    Several processes may share a study, each with a GPU of its own: a cell that another one is at is left to it, and
    whoever finds all cells finished writes the report.

    Returns
    -------
    The HTML page.

    Raises
    ------
    DataError
        If a result is of other settings or cannot be read or written, or cells are left to other processes.
    """
    cells = _checked(study)
    results: dict[str, Any] = {}
    for number, cell in enumerate(cells, 1):
        found = _read(study, cell)
        if found is None:
            if any(name not in results for name in cell.needs):
                continue
            log.info("Cell %d of %d: %s", number, len(cells), cell.name)
            found = _run(study, cell, results)
        if found is not None:
            results[cell.name] = found["result"]
    missing = [cell.name for cell in cells if cell.name not in results]
    if missing:
        msg = (
            f"{len(missing)} of {len(cells)} cells are left to other processes, the first is `{missing[0]}`. Run the "
            "same command again when they have ended."
        )
        raise DataError(msg)
    return write_page(study.page(results), study.directory)


def plan_study(study: Study) -> StudyPlan:
    """What is still to be done, without doing anything."""
    cells = _checked(study)
    done = {cell.name: found["seconds"] for cell in cells if (found := _read(study, cell))}
    left = [cell for cell in cells if cell.name not in done]
    cost = sum((cell.cost for cell in left), Cost())
    guessed = sum(_seconds(cell, study) for cell in cells if cell.name in done)
    # Once there are cells that were run, they tell how fast this machine is.
    factor = sum(done.values()) / guessed if guessed else 1.0
    hours = factor * sum(_seconds(cell, study) for cell in left) / 3600
    basis = "by the time that finished cells took" if guessed else "by the speeds in the configuration"
    return StudyPlan(len(left), len(done), cost, hours, basis)


def _seconds(cell: Cell, study: Study) -> float:
    speed, cost = study.config.speed, cell.cost
    return float(cost.trained / speed.trained + cost.read / speed.read + cost.generated / speed.generated)


def _checked(study: Study) -> list[Cell]:
    try:
        refuse_nul(study.directory)
    except OSError as error:
        raise _no_directory(study, error) from error
    study.check()
    cells = list(study.cells)
    if not cells:
        msg = f"The study `{study.name}` has no cells; its configuration leaves nothing to compare."
        raise InputError(msg)
    seen: set[str] = set()
    for cell in cells:
        if cell.name in seen or not re.fullmatch(r"[\w.-]+", cell.name) or not seen.issuperset(cell.needs):
            msg = f"The cell `{cell.name}` is there twice, cannot be a file's name, or needs a cell that comes later."
            raise InputError(msg)
        seen.add(cell.name)
    return cells


def _path(study: Study, cell: Cell) -> Path:
    return study.directory / "cells" / f"{cell.name}.json"


def _read(study: Study, cell: Cell) -> dict[str, Any] | None:
    """What a cell's file says, None if there is none."""
    path = _path(study, cell)
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        digest, before, seconds = found["digest"], dict(found["settings"]), float(found["seconds"])
        if not isinstance(found["result"], dict) or not 0 <= seconds < math.inf:
            msg = "it holds no result of a cell"
            raise ValueError(msg)
    except FileNotFoundError:
        return None
    except NotADirectoryError as error:
        raise _no_directory(study, error) from error
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        msg = f"The result `{path}` cannot be read ({error}). Remove it to run this cell again."
        raise DataError(msg) from error
    if digest != cell.digest:
        changed = [key for key in {**before, **cell.settings} if before.get(key) != cell.settings.get(key)]
        msg = (
            f"`{path}` is of a run with other settings ({', '.join(changed)}). Choose another output, put the "
            "configuration back, or remove that directory."
        )
        raise DataError(msg)
    return dict(found)


def _no_directory(study: Study, error: OSError) -> DataError:
    msg = f"`{study.directory}` cannot be the directory of the results: {error}. Choose another output."
    return DataError(msg)


def _run(study: Study, cell: Cell, results: dict[str, Any]) -> dict[str, Any] | None:
    """Run a cell and keep its result; None where another process is at it."""
    path = _path(study, cell)
    lock = filelock.FileLock(path.with_suffix(".lock"), timeout=0)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except filelock.Timeout:
        log.warning("Another process is at the cell `%s`: left to it.", cell.name)
        return None
    except OSError as error:
        msg = f"`{path.parent}` cannot be written to: {error}. Choose another output."
        raise DataError(msg) from error
    with lock:
        if (found := _read(study, cell)) is not None:  # finished since it was looked for
            return found
        begin = time.perf_counter()
        try:
            result = study.run(cell, {name: results[name] for name in cell.needs})
        except OSError as error:
            place = study.place(cell.name)
            msg = (
                f"The cell `{cell.name}` cannot be run: {error}. Mend that, and run again; its files are in `{place}`."
            )
            raise DataError(msg) from error
        found = {
            "digest": cell.digest,
            "settings": dict(cell.settings),
            "result": result,
            "seconds": round(time.perf_counter() - begin, 3),
        }
        # As it will be read by a run that goes on: the report must not see tuples here and lists there.
        text = json.dumps(found, indent=1, sort_keys=True)
        try:
            with replacing(path) as made:
                made.write_text(text + "\n", encoding="utf-8")
        except OSError as error:
            msg = f"The result `{path}` cannot be written: {error}. Free some space, and run again."
            raise DataError(msg) from error
        return dict(json.loads(text))
