"""Reading training data: JSON lines, Parquet, and Hugging Face datasets on disk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bftembed._optional import require
from bftembed.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator

_FORMS = "`messages` (a chat), `prompt` and `response`, or `text`"


def read_samples(path: str | Path, *, split: str = "train") -> Iterator[tuple[str, list[dict[str, str]] | str]]:
    """Samples of a file or directory, each with the place where it stands (for messages about it).

    Parameters
    ----------
    path
        ``.jsonl`` (one object per line), ``.parquet``, or a directory written by ``datasets.save_to_disk``.
        A row has ``messages`` (a list of ``{"role", "content"}`` that ends with the assistant), or ``prompt`` and
        ``response`` (optionally ``system``), or ``text``. Other columns are ignored.
    split
        Which split of a dataset that has several.

    Yields
    ------
    place, sample
        A sample is a list of messages, or a plain text.

    Raises
    ------
    DataError
        If the file is missing, empty, of another kind, or a row is broken; the message names the row.
    """
    path = Path(path).expanduser()
    rows = read_rows(path, split)
    count = 0
    for place, row in rows:
        count += 1
        yield place, _sample(place, row)
    if not count:
        msg = f"`{path}` holds no samples."
        raise DataError(msg)


def read_rows(path: Path, split: str) -> Iterator[tuple[str, Any]]:
    """Rows as they are, each with the place where it stands."""
    if not path.exists():
        msg = f"There is no training data at `{path}`; `bftembed corpus build` writes corpora to train on."
        raise DataError(msg)
    if path.is_dir():
        return _dataset_rows(path, split)
    if path.suffix == ".jsonl":
        return _json_rows(path)
    if path.suffix == ".parquet":
        return _parquet_rows(path)
    msg = f"`{path}` is neither .jsonl nor .parquet nor a directory written by `datasets.save_to_disk`."
    raise DataError(msg)


def _json_rows(path: Path) -> Iterator[tuple[str, Any]]:
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            place = f"line {number} of `{path}`"
            try:
                row = json.loads(line)
                if rb"\ud" in line.lower():
                    json.dumps(row, ensure_ascii=False).encode()  # half of a surrogate pair is no text
                yield place, row
            except (ValueError, RecursionError) as error:  # JSON or UTF-8
                msg = f"{place[0].upper()}{place[1:]} is not valid JSON: {error}."
                raise DataError(msg) from error


def _parquet_rows(path: Path) -> Iterator[tuple[str, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches():
                for row in batch.to_pylist():
                    number += 1
                    yield f"row {number} of `{path}`", row
    except (pa.ArrowInvalid, OSError) as error:
        msg = f"`{path}` cannot be read as Parquet: {error}"
        raise DataError(msg) from error


def _dataset_rows(path: Path, split: str) -> Iterator[tuple[str, Any]]:
    datasets = require("datasets")
    try:
        dataset = datasets.load_from_disk(str(path))
    except (FileNotFoundError, ValueError) as error:
        msg = f"`{path}` is no dataset written by `datasets.save_to_disk`: {error}"
        raise DataError(msg) from error
    if isinstance(dataset, datasets.DatasetDict):
        if split not in dataset:
            msg = f"The dataset `{path}` has no split `{split}`; it has {', '.join(dataset)}."
            raise DataError(msg)
        dataset = dataset[split]
    for number, row in enumerate(dataset, 1):
        yield f"row {number} of `{path}`", row


def _sample(place: str, row: Any) -> list[dict[str, str]] | str:
    if not isinstance(row, dict):
        msg = f"{place[0].upper()}{place[1:]} is a {type(row).__name__} and not an object with {_FORMS}."
        raise DataError(msg)
    if row.get("messages") is not None:
        return checked_messages(place, row["messages"])
    if row.get("prompt") is not None and row.get("response") is not None:
        system = [{"role": "system", "content": row["system"]}] if row.get("system") else []
        turns = [{"role": "user", "content": row["prompt"]}, {"role": "assistant", "content": row["response"]}]
        return checked_messages(place, [*system, *turns])
    if row.get("text") is not None:
        if not isinstance(row["text"], str):
            msg = f"`text` in {place} is a {type(row['text']).__name__} and not a string."
            raise DataError(msg)
        return row["text"]
    found = ", ".join(f"{key!r}{' (null)' if value is None else ''}" for key, value in row.items())
    msg = f"{place[0].upper()}{place[1:]} has {found or 'nothing'}; a sample needs {_FORMS}."
    raise DataError(msg)


def checked_messages(place: str, messages: Any) -> list[dict[str, str]]:
    """Role and content of messages that end with the assistant, or a DataError."""
    well_formed = isinstance(messages, list) and all(
        isinstance(message, dict)
        and message.get("role") in {"system", "user", "assistant", "tool"}
        and isinstance(message.get("content"), str)
        for message in messages
    )
    if not well_formed:
        msg = (
            f"The messages in {place} are malformed; each needs a `role` (system, user, assistant, tool) and a "
            "`content` that is a string."
        )
        raise DataError(msg)
    if not messages or messages[-1]["role"] != "assistant":
        msg = f"The messages in {place} do not end with the assistant's turn, which is what is learned."
        raise DataError(msg)
    return [{"role": message["role"], "content": message["content"]} for message in messages]
