"""Files of gene vectors made by others: tables, npz, word2vec text and pickled dictionaries, one gene a row."""

from __future__ import annotations

import csv
import gzip
import re
from collections import Counter
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple, NoReturn

import numpy as np

from bftembed.data import read_pickle
from bftembed.errors import BftembedError, DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

_MISSING = {"", "na", "n/a", "nan", "null", "none"}
# What dimensions are called; a file whose rows are called so, in order, has its genes in columns or nowhere.
_DIMENSION = re.compile(r"(?:dim|dimension|emb|embedding|pc|component|feature|latent|v|x)?[ _.-]?(\d+)", re.IGNORECASE)


class Vectors(NamedTuple):
    """Names of n genes as the source gives them, without surrounding blanks, all different, and their vectors.

    ``matrix`` is (n, d) float32; a row is finite, or NaN as a whole for a gene without a vector.
    """

    names: list[str]
    matrix: NDArray[np.float32]


class _Rows(NamedTuple):
    """What a reader found, not yet checked; ``unit`` and ``places`` say where each row stands in the file."""

    names: Sequence[object]
    matrix: NDArray[np.float32]
    unit: str
    places: Sequence[int]
    columns: Sequence[str] = ()


def read_vectors(path: Path) -> Vectors:
    """Read a file of gene vectors, in the way that its suffix names.

    ``.csv``, ``.tsv``, also ``.gz``
        A header line, then names in the first column and numbers in all others.
    ``.parquet``
        The same; names may be the index that pandas stored instead.
    ``.npz``
        Arrays ``names`` (n,) and ``matrix``, ``embeddings`` or ``X`` (n, d), without Python objects.
    ``.txt``, ``.vec``, ``.w2v``, also ``.gz``
        word2vec text: a name and its numbers a line, between blanks, or a tab after the name as ``generateMatrix.py``
        of jingcheng-du/Gene2vec writes it; two whole numbers in the first line are n and d.
    ``.pickle``, ``.pkl``
        A dict of name to list or array, as GenePT has it; nothing else is unpickled.

    One gene a row: a file whose rows are called 0, 1, 2 ... or dim_0, dim_1 ... is refused and never transposed. The
    names ``NA`` and ``nan`` are names. An empty number, ``NA`` or ``NaN`` is missing, and a row must be complete or
    missing as a whole.

    Raises
    ------
    DataError
        If the file is not there, of an unknown kind, damaged, or its rows are not as above.
    """
    suffix = _suffix(path)
    try:
        _refuse_impostor(path)
        rows = _READERS[suffix](path)
    except BftembedError:
        raise
    except Exception as error:  # a damaged file makes the libraries raise anything
        advice = "Save it as UTF-8" if isinstance(error, UnicodeDecodeError) else "Download or write it again"
        msg = f"{path} cannot be read as {suffix}: {type(error).__name__}: {str(error)[:300].rstrip('.')}. {advice}."
        raise DataError(msg) from error
    return _checked(path, rows)


def impostor(head: bytes) -> str | None:
    """What a file really is whose first bytes are a web page or a git-lfs pointer, and what to do; otherwise None."""
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype html", b"<html", b"<?xml")):
        return "is a web page, not the file it is named after. Download the file itself (the `raw` link)."
    if start.startswith(b"version https://git-lfs"):
        return "is a pointer of git-lfs, not the file. Run `git lfs pull` where it was cloned, or download the file."
    return None


def _refuse(msg: str) -> NoReturn:
    raise DataError(msg)


def _suffix(path: Path) -> str:
    if path.is_dir():
        _refuse(f"{path} is a directory, not a file of vectors. Name the file in it.")
    if not path.exists():
        _refuse(f"There is no file {path}. Check the path; relative ones start from {Path.cwd()}.")
    suffix = "".join(path.suffixes[-2:]).lower() if path.suffix.lower() == ".gz" else path.suffix.lower()
    if suffix not in _READERS:
        _refuse(f"{path} has the suffix {suffix!r}; read are {', '.join(_READERS)}. Rename or convert the file.")
    if path.stat().st_size == 0:
        _refuse(f"{path} is empty. Download or write it again.")
    return suffix


