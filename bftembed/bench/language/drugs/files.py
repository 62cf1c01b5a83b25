"""What a user knows of drugs and genes: descriptions, and how alike they are, from JSON files."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from bftembed.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray


def read_descriptions(path: Path) -> dict[str, str]:
    """Descriptions by name: a JSON object of texts. Those that are empty, or null, are left out.

    Raises
    ------
    DataError
        If it is none.
    """
    content = _object(path, "descriptions by name")
    for name, text in content.items():
        if not isinstance(text, str | None):
            msg = f"In `{path}` the description of `{name}` is a {type(text).__name__} and no text."
            raise DataError(msg)
    return {name: " ".join(text.split()) for name, text in content.items() if text and text.strip()}


def read_likeness(path: Path) -> Callable[[Sequence[str], Sequence[str]], NDArray[np.float64]]:
    """How alike (n, m) n names are to m others, from a JSON object.

    Parameters
    ----------
    path
        Of each name either numbers from 0 to 1 by name, ``{"A": {"B": 0.9}}``, or names, the likest first,
        ``{"A": ["B", "C"]}``, which count 1, 1/2, 1/3 and so on; lists may stand in an object of their own, as VCWorld
        has them. What is said of A and B counts for B and A too, unless that is said otherwise; a name is 1 to itself,
        and all else is 0.

    Raises
    ------
    DataError
        If it is none.
    """
    known = {name: _scores(path, name, value) for name, value in _object(path, "similarities by name").items()}

    def one(name: str, other: str) -> float:
        if name == other:
            return 1.0
        there, back = known.get(name, {}).get(other), known.get(other, {}).get(name, 0.0)
        return back if there is None else there

    def alike(names: Sequence[str], others: Sequence[str]) -> NDArray[np.float64]:
        return np.array([[one(name, other) for other in others] for name in names], dtype=np.float64).reshape(
            len(names), len(others)
        )

    return alike


def _object(path: Path, what: str) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        msg = f"`{path}` cannot be read as JSON: {error}"
        raise DataError(msg) from error
    if not isinstance(content, dict) or not content:
        msg = f"`{path}` holds no {what}: it has to be a JSON object."
        raise DataError(msg)
    return content


def _scores(path: Path, name: str, value: Any) -> dict[str, float]:
    lists = list(value.values()) if isinstance(value, Mapping) else [value]
    if all(isinstance(each, list) for each in lists):
        names = list(dict.fromkeys(other for each in lists for other in each))
        if all(isinstance(other, str) for other in names):
            return {other: 1 / rank for rank, other in enumerate(names, 1)}
    elif isinstance(value, Mapping) and all(_is_share(score) for score in value.values()):
        return {other: float(score) for other, score in value.items()}
    msg = f"In `{path}` the entry of `{name}` is neither numbers from 0 to 1 by name nor a list of names."
    raise DataError(msg)


def _is_share(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value) and 0 <= value <= 1
