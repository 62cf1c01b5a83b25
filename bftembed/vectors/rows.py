"""Names and numbers as the readers of vectors find them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import numpy as np

from bftembed.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


# What dimensions are called; a file whose rows are called so, in order, has its genes in columns or nowhere.
_DIMENSION = re.compile(r"(?:dim|dimension|emb|embedding|pc|component|feature|latent|v|x)?[ _.-]?(\d+)", re.IGNORECASE)


class Rows(NamedTuple):
    """What a reader found, not yet checked; ``unit`` and ``places`` say where each row stands in the file."""

    names: Sequence[object]
    matrix: NDArray[np.float32]
    unit: str
    places: Sequence[int]
    columns: Sequence[str] = ()


def refuse(msg: str) -> NoReturn:
    """Say what is wrong with a file."""
    raise DataError(msg)


def is_count(numbers: Sequence[float | None]) -> bool:
    """Whether numbers only count rows or columns, from 0 or 1."""
    return numbers in (list(range(len(numbers))), list(range(1, len(numbers) + 1)))


def only_count(names: Sequence[str]) -> bool:
    """Whether several names are those of dimensions, in order: 0, 1, 2 ... or dim_0, dim_1 ..."""
    numbers = [int(match[1]) for match in map(_DIMENSION.fullmatch, names) if match]
    return len(numbers) == len(names) > 1 and is_count(numbers)


def float32(values: Any) -> NDArray[np.float32]:
    """As float32; what is too large for it becomes infinite."""
    with np.errstate(over="ignore"):  # too large becomes infinite, and is refused as such
        return np.asarray(values).astype(np.float32)