def _refuse_impostor(path: Path) -> None:
    with path.open("rb") as file:
        head = file.read(512)
    if head.startswith(b"\x1f\x8b"):
        if path.suffix.lower() != ".gz":
            _refuse(f"{path} is compressed with gzip. Decompress it, or rename a text file to {path.name}.gz.")
        with gzip.open(path) as unzipped:
            head = unzipped.read(512)
    if what := impostor(head):
        _refuse(f"{path} {what}")


def _opened(path: Path) -> IO[str]:
    if path.suffix.lower() == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def _read_table(path: Path, *, delimiter: str) -> _Rows:
    with _opened(path) as file:
        reader = csv.reader(file, delimiter=delimiter, strict=True)
        try:
            header = next((row for row in reader if row), [])
            numbers = [_number(cell) for cell in header[1:]]
            if numbers and None not in numbers and not _is_count(numbers):
                _refuse(f"{path} has no header but {','.join(header)[:80]!r}. Put a line of column names first.")
            lines = [(reader.line_num, row[0], _numbers(path, reader.line_num, row, header)) for row in reader if row]
        except csv.Error as error:
            _refuse(f"Line {reader.line_num} of {path} cannot be cut into fields: {error}. Write the file again.")
    rows = _gathered(path, lines)
    width = rows.matrix.shape[1]
    if lines and len(header) - width not in (0, 1):  # R writes a header without a field for the names
        found = f"{len(header)} fields in its header ({','.join(header)[:60]!r}) and {width + 1} in line {lines[0][0]}"
        _refuse(f"{path} has {found}. Write a header of as many fields, with {delimiter!r} between them.")
    return rows._replace(columns=header[len(header) - width :])


def _read_word2vec(path: Path) -> _Rows:
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
        _refuse(f"{path} {found}. It may be cut short: download or write it again.")
    return rows


def _numbers(path: Path, line: int, row: Sequence[str], header: Sequence[str] = ()) -> NDArray[np.float32]:
    """Numbers of a line whose first field is the name."""
    values = [_number(cell) for cell in row[1:]]
    if None in values:
        j = values.index(None) + 1
        column = f"{j + 1} ({header[j]!r})" if len(header) == len(row) else f"{j + 1}"
        _refuse(
            f"Line {line} of {path} ({row[0][:40]!r}) has {row[j][:40]!r} in column {column}, which is no number. Keep "
            "one column of names, the first, and numbers with a decimal point in all others."
        )
    return _float32(values)


def _number(cell: str) -> float | None:
    try:
        return float(cell.replace("_", "x"))  # 1_000 is a number in Python only
    except ValueError:
        return np.nan if cell.strip().lower() in _MISSING else None


def _is_count(numbers: Sequence[float | None]) -> bool:
    return numbers in (list(range(len(numbers))), list(range(1, len(numbers) + 1)))


def _float32(values: Any) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):  # too large becomes infinite, and is refused as such
        return np.asarray(values).astype(np.float32)


def _gathered(path: Path, lines: Sequence[tuple[int, str, NDArray[np.float32]]]) -> _Rows:
    for line, name, vector in lines:
        size = lines[0][2].size
        if not size or vector.size != size:
            _refuse(
                f"Line {line} of {path} ({name[:40]!r}) has {vector.size} numbers, line {lines[0][0]} has {size}. All "
                "need as many, between commas in .csv, tabs in .tsv, blanks in word2vec text. Write the file again."
            )
    vectors = np.array([vector for _, _, vector in lines], dtype=np.float32, ndmin=2)
    return _Rows([name for _, name, _ in lines], vectors, "line", [line for line, _, _ in lines])


def _read_parquet(path: Path) -> _Rows:
    import pandas as pd

    frame = pd.read_parquet(path)
    names: list[object] = frame.index.tolist()
    if names == list(range(len(frame))) and frame.shape[1]:  # no index but a count of the rows
        names, frame = frame.iloc[:, 0].tolist(), frame.iloc[:, 1:]
    for column, values in frame.items():
        if not pd.api.types.is_numeric_dtype(values.dtype) or values.dtype.kind in "bc":
            _refuse(
                f"Column {column!r} of {path} is {values.dtype}, with {values.head(1).tolist()!r:.60} in row 1. Keep "
                "one column of names, the first or the index, and real numbers in all others."
            )
    matrix = _float32(frame.to_numpy(dtype=np.float64, na_value=np.nan))
    return _Rows(names, matrix, "row", range(1, len(frame) + 1), list(map(str, frame.columns)))


