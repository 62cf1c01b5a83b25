"""Vectors to files, in the way that the suffix names."""

from __future__ import annotations

import csv
import json
import re
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from bftembed._files import replacing
from bftembed._optional import needs, require
from bftembed._unicode import writable
from bftembed.errors import DataError, InputError
from bftembed.vectors.about import KEY, beside, names_digest
from bftembed.vectors.rows import only_count

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pandas as pd

    Writer = Callable[[pd.DataFrame, dict[str, Any], Path], None]


def check_target(path: Path) -> None:
    """Refuse a file that cannot be written under this name.

    Raises
    ------
    InputError
        If the suffix is another one, or the directory does not exist.
    MissingExtraError
        If the package for the format is not installed.

    Examples
    --------
    >>> from pathlib import Path
    >>> from bftembed.vectors import check_target
    >>> check_target(Path("genes.parquet"))
    """
    if path.suffix not in WRITERS:
        hint = " An AnnData is written with adata.write_h5ad(path)." if path.suffix in {".h5ad", ".zarr"} else ""
        msg = f"`{path}` must end in {', '.join(WRITERS)}.{hint}"
        raise InputError(msg)
    if not path.parent.is_dir():
        msg = f"There is no directory {str(path.parent)!r} for output={str(path)!r}; make it first."
        raise InputError(msg)
    if path.suffix == ".safetensors":
        needs("safetensors", extra="local")


def write_frame(frame: pd.DataFrame, about: dict[str, Any], path: Path) -> None:
    """Write n names (index) with d numbers each, NaN rows for names without a vector, or with a column ``text``.

    Parameters
    ----------
    frame
        (n, d), float32.
    about
        ``provenance`` and ``columns``, see `bftembed.vectors.about.about_of`.
    path
        As `check_target` takes it.

    Raises
    ------
    InputError
        If the names are empty, repeated or only count, the format cannot hold them, or a number is infinite.
    DataError
        If the file cannot be written.
    """
    names = [writable(str(name)).strip() for name in frame.index]
    if "" in names or len(set(names)) < len(names):
        repeated = next((name for name in names if names.count(name) > 1), "") if "" not in names else ""
        what = f"the name {repeated!r} stands in several rows" if repeated else "a name is empty"
        msg = f"Vectors are written by name, and {what}: make names unique (`adata.var_names_make_unique()`)."
        raise InputError(msg)
    numbers = frame.select_dtypes("number").to_numpy()
    if only_count(names) and numbers.size:
        msg = f"The names are {names[0]!r}, {names[1]!r} ..., which name no genes: put names into the index."
        raise InputError(msg)
    if (infinite := np.isinf(numbers)).any():
        name = names[int(np.argmax(infinite.any(axis=1)))]
        msg = f"A number of {name!r} is infinite, or too large for float32: mend it, or leave {name!r} out."
        raise InputError(msg)
    try:
        WRITERS[path.suffix](frame.set_axis(names), about, path)
    except OSError as error:
        msg = f"`{path}` cannot be written ({error}). Free space, or choose another output."
        raise DataError(msg) from error


def _csv(frame: pd.DataFrame, about: dict[str, Any], path: Path) -> None:
    with replacing(path) as made:
        # Python before 3.13 puts no quotes around a carriage return, which ends a line.
        quoting: Literal[0, 2] = (
            csv.QUOTE_NONNUMERIC if any("\r" in name for name in frame.index) else csv.QUOTE_MINIMAL
        )
        frame.rename_axis("name").to_csv(made, quoting=quoting)
    _write_beside(about, path, frame.index.tolist())


def _parquet(frame: pd.DataFrame, about: dict[str, Any], path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    whole = frame.rename_axis("name").reset_index()
    for place, (name, values) in enumerate(about["columns"].items(), start=1):
        whole.insert(place, name, values)
    table = pa.Table.from_pandas(whole, preserve_index=False)
    table = table.replace_schema_metadata({**(table.schema.metadata or {}), KEY: _text(about)})
    with replacing(path) as made, made.open("wb") as file:  # Arrow takes no path with half a character
        pq.write_table(table, file, use_dictionary=False)  # numbers that hardly repeat grow by a half with one


def _word2vec(frame: pd.DataFrame, about: dict[str, Any], path: Path) -> None:
    """``n d``, then a name and d numbers a line, between single blanks, as gensim's KeyedVectors read and write it.

    A blank in a name would cut it, so it becomes ``_``. Nine digits give every float32 back.
    """
    if frame.isna().any(axis=None):
        msg = f"word2vec text has no missing vectors: leave these names out of `{path}`, or write .npz or .safetensors."
        raise InputError(msg)
    names = [re.sub(r"\s", "_", name) for name in frame.index]
    renamed = {new: old for new, old in zip(names, frame.index, strict=True) if new != old}
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        msg = f"In word2vec text `_` stands for blanks, and two names become {twice!r}: rename one, or write .parquet."
        raise InputError(msg)
    with replacing(path) as made, made.open("w", encoding="utf-8", newline="\n") as file:
        file.write(f"{len(names)} {frame.shape[1]}\n")
        for name, row in zip(names, frame.to_numpy(), strict=True):
            file.write(f"{name} {' '.join(map('%.9g'.__mod__, row.tolist()))}\n")
    _write_beside({**about, "renamed": renamed}, path, names)


def _npz(frame: pd.DataFrame, about: dict[str, Any], path: Path) -> None:
    names = np.array(frame.index.tolist(), dtype=str)
    with replacing(path) as made, made.open("wb") as file:
        np.savez(file, names=names, matrix=frame.to_numpy(), known=_known(frame), bftembed=np.array(_text(about)))


def _safetensors(frame: pd.DataFrame, about: dict[str, Any], path: Path) -> None:
    tensors = {"vectors": np.ascontiguousarray(frame.to_numpy()), "known": _known(frame)}
    header = {"names": json.dumps(frame.index.tolist(), ensure_ascii=False), KEY: _text(about)}
    with replacing(path) as made:  # `save_file` would let nobody else read it
        made.write_bytes(require("safetensors.numpy").save(tensors, metadata=header))


def _known(frame: pd.DataFrame) -> Any:
    """Which names have a vector: bool, shape (n,)."""
    return frame.notna().all(axis=1).to_numpy()


def _text(about: dict[str, Any]) -> str:
    return json.dumps(about, ensure_ascii=False, default=str)


def _write_beside(about: dict[str, Any], path: Path, names: list[str]) -> None:
    with replacing(beside(path)) as made:
        made.write_text(_text({**about, "names_digest": names_digest(names)}), encoding="utf-8")


WRITERS: dict[str, Writer] = {
    ".csv": _csv,
    ".parquet": _parquet,
    ".vec": _word2vec,
    ".npz": _npz,
    ".safetensors": _safetensors,
}
