"""Find tasks: every `task.py` in the directories of families, read by path."""

from __future__ import annotations

import difflib
import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bftembed._paths import shipped_dir
from bftembed.bench.base import Task
from bftembed.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType


def find_tasks(directories: Sequence[str | Path] = (), *, names: Sequence[str] = ()) -> list[Task]:
    """Tasks of this package and of a user, sorted by name.

    Parameters
    ----------
    directories
        A user's directories, each with families in it: ``DIRECTORY/<family>/task.py``. Every `Task` that such a file
        holds, by itself or in a list, is a task.
    names
        Names, families, or beginnings of names up to a dot; by default all.

    Raises
    ------
    InputError
        If a directory has no task, two tasks have one name, or a name fits none.
    """
    found: dict[str, tuple[Task, Path]] = {}
    for place in [shipped_dir("tasks"), *(Path(each).expanduser() for each in directories)]:
        paths = sorted(place.glob("*/task.py"))
        if not paths:
            msg = f"`{place}` has no tasks: there is no <family>/task.py in it."
            raise InputError(msg)
        for path in paths:
            for each in _tasks_in(path):
                if each.name in found:
                    msg = f"Two tasks are called {each.name!r}, in {found[each.name][1]} and {path}; rename one."
                    raise InputError(msg)
                found[each.name] = each, path
    every = [found[name][0] for name in sorted(found)]
    return [each for each in every if not names or any(_fits(each.name, name) for name in _checked(names, found))]


def _fits(task: str, name: str) -> bool:
    return task == name or task.startswith(f"{name}.")


def _checked(names: Sequence[str], known: Sequence[str] | dict[str, tuple[Task, Path]]) -> Sequence[str]:
    for name in names:
        if not any(_fits(task, name) for task in known):
            choices = {*known, *(task.partition(".")[0] for task in known)}
            near = difflib.get_close_matches(name, choices, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(sorted(choices))}."
            msg = f"There is no task {name!r}; {hint}"
            raise InputError(msg)
    return names


def _tasks_in(path: Path) -> list[Task]:
    module = _load(path)
    values = [value for name, value in vars(module).items() if not name.startswith("_")]
    flat = [each for value in values for each in (value if isinstance(value, list | tuple) else [value])]
    return list({each.name: each for each in flat if isinstance(each, Task)}.values())


def _load(path: Path) -> ModuleType:
    name = f"bftembed_tasks_{path.parent.name}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        msg = f"{path} cannot be loaded as Python."
        raise InputError(msg)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where dataclasses look annotations up
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # a user's file may raise anything
        msg = f"{path} cannot be loaded: {type(error).__name__}: {error}"
        raise InputError(msg) from error
    finally:
        del sys.modules[name]  # two directories may have a family of one name, and joblib's processes cannot import it
    return module
