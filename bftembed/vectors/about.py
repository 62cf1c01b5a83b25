"""What stands beside vectors in a file: provenance, and columns of text by name."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bftembed._optional import require
from bftembed._warn import warn

if TYPE_CHECKING:
    from collections.abc import Sequence

KEY = "bftembed"
"""Where it stands: in the metadata of Parquet and safetensors, as an array of npz."""


def beside(path: Path) -> Path:
    """The file that holds it for formats that have no place of their own: ``genes.vec.json`` for ``genes.vec``."""
    return path.with_name(f"{path.name}.json")


def names_digest(names: Sequence[str]) -> str:
    """What tells whether a file beside vectors is of these names, in this order."""
    return hashlib.sha256("\n".join(names).encode("utf-8", "surrogatepass")).hexdigest()


def about_of(path: Path, names: Sequence[str] | None = None) -> dict[str, Any]:
    """What `write_vectors` put into a file or beside it; empty for files of others.

    Parameters
    ----------
    path
        Of the file.
    names
        Those in the file. What stands beside a file but is of other names is left out, with a warning.

    Returns
    -------
    dict
        ``provenance``, ``columns`` (lists of text, one per name) and ``renamed`` (names that the format could not
        hold, by what stands for them).
    """
    text = _text_of(Path(path))
    found = json.loads(text) if text else {}
    if not isinstance(found, dict):
        return {}
    if names is not None and found.get("names_digest", expected := names_digest(names)) != expected:
        warn(
            f"`{beside(path)}` is of other names than `{path}`, which was written anew without it: left out are "
            "provenance and columns such as `ensembl`. Delete it, or write the vectors again."
        )
        return {}
    return found


def _text_of(path: Path) -> str | None:
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        import pyarrow.parquet as pq

        return str((pq.read_schema(path).metadata or {}).get(KEY.encode(), b"").decode())
    if suffix == ".safetensors":
        with require("safetensors").safe_open(path, framework="numpy") as file:
            return str((file.metadata() or {}).get(KEY, ""))
    if suffix == ".npz":
        with np.load(path, allow_pickle=False) as stored:
            return str(stored[KEY]) if KEY in stored.files else None
    extra = beside(path)
    return extra.read_text(encoding="utf-8") if extra.is_file() else None
