"""Names of genes, drugs, ... from a file: names are data, whatever characters they hold."""

from __future__ import annotations

import csv
import re
from typing import TYPE_CHECKING

from bftembed.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

TABLES = {".csv": ",", ".tsv": "\t"}
"""Separator by suffix; any other file holds one name a line."""
_ENTITY = "gene_set|gene|protein|drug|compound|molecule|chemical|perturbation|pert|treatment|condition|target|cell"
_LABEL = "name|iname|symbol|id|label|type|line"
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")
_QUOTED = re.compile(r'"((?:[^"]|""|\\")*)"')
_HEADER = re.compile(
    rf"(hgnc_|ensembl_|official_|approved_|common_)?(({_ENTITY})s?(_?({_LABEL})s?)?|({_LABEL})s?)", re.IGNORECASE
)


def is_list_of_names(path: Path) -> bool:
    """Whether a file holds names, and not an AnnData."""
    return path.suffix.lower() in {".txt", *TABLES}


def read_names(path: Path) -> list[str]:
    """Different names of a file, in its order.

    A text file holds one name a line, whole: commas, quotes, blanks and signs belong to the name. A CSV or TSV file (a
    text file with tabs is one) is read as such: of its columns the one that is called gene, symbol, drug, compound name
    or the like, rather one that holds other than numbers, else the first that does; a first row that only names columns
    is left out. Lines that begin with ``#`` are comments.

    Raises
    ------
    InputError
        If it is no UTF-8 text, its rows have different numbers of fields or there is but one, or it holds no names.

    Examples
    --------
    >>> from pathlib import Path
    >>> Path("drugs.txt").write_text("2,4-dinitrophenol")  # doctest: +SKIP
    >>> read_names(Path("drugs.txt"))  # doctest: +SKIP
    ['2,4-dinitrophenol']
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        msg = f"`{path}` cannot be read as a list of names: it is no UTF-8 text ({error})."
        raise InputError(msg) from error
    lines = [line for line in text.split("\n") if line.strip() and not line.lstrip().startswith("#")]
    table = TABLES.get(path.suffix.lower(), "\t" if "\t" in text else None)
    names = _lines(lines) if table is None else _column(_rows(path, lines, table))
    if not (found := list(dict.fromkeys(name for name in names if name))):
        msg = f"`{path}` holds no names."
        raise InputError(msg)
    return found


def _lines(lines: list[str]) -> list[str]:
    """The lines without the quotes that R puts around each, and without a first one that names the column."""
    names = [line.strip() for line in lines]
    quoted = [_QUOTED.fullmatch(name) for name in names]
    if all(quoted):
        names = [match[1].replace('""', '"').replace('\\"', '"') for match in quoted if match]
    return names[1:] if names and _is_header(names[0]) else names


def _rows(path: Path, lines: list[str], separator: str) -> list[list[str]]:
    """Fields of each row, as many in all."""
    first = [len(next(csv.reader(lines, delimiter=each), ())) for each in ",;"]
    if separator == "," and first[0] == 1 < first[1]:
        separator = ";"  # spreadsheets write it where the comma is the decimal point
    rows = _parsed(path, lines, separator)
    widths = [len(row) for row in rows]
    if separator == "\t" and {width - widths[0] for width in widths[1:]} == {1}:
        rows[0].insert(0, "")  # R has no field above the names of rows
    elif len(set(widths)) > 1:
        odd = next(i for i, width in enumerate(widths) if width != widths[0])
        msg = (
            f"`{path}` is no table: its first row has {widths[0]} fields, but `{lines[odd].strip()[:80]}` has "
            f"{widths[odd]}. Put names that hold a separator into double quotes, or use a .txt file, one name a line."
        )
        raise InputError(msg)
    fields = [field for field in rows[0] if field and not _NUMBER.fullmatch(field)] if len(rows) == 1 else []
    if len(fields) > 1 and not any(map(_is_header, fields)):
        msg = f"`{path}` has one row of {widths[0]} fields: write one name a line."
        raise InputError(msg)
    return rows


def _parsed(path: Path, lines: list[str], separator: str) -> list[list[str]]:
    try:
        rows = csv.reader((f"{line}\n" for line in lines), delimiter=separator, strict=True)
        return [[field.strip() for field in row] for row in rows]
    except csv.Error as error:
        if separator == "\t":  # its fields need no quotes, and many programs write none: `"` is part of a name
            return [[field.strip() for field in line.split(separator)] for line in lines]
        msg = f"`{path}` is no table ({error}). Use a .txt file, one name a line."
        raise InputError(msg) from error


def _column(rows: list[list[str]]) -> list[str]:
    columns = list(zip(*rows, strict=True))
    named = [column for column in columns if _is_header(column[0])]
    text = [column for column in columns if not _all_numbers(column[1:])]
    headed = named or any(not column[0] or _heads_numbers(column) for column in columns)
    named_text = [column for column in named if column in text]  # a `compound_id` may be a number beside the name
    return list(next(iter(named_text or named or text or columns), ())[bool(headed) :])


def _is_header(field: str) -> bool:
    return _HEADER.fullmatch(re.sub(r"[\W_]+", "_", field)) is not None


def _heads_numbers(column: tuple[str, ...]) -> bool:
    """Whether the first field is text and all others are numbers."""
    return not _all_numbers(column[:1]) and _all_numbers(column[1:])


def _all_numbers(fields: tuple[str, ...]) -> bool:
    """Whether there are numbers, and nothing else but missing values."""
    known = [field for field in fields if field not in {"", "NA", "NaN", "nan"}]
    return bool(known) and all(_NUMBER.fullmatch(field) for field in known)


def is_names(source: Path | None, all_genes: str | None, kind: str) -> bool:
    """Whether a list of names is embedded, and not an AnnData.

    Raises
    ------
    InputError
        If neither or both of a file and all genes are given, or the species is another than ``human``.
    """
    if (source is None) == (all_genes is None):
        msg = "Give one of the two: a file with genes (and cells) or names, or --all-genes human."
        raise InputError(msg)
    if all_genes is not None and (all_genes != "human" or kind != "gene"):
        msg = f"--all-genes takes `human`, whose names are of the kind gene; got {all_genes!r} and the kind {kind!r}."
        raise InputError(msg)
    return source is None or kind == "gene_set" or is_list_of_names(source)
