"""Columns of `obs` or `var` that can colour a map."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bftembed.errors import InputError
from bftembed.expression import check_columns

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

_MOST_LABELS = 100
_FEW_NUMBERS = 12  # whole numbers that are few are labels: of plates, of clusters


@dataclass(frozen=True)
class Column:
    """A column as a map draws it.

    ``data`` are codes of ``labels`` (uint8, 255 where it is missing), or numbers (float32) where there are no labels;
    ``colors`` are those that scanpy gave to the labels.
    """

    name: str
    data: NDArray[Any]
    labels: list[str] | None = None
    colors: list[str] | None = None


def colour_columns(
    frame: pd.DataFrame,
    uns: Mapping[str, Any],
    asked: Sequence[str] | None = None,
    *,
    where: str = "this AnnData",
    remedy: str = "",
) -> list[Column]:
    """The columns that can colour a map: numbers, and labels of which there are at most 100.

    Parameters
    ----------
    frame
        ``obs`` or ``var``.
    uns
        May have scanpy's ``NAME_colors``.
    asked
        These columns, in this order; by default all that can.
    where, remedy
        What a message calls `frame`, and what it says at its end of a column that is not there.

    Raises
    ------
    InputError
        If one that is asked for is not there, or cannot colour a map.
    """
    check_columns(frame, where, asked or [], remedy=remedy)
    made = []
    for name in frame.columns if asked is None else asked:
        column = _column(str(name), frame[name], uns.get(f"{name}_colors"))
        if column is not None:
            made.append(column)
        elif asked is not None:
            n = frame[name].astype(str).nunique()
            msg = f"`{name}` cannot colour a map: it holds {n:,} different texts (or none), at most {_MOST_LABELS} can."
            raise InputError(msg)
    return made


def _column(name: str, values: pd.Series[Any], colors: Any) -> Column | None:
    kind = values.dtype
    if pd.api.types.is_numeric_dtype(kind) and not pd.api.types.is_bool_dtype(kind):
        numbers = values.to_numpy(dtype=np.float64, na_value=np.nan)
        numbers = np.where(np.isfinite(numbers), numbers, np.nan)
        whole = pd.api.types.is_integer_dtype(kind) and 1 < values.nunique() <= _FEW_NUMBERS
        if not whole:
            return None if np.isnan(numbers).all() else Column(name, numbers.astype(np.float32))
    coded = values.astype("category").cat
    labels = [str(label) for label in coded.categories]
    if not any(labels) or len(labels) > _MOST_LABELS:
        return None
    codes = coded.codes.to_numpy()
    missing = (codes < 0) | np.isin(codes, [i for i, label in enumerate(labels) if not label])
    drawn = [str(color) for color in colors] if colors is not None and len(colors) == len(labels) else None
    return Column(name, np.where(missing, 255, codes).astype(np.uint8), labels, drawn)
