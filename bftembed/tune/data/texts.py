"""All that stands in a corpus, as texts, for those who look for something in it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bftembed.errors import DataError
from bftembed.tune.data.samples import read_rows

if TYPE_CHECKING:
    from collections.abc import Iterator

_PLAIN = (".txt", ".md")
#: Characters of plain text that are read at a time, and so many of them once more with the next.
_PIECE, _AGAIN = 1 << 20, 2048


def corpus_texts(path: str | Path, *, split: str = "train") -> Iterator[str]:
    """Texts of a corpus, one after another; it is never in memory as a whole, unless it is one JSON document.

    Parameters
    ----------
    path
        What `bftembed tune` reads (``.jsonl``, ``.parquet``, a directory written by ``datasets.save_to_disk``), a
        directory of ``bftembed corpus build``, ``.json`` (a list of rows), or plain text (``.txt``, ``.md``; UTF-8,
        other bytes become U+FFFD).
    split
        Of a directory with several.

    Yields
    ------
    All strings of a row, of whatever columns and however deep, in their order with blanks between them, but for the
    roles of a chat; or a piece of plain text, which begins with the end of the one before it.

    Raises
    ------
    DataError
        If the file is missing, empty, of another kind, or damaged.
    """
    path = Path(path).expanduser()
    if (path / f"{split}.jsonl").is_file():
        path /= f"{split}.jsonl"
    empty = True
    for text in _pieces(path) if path.suffix in _PLAIN and path.is_file() else map(_joined, _rows(path, split)):
        empty = empty and not text.strip()
        yield text
    if empty:
        msg = f"`{path}` holds no text."
        raise DataError(msg)


def _pieces(path: Path) -> Iterator[str]:
    end = ""
    with path.open(encoding="utf-8", errors="replace") as file:
        while piece := file.read(_PIECE):
            yield end + piece
            end = (end + piece)[-_AGAIN:]


def _rows(path: Path, split: str) -> Iterator[Any]:
    if path.suffix == ".json" and path.is_file():
        try:
            content = json.loads(path.read_bytes())
        except (ValueError, RecursionError) as error:
            msg = f"`{path}` is not valid JSON: {error}. If it has one object per line, its name ends in .jsonl."
            raise DataError(msg) from error
        yield from content if isinstance(content, list) else [content]
    elif path.is_dir() or path.suffix in {".jsonl", ".parquet"} or not path.exists():
        yield from (row for _, row in read_rows(path, split))
    else:
        msg = f"`{path}` is no corpus; a file is .jsonl, .parquet, .json, {' or '.join(_PLAIN)}."
        raise DataError(msg)


def _joined(row: Any) -> str:
    return " ".join(_strings(row))


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, part in value.items():
            if key != "role":
                yield from _strings(part)
    elif isinstance(value, list):
        for part in value:
            yield from _strings(part)
