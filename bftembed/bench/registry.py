"""Find tasks: every `task.py` in the directories of families, read by path, and those of installed packages."""

from __future__ import annotations

import importlib.util
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bftembed._near import did_you_mean
from bftembed._paths import shipped_dir
from bftembed._plugins import load_plugin, plugin_names
from bftembed.bench.base import Task
from bftembed.errors import InputError, PluginError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from types import ModuleType

logger = logging.getLogger("bftembed")


def find_tasks(
    directories: Sequence[str | Path] = (), *, names: Sequence[str] = (), presets: Sequence[str] = ()
) -> list[Task]:
    """Tasks of this package, of installed packages and of a user, sorted by name.

    Parameters
    ----------
    directories
        A user's directories, see `all_tasks`.
    names
        Names, families, or beginnings of names up to a dot; by default all.
    presets
        Language tasks with these ways of asking, in place of the default ones. Without any, a task that is called by
        its whole name is taken too.

    Raises
    ------
    InputError
        If a directory has no task, two tasks have one name, or a name or preset fits none.

    Examples
    --------
    >>> from bftembed.bench import find_tasks
    >>> [task.name for task in find_tasks(names=["gene_property.dosage"])]
    ['gene_property.dosage']
    """
    every = all_tasks(directories)
    known = [each.name for each in every]
    chosen = [each for each in every if not names or any(_fits(each.name, name) for name in _checked(names, known))]
    kept = [
        each
        for each in chosen
        if (each.info.preset in presets if presets else each.info.is_default or each.name in names)
    ]
    if chosen and not kept:
        there = sorted({each.info.preset for each in chosen if each.info.preset})
        msg = f"None of these tasks has the preset {', '.join(presets)}; they have {', '.join(there) or 'none'}."
        raise InputError(msg)
    return kept


def all_tasks(directories: Sequence[str | Path] = ()) -> list[Task]:
    """Tasks of all presets, sorted by name.

    A package registers a `Task`, or a list of them, under the entry-point group ``bftembed.tasks``. What cannot be
    loaded is left out with a warning in the log.

    Parameters
    ----------
    directories
        A user's directories, each with families in it: ``DIRECTORY/<family>/task.py``. Every `Task` that such a file
        holds, by itself or in a list, is a task.

    Raises
    ------
    InputError
        If a directory has no task, or two tasks have one name.
    """
    found: dict[str, tuple[Task, str]] = {}

    def add(tasks: Iterable[Task], home: str) -> None:
        for each in tasks:
            if each.name in found:
                msg = f"Two tasks are called {each.name!r}, in {found[each.name][1]} and {home}; rename one."
                raise InputError(msg)
            found[each.name] = each, home

    for place in [shipped_dir("tasks"), *(Path(each).expanduser() for each in directories)]:
        paths = sorted(place.glob("*/task.py"))
        if not paths:
            msg = f"`{place}` has no tasks: there is no <family>/task.py in it."
            raise InputError(msg)
        for path in paths:
            add(_tasks_among(value for name, value in vars(_load(path)).items() if not name.startswith("_")), str(path))
    for name in plugin_names("tasks"):
        try:
            add(_registered(name), f"the installed package that registers {name!r}")
        except PluginError as error:
            logger.warning("%s Its tasks are left out.", error)
    return [found[name][0] for name in sorted(found)]


def _fits(task: str, name: str) -> bool:
    return task == name or task.startswith(f"{name}.")


def _checked(names: Sequence[str], known: Iterable[str]) -> Sequence[str]:
    for name in names:
        if not any(_fits(task, name) for task in known):
            choices = {*known, *(task.partition(".")[0] for task in known)}
            hint = did_you_mean(name, choices) or f" There are {', '.join(sorted(choices))}."
            msg = f"There is no task {name!r}.{hint}"
            raise InputError(msg)
    return names


def _tasks_among(values: Iterable[Any]) -> list[Task]:
    """The tasks, by themselves or in lists, each once."""
    flat = [each for value in values for each in (value if isinstance(value, list | tuple) else [value])]
    return list({each.name: each for each in flat if isinstance(each, Task)}.values())


def _registered(name: str) -> list[Task]:
    tasks = _tasks_among([load_plugin("tasks", name)])
    if not tasks:
        msg = f"What is registered as `{name}` in `bftembed.tasks` is neither a task nor a list of tasks."
        raise PluginError(msg)
    return tasks


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
