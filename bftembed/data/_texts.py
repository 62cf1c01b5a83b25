"""Readers of plain text: gene sets, json, lines. Files ending in ``.gz`` are decompressed."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING, Any

from bftembed.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path


def _text(path: Path) -> str:
    raw = path.read_bytes()
    return (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode("utf-8-sig")


def read_gmt(path: Path) -> dict[str, list[str]]:
    r"""Read gene sets, one a line (name, description, genes, all separated by tabs), as name to genes.

    Raises
    ------
    DataError
        If a line has no description field or two sets have the same name.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from bftembed.data import read_gmt
    >>> with TemporaryDirectory() as directory:
    ...     path = Path(directory) / "sets.gmt"
    ...     _ = path.write_text("T cell\tno description\tCD3D\tCD3E\n")
    ...     read_gmt(path)
    {'T cell': ['CD3D', 'CD3E']}
    """
    sets: dict[str, list[str]] = {}
    for number, line in enumerate(_text(path).splitlines(), start=1):
        if not line.strip():
            continue
        name, *rest = line.split("\t")
        if not rest or not name or name in sets:
            wrong = f"repeats the set {name!r}" if name in sets else "is not `name<tab>description<tab>gene<tab>...`"
            msg = f"Line {number} of {path} {wrong}: {line[:80]!r}."
            raise DataError(msg)
        sets[name] = [gene for field in rest[1:] if (gene := field.strip())]
    return sets


def read_json(path: Path) -> object:
    """Read one JSON document."""
    content: object = json.loads(_text(path))
    return content


def read_jsonl(path: Path) -> list[Any]:
    """Read one JSON document per line; empty lines are skipped."""
    return [json.loads(line) for line in _text(path).split("\n") if line.strip()]


def read_lines(path: Path) -> list[str]:
    """Read a text as lines without their ends; a last empty line is left out."""
    return _text(path).splitlines()
