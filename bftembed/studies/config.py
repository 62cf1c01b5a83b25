"""The file that describes a study."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bftembed.errors import InputError
from bftembed.tune.config import Name, read_values
from bftembed.tune.mistakes import mistakes

if TYPE_CHECKING:
    from collections.abc import Collection, Hashable
    from pathlib import Path

    from bftembed.tune import Objective

Given = TypeVar("Given", bound="StudyConfig")
Item = TypeVar("Item", bound="Hashable")


class Part(BaseModel):
    """Values of a configuration that stand together."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Speed(Part):
    """Tokens per second of the machine that a configuration is for; the time of a run is estimated from them."""

    trained: float = Field(default=150, gt=0)
    read: float = Field(default=400, gt=0)
    generated: float = Field(default=60, gt=0)


class StudyConfig(Part):
    """What every study's configuration has.

    Attributes
    ----------
    output
        Directory of the results and of the report.
    speed
        For the estimate of ``--dry-run`` alone.
    """

    output: Name
    speed: Speed = Speed()


def once(values: tuple[Item, ...]) -> tuple[Item, ...]:
    """Refuse a value that is there twice; numbers are told apart by six digits, as they are in the names of cells.

    Raises
    ------
    ValueError
        For pydantic, which says of what.
    """
    if len({f"{value:g}" if isinstance(value, float) else value for value in values}) < len(values):
        msg = "a value is there twice; name each once"
        raise ValueError(msg)
    return values


def check_names(names: Collection[str], taken: Collection[str]) -> None:
    """Refuse names of files that stand for something else.

    Raises
    ------
    ValueError
        For pydantic, which says of what.
    """
    if wrong := [name for name in names if name in taken]:
        msg = f"`{wrong[0]}` is the name of the {wrong[0]} data; choose another name"
        raise ValueError(msg)


def said(objective: Objective) -> dict[str, Any]:
    """What fixes an objective, as JSON values: what it leaves at its defaults is no part of it, and its file is one."""
    source = {"source": objective.source} if objective.source else {}
    return {"name": objective.name, **objective.model_dump(mode="json", exclude_defaults=True), **source}


def load_study(kind: type[Given], study: str, path: str | Path, **overrides: Any) -> Given:
    """Read a study's YAML configuration; paths in it are relative to the working directory.

    Parameters
    ----------
    kind
        The model of the configuration.
    study
        Name of the study: its shipped configurations are ``configs/studies/STUDY/NAME.yaml``.
    path
        The file, or the name of one that comes with this package, e.g. ``"embedded-cpu"``.
    overrides
        Top-level values that replace those of the file; None leaves the file's.

    Raises
    ------
    InputError
        If the file cannot be read or something in it is wrong; a misspelt key is named with the nearest right one.
    """
    values = read_values(path, f"studies/{study}")
    values |= {key: value for key, value in overrides.items() if value is not None}
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        msg = f"In `{path}`: {'; '.join(mistakes(error.errors(), kind))}."
        raise InputError(msg) from error
