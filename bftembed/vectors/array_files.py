"""Vectors in binary files: Parquet, npz, safetensors, and dictionaries that were pickled."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np

from bftembed._optional import require
from bftembed.data import read_pickle
from bftembed.vectors.about import about_of
from bftembed.vectors.rows import Rows, float32, refuse

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def read_parquet(path: Path) -> Rows:
    """A column or an index of names, and columns of numbers."""
    import pandas as pd

    frame = pd.read_parquet(path).drop(columns=list(about_of(path).get("columns", {})), errors="ignore")
    names: list[object] = frame.index.tolist()
    if names == list(range(len(frame))) and frame.shape[1]:  # no index but a count of the rows
        names, frame = frame.iloc[:, 0].tolist(), frame.iloc[:, 1:]
    for column, values in frame.items():
        if not pd.api.types.is_numeric_dtype(values.dtype) or values.dtype.kind in "bc":
            refuse(
                f"Column {column!r} of {path} is {values.dtype}, with {values.head(1).tolist()!r:.60} in row 1. Keep "
                "one column of names, the first or the index, and real numbers in all others."
            )
    matrix = float32(frame.to_numpy(dtype=np.float64, na_value=np.nan))
    return Rows(names, matrix, "row", range(1, len(frame) + 1), list(map(str, frame.columns)))


def read_npz(path: Path) -> Rows:
    """Arrays of names and of vectors."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            arrays = {key: stored[key] for key in stored.files}
    except ValueError as error:
        refuse(f"{path} is not read: {error}. Save it with np.savez, the names as np.array(names, dtype=str).")
    found = [key for key in ("matrix", "embeddings", "X") if key in arrays]
    if "names" not in arrays or len(found) != 1:
        refuse(f"{path} holds {', '.join(arrays) or 'nothing'}. Save `names` and one of `matrix`, `embeddings`, `X`.")
    names, matrix = arrays["names"], arrays[found[0]]
    if names.ndim != 1 or matrix.ndim != 2 or len(names) != len(matrix) or matrix.dtype.kind not in "fiu":
        refuse(
            f"{path} has `names` of shape {names.shape} and `{found[0]}` of shape {matrix.shape} and type "
            f"{matrix.dtype}. Needed are n names and n rows of real numbers, one gene a row."
        )
    return Rows(names.tolist(), float32(matrix), "row", range(1, len(names) + 1))


def read_safetensors(path: Path) -> Rows:
    """A tensor ``vectors``, and the names in the header."""
    safe_open = require("safetensors").safe_open
    with safe_open(path, framework="numpy") as file:
        names = json.loads((file.metadata() or {}).get("names", "[]"))
        found = {key: file.get_slice(key).get_shape() for key in file.keys()}  # noqa: SIM118 (no mapping)
        if len(found.get("vectors", ())) != 2 or found["vectors"][0] != len(names):
            refuse(
                f"{path} holds tensors of shapes {found} and {len(names)} names. Needed are `vectors` of shape (n, d) "
                "and in the metadata `names`, a JSON list of n names."
            )
        matrix = float32(file.get_tensor("vectors"))
    return Rows(names, matrix, "row", range(1, len(names) + 1))


def read_dictionary(path: Path) -> Rows:
    """A dict of name to vector."""
    content = read_pickle(path)
    if not isinstance(content, dict):
        refuse(f"{path} holds a {type(content).__name__}, not a dict of name to vector. Save tables as .parquet.")
    vectors: list[NDArray[np.float32]] = []
    for name, value in content.items():
        vector = np.array(None)
        with suppress(ValueError):  # lists of different lengths in a list
            vector = np.asarray(value)
        size = vectors[0].size if vectors else vector.size
        if vector.ndim != 1 or vector.dtype.kind not in "fiu" or vector.size != size:
            refuse(
                f"{name!r} of {path} is {value!r:.60} (of shape {vector.shape}). All values must be lists or arrays "
                f"of real numbers and of one length, that of the first: {size}."
            )
        vectors.append(float32(vector))
    return Rows(list(content), np.array(vectors, ndmin=2), "entry", range(1, len(vectors) + 1))