def _read_npz(path: Path) -> _Rows:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            arrays = {key: stored[key] for key in stored.files}
    except ValueError as error:
        _refuse(f"{path} is not read: {error}. Save it with np.savez, the names as np.array(names, dtype=str).")
    found = [key for key in ("matrix", "embeddings", "X") if key in arrays]
    if "names" not in arrays or len(found) != 1:
        _refuse(f"{path} holds {', '.join(arrays) or 'nothing'}. Save `names` and one of `matrix`, `embeddings`, `X`.")
    names, matrix = arrays["names"], arrays[found[0]]
    if names.ndim != 1 or matrix.ndim != 2 or len(names) != len(matrix) or matrix.dtype.kind not in "fiu":
        _refuse(
            f"{path} has `names` of shape {names.shape} and `{found[0]}` of shape {matrix.shape} and type "
            f"{matrix.dtype}. Needed are n names and n rows of real numbers, one gene a row."
        )
    return _Rows(names.tolist(), _float32(matrix), "row", range(1, len(names) + 1))


def _read_dictionary(path: Path) -> _Rows:
    content = read_pickle(path)
    if not isinstance(content, dict):
        _refuse(f"{path} holds a {type(content).__name__}, not a dict of name to vector. Save tables as .parquet.")
    vectors: list[NDArray[np.float32]] = []
    for name, value in content.items():
        vector = np.array(None)
        with suppress(ValueError):  # lists of different lengths in a list
            vector = np.asarray(value)
        size = vectors[0].size if vectors else vector.size
        if vector.ndim != 1 or vector.dtype.kind not in "fiu" or vector.size != size:
            _refuse(
                f"{name!r} of {path} is {value!r:.60} (of shape {vector.shape}). All values must be lists or arrays "
                f"of real numbers and of one length, that of the first: {size}."
            )
        vectors.append(_float32(vector))
    return _Rows(list(content), np.array(vectors, ndmin=2), "entry", range(1, len(vectors) + 1))


_READERS: dict[str, Callable[[Path], _Rows]] = {
    **dict.fromkeys((".csv", ".csv.gz"), partial(_read_table, delimiter=",")),
    **dict.fromkeys((".tsv", ".tsv.gz"), partial(_read_table, delimiter="\t")),
    **dict.fromkeys((".txt", ".vec", ".w2v", ".txt.gz", ".vec.gz", ".w2v.gz"), _read_word2vec),
    **dict.fromkeys((".pickle", ".pkl"), _read_dictionary),
    ".parquet": _read_parquet,
    ".npz": _read_npz,
}


def _checked(path: Path, rows: _Rows) -> Vectors:
    missing = np.isnan(rows.matrix)
    if missing.all():
        _refuse(f"{path} holds no vectors, in {len(rows.names)} rows. Download or write it again.")
    names = _checked_names(path, rows)
    partly = missing & ~missing.all(axis=1, keepdims=True)
    for what, where in ("missing", partly), ("infinite, or too large for float32", np.isinf(rows.matrix)):
        for i, j in np.argwhere(where)[:1]:
            at = f"{rows.unit} {rows.places[i]} ({names[i]!r}), number {rows.columns[j] if rows.columns else j + 1}"
            advice = "Complete them, or leave all numbers of a gene without a vector empty."
            _refuse(f"In {path}, {at}, is {what}; so are {where.sum() - 1} others. {advice}")
    return Vectors(names, rows.matrix)


def _checked_names(path: Path, rows: _Rows) -> list[str]:
    names = [str(name).strip() if isinstance(name, str | int) else "" for name in rows.names]
    if "" in names:
        i = names.index("")
        _refuse(f"In {path}, {rows.unit} {rows.places[i]} has the name {rows.names[i]!r}. Put a gene's name there.")
    repeated = [name for name, n in Counter(names).items() if n > 1]
    if repeated:
        shown = ", ".join(map(repr, repeated[:5])) + " ..." * (len(repeated) > 5)
        _refuse(f"{len(repeated)} names stand in more than one row of {path}: {shown}. Keep one row of each.")
    numbers = [int(match[1]) for match in map(_DIMENSION.fullmatch, names) if match]
    if len(numbers) == len(names) > 1 and _is_count(numbers):
        advice = "Put names first; if the genes are in columns, transpose the file: pd.read_csv(path, index_col=0).T"
        _refuse(f"The rows of {path} are called {names[0]!r}, {names[1]!r} ..., which name no genes. {advice}")
    return names
