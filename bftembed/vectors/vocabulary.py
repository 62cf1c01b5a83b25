"""Vectors in the order of a model's vocabulary."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bftembed.datasets import one_per_gene
from bftembed.entities import canonical
from bftembed.errors import DataError, InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

logger = logging.getLogger("bftembed")
_SHOWN = 5


def read_vocabulary(vocabulary: str | Path | Mapping[str, int] | Sequence[str]) -> list[str]:
    """Names in the order of a vocabulary.

    Parameters
    ----------
    vocabulary
        A mapping of name to index (GEARS' ``pert_data.node_map``), names in order, or a file: ``.json`` with either
        (scGPT's ``vocab.json``), or text with a name a line.

    Raises
    ------
    InputError
        If indices are not 0, 1, 2, ..., or names repeat.
    DataError
        If the file cannot be read.
    """
    what = f"`{vocabulary}`" if isinstance(vocabulary, str | Path) else "the vocabulary"
    content = _content(Path(vocabulary).expanduser()) if isinstance(vocabulary, str | Path) else vocabulary
    if not isinstance(content, Iterable):
        msg = f"{what} must be names in order, names with their indices, or a file of one; got {content!r}."
        raise InputError(msg)
    if isinstance(content, Mapping):
        numbered = all(isinstance(index, Integral) for index in content.values())
        names = sorted(content, key=lambda name: content[name]) if numbered else list(content)
        if not numbered or [content[name] for name in names] != list(range(len(names))):
            msg = f"{what} has {len(names)} names, whose indices are not 0 to {len(names) - 1}, each once: mend them."
            raise InputError(msg)
    else:
        names = list(content)
    if not names or not all(isinstance(name, str) for name in names) or len(set(names)) < len(names):
        msg = f"{what} must be names, each once, or names with their indices; it has {len(names)}, e.g. {names[:3]}."
        raise InputError(msg)
    return names


def _content(path: Path) -> Any:
    try:
        text = path.read_text(encoding="utf-8")
        content = json.loads(text) if path.suffix.lower() == ".json" else text.split("\n")
    except (OSError, ValueError) as error:
        msg = f"The vocabulary `{path}` cannot be read ({error}): give a .json file or text with a name a line."
        raise DataError(msg) from error
    if path.suffix.lower() == ".json":
        return content
    return [line.strip() for line in content if line.strip()]


def in_order(frame: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """Rows of `frame` (names x d) by `names`, NaN where it has none; a line in the log says how many.

    A name that the frame has is that row; otherwise both are brought to canonical symbols, so that a vocabulary of
    other days, or of Ensembl ids, finds its genes. Several names of one gene get its vector each.
    """
    symbols, stands = one_per_gene(frame.index)
    by_symbol = {symbol: row for row, symbol in enumerate(symbols) if stands[row] and symbol is not None}
    rows = frame.index.get_indexer(pd.Index(names))
    exact = rows >= 0
    wanted = canonical([name for name, found in zip(names, exact, strict=True) if not found])
    rows[~exact] = [by_symbol.get(symbol, -1) for symbol in wanted]
    matrix = np.full((len(names), frame.shape[1]), np.nan, dtype=np.float32)
    matrix[rows >= 0] = frame.to_numpy(dtype=np.float32)[rows[rows >= 0]]
    result = pd.DataFrame(matrix, index=list(names), columns=frame.columns)
    without = result.index[result.isna().any(axis=1)]
    shown = ", ".join(without[:_SHOWN]) + (", ..." if len(without) > _SHOWN else "")
    logger.info(
        "vocabulary: %d of %d names have a vector, %d of them under another name%s.",
        len(names) - len(without),
        len(names),
        int((rows[~exact] >= 0).sum()),
        f"; {len(without)} have none and get NaN: {shown}" if len(without) else "",
    )
    return result
