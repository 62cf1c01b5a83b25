"""Experiments on tuned models: the cells of a design, and a report whose verdict may be that it cannot be told."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bftembed._near import did_you_mean
from bftembed._optional import needs
from bftembed.errors import InputError

if TYPE_CHECKING:
    from bftembed.studies.base import Study

__all__ = ["STUDIES", "check_study", "open_study"]

#: The module and class of each study.
STUDIES: dict[str, tuple[str, str]] = {
    "objectives": ("objectives.study", "Objectives"),
    "grpo": ("grpo.study", "GRPOStudy"),
    "window": ("window.study", "Window"),
    "subliminal": ("subliminal.study", "Subliminal"),
}


def check_study(name: str) -> None:
    """Refuse a name that is none of `STUDIES`.

    Raises
    ------
    InputError
        With the names that there are.

    Examples
    --------
    >>> from bftembed.studies import check_study
    >>> check_study("window")
    >>> try:
    ...     check_study("windw")
    ... except ValueError as error:
    ...     print(str(error)[-22:])
    Did you mean `window`?
    """
    if name not in STUDIES:
        msg = f"There is no study `{name}`; there are {', '.join(STUDIES)}.{did_you_mean(name, STUDIES)}"
        raise InputError(msg)


def open_study(name: str, config: str | Path, **overrides: Any) -> Study:
    """A study from its configuration; `bftembed.studies.run.run_study` runs it.

    Parameters
    ----------
    name
        One of `STUDIES`.
    config
        A YAML file, or the name of a configuration that comes with this package, e.g. ``"embedded-cpu"``.
    overrides
        Top-level values in place of the file's, e.g. ``output="runs/study"``.

    Raises
    ------
    InputError
        If there is no such study or configuration, or something in it is wrong.
    MissingExtraError
        If the packages of the extra ``tune`` are not installed.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from bftembed.studies import open_study
    >>> with TemporaryDirectory() as directory:
    ...     study = open_study("objectives", "embedded-cpu", output=f"{directory}/objectives")
    >>> type(study).__name__
    'Objectives'
    """
    check_study(name)
    needs("torch", "transformers", "peft", extra="tune")
    from bftembed.studies.config import load_study

    module, kind = STUDIES[name]
    study: type[Study] = getattr(importlib.import_module(f"bftembed.studies.{module}"), kind)
    settings = load_study(study.Config, name, config, **overrides)
    return study(settings, Path(settings.output).expanduser())
