"""Vectors in text: tables with a header, and word2vec."""

from __future__ import annotations

import csv
import gzip
from typing import IO, TYPE_CHECKING

import numpy as np

from bftembed.vectors.rows import Rows, float32, is_count, refuse

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

_MISSING = {"", "na", "n/a", "nan", "null", "none"}


def _opened(path: Path) -> IO[str]:
    if path.suffix.lower() == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def read_table(path: Path, *, delimiter: str) -> Rows:
    """A header line, then a name and numbers a line."""
    with _opened(path) as file:
        reader = csv.reader(file, delimiter=delimiter, strict=True)
        try:
            header = next((row for row in reader if row), [])
            numbers = [_number(cell) for cell in header[1:]]
            if numbers and None not in numbers and not is_count(numbers):
                refuse(f"{path} has no header but {','.join(header)[:80]!r}. Put a line of column names first.")
            lines = [(reader.line_num, row[0], _numbers(path, reader.line_num, row, header)) for row in reader if row]
        except csv.Error as error:
            refuse(f"Line {reader.line_num} of {path} cannot be cut into fields: {error}. Write the file again.")
    rows = _gathered(path, lines)
    width = rows.matrix.shape[1]
    if lines and len(header) - width not in (0, 1):  # R writes a header without a field for the names
        found = f"{len(header)} fields in its header ({','.join(header)[:60]!r}) and {width + 1} in line {lines[0][0]}"
        refuse(f"{path} has {found}. Write a header of as many fields, with {delimiter!r} between them.")
    return rows._replace(columns=header[len(header) - width :])


def read_word2vec(path: Path) -> Rows:
    """A name and its numbers a line; the first line may say how many of both."""
    with _opened(path) as file:
        texts = [(line, text.strip()) for line, text in enumerate(file, start=1) if text.strip()]
    first = texts[0][1].split() if texts else []
    announced = [int(field) for field in first] if len(first) == 2 and all(map(str.isdecimal, first)) else []
    lines = []
    for line, text in texts[1:] if announced else texts:
        name, _, rest = text.partition("\t" if "\t" in text else " ")
        lines.append((line, name, _numbers(path, line, [name, *rest.split()])))
    rows = _gathered(path, lines)
    if announced and announced != [len(lines), rows.matrix.shape[1]]:
        found = f"announces {announced[0]} vectors of {announced[1]} and holds {len(lines)} of {rows.matrix.shape[1]}"
        refuse(f"{path} {found}. It may be cut short: download or write it again.")
    return rows


def _numbers(path: Path, line: int, row: Sequence[str], header: Sequence[str] = ()) -> NDArray[np.float32]:
    """Numbers of a line whose first field is the name."""
    values = [_number(cell) for cell in row[1:]]
    if None in values:
        j = values.index(None) + 1
        column = f"{j + 1} ({header[j]!r})" if len(header) == len(row) else f"{j + 1}"
        refuse(
            f"Line {line} of {path} ({row[0][:40]!r}) has {row[j][:40]!r} in column {column}, which is no number. Keep "
            "one column of names, the first, and numbers with a decimal point in all others."
        )
    return float32(values)


def _number(cell: str) -> float | None:
    try:
        return float(cell.replace("_", "x"))  # 1_000 is a number in Python only
    except ValueError:
        return np.nan if cell.strip().lower() in _MISSING else None


def _gathered(path: Path, lines: Sequence[tuple[int, str, NDArray[np.float32]]]) -> Rows:
    bare = bool(lines) and not any(vector.size for _, _, vector in lines)
    if bare and not all(set(",;\t") & set(name) for _, name, _ in lines):
        refuse(f"{path} is a list of names, without vectors: `bftembed embed {path} -o vectors.csv` makes them.")
    for line, name, vector in lines:
        size = lines[0][2].size
        if not size or vector.size != size:
            refuse(
                f"Line {line} of {path} ({name[:40]!r}) has {vector.size} numbers, line {lines[0][0]} has {size}. All "
                "need as many, between commas in .csv, tabs in .tsv, blanks in word2vec text. Write the file again."
            )
    vectors = np.array([vector for _, _, vector in lines], dtype=np.float32, ndmin=2)
    return Rows([name for _, name, _ in lines], vectors, "line", [line for line, _, _ in lines])
