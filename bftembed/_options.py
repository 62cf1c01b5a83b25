"""Options that are handed on to a class by name: of the type that its signature says."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from numbers import Integral, Real
from os import PathLike
from typing import Any

from bftembed.errors import InputError

#: Types as annotations name them, and what messages call them.
_KINDS: dict[str, tuple[Any, str]] = {
    "bool": (bool, "True or False"),
    "int": (Integral, "a whole number"),
    "float": (Real, "a number"),
    "str": ((str, PathLike), "a text"),
    "dict": (Mapping, "a mapping"),
    "Mapping": (Mapping, "a mapping"),
    "None": (type(None), "None"),
}
_WORDS = {"True": True, "False": False, "None": None}


def check_types(make: Any, options: Mapping[str, Any]) -> None:
    """Refuse options of another type than the signature of `make` says, where it says one of the plain ones.

    A text in place of True or False would else count as True.

    Raises
    ------
    InputError
        Names the option and what it takes.

    Examples
    --------
    >>> def make(*, batch_size: int | None = None): ...
    >>> check_types(make, {"batch_size": "auto"})
    Traceback (most recent call last):
    bftembed.errors.InputError: The option `batch_size` is a whole number or None, got 'auto'.
    """
    for name, value in options.items():
        if not _fits(kinds := _kinds(make, name), value):
            what = " or ".join(_KINDS[kind][1] for kind in kinds)
            msg = f"The option `{name}` is {what}, got {value!r}."
            raise InputError(msg)


def read_option(make: Any, name: str, text: str) -> Any:
    """The value of an option of the command line: JSON or a word of Python, else the text itself, as it fits `make`.

    Examples
    --------
    >>> def make(*, compile: bool | str = False, revision: str | None = None): ...
    >>> read_option(make, "compile", "false"), read_option(make, "compile", "True"), read_option(make, "revision", "12")
    (False, True, '12')
    """
    try:
        value = _WORDS[text] if text in _WORDS else json.loads(text)
    except ValueError:
        return text
    kinds = _kinds(make, name)
    return text if not _fits(kinds, value) and _fits(kinds, text) else value


def _kinds(make: Any, name: str) -> list[str]:
    """The plain types of an option; none where the signature says others or nothing."""
    said = getattr(inspect.signature(make).parameters.get(name), "annotation", None)
    kinds = [kind.partition("[")[0] for kind in said.split(" | ")] if isinstance(said, str) else []
    return kinds if set(kinds) <= set(_KINDS) else []


def _fits(kinds: list[str], value: Any) -> bool:
    fitting = (isinstance(value, _KINDS[kind][0]) and (kind == "bool" or not isinstance(value, bool)) for kind in kinds)
    return not kinds or any(fitting)
