"""Types of cells by name, with their definitions."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import TYPE_CHECKING

from bftembed.errors import InputError

if TYPE_CHECKING:
    import os

_NAMES = ("cell type", "celltype", "name", "type", "label")
_DEFINITIONS = ("description", "definition", "def", "text")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')


def read_cell_types(path: str | os.PathLike[str]) -> dict[str, str]:
    r"""Read types of cells and their definitions, ``""`` where there is none.

    Parameters
    ----------
    path
        An ontology in the OBO format, such as the Cell Ontology (``.obo``): ``name`` and ``def`` of each term that is
        not obsolete. A table with commas (``.csv``), names in the first column and definitions in the second. Or a
        text file with a type a line: ``NAME``, or ``NAME<tab>DEFINITION``. Empty lines and those that begin with ``#``
        are passed over; a first line such as ``cell_type,description`` says which columns these are.

    Returns
    -------
    Definitions by name, in the order of the file.

    Raises
    ------
    InputError
        If there is no such file, it names no type, or one twice.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     file = Path(directory) / "types.tsv"
    ...     _ = file.write_text("B cell\tA lymphocyte with a B cell receptor.\nneuron\n")
    ...     read_cell_types(file)
    {'B cell': 'A lymphocyte with a B cell receptor.', 'neuron': ''}
    """
    source = Path(path).expanduser()
    try:
        text = source.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text in UTF-8"
        msg = f"The types of cells in `{source}` cannot be read: {reason}."
        raise InputError(msg) from error
    found = _of_obo(text) if source.suffix == ".obo" else _of_table(text, "," if source.suffix == ".csv" else "\t")
    if not found:
        what = "no [Term] with a name" if source.suffix == ".obo" else "no line with a name"
        msg = f"`{source}` has {what}: write a type of cell on each line, or give an ontology that ends in .obo."
        raise InputError(msg)
    types = dict(found)
    if len(types) < len(found):
        names = [name for name, _ in found]
        twice = next(name for name in names if names.count(name) > 1)
        msg = f"`{source}` names {twice!r} twice: keep one of them."
        raise InputError(msg)
    return types


def _of_table(text: str, separator: str) -> list[tuple[str, str]]:
    """Names and definitions of a table, whose header may say where they are."""
    lines = [line for line in text.splitlines(keepends=True) if line.strip() and not line.startswith("#")]
    if separator == ",":  # a quoted definition may go over several lines
        rows = list(csv.reader(lines, skipinitialspace=True))
    else:
        rows = [line.split(separator) for line in lines]
    rows = [[cell.strip() for cell in row] for row in rows]
    header = [re.sub(r"[\s_.-]+", " ", cell.casefold()) for cell in rows[0]] if rows else []
    name = next((header.index(word) for word in _NAMES if word in header), None)
    definition = next((header.index(word) for word in _DEFINITIONS if word in header), None)
    if name is not None and (definition is not None or len(header) == 1):
        rows = rows[1:]
    else:
        name, definition = 0, 1
    found = []
    for row in rows:
        padded = dict(enumerate(row))
        found.append((padded.get(name, ""), padded.get(-1 if definition is None else definition, "")))
    return [(one, about) for one, about in found if one]


def _of_obo(text: str) -> list[tuple[str, str]]:
    """Terms of the OBO format 1.4: stanzas of ``tag: value`` lines."""
    found = []
    for stanza in re.split(r"^\[", text, flags=re.MULTILINE)[1:]:
        kind, _, body = stanza.partition("]")
        tags = [line.partition(": ") for line in body.splitlines()]
        values = {tag: value.strip() for tag, _, value in reversed(tags)}
        if kind != "Term" or "name" not in values or values.get("is_obsolete", "").startswith("true"):
            continue
        quoted = _QUOTED.match(values.get("def", ""))
        definition = re.sub(r"\\(.)", lambda match: {"n": " "}.get(match[1], match[1]), quoted[1]) if quoted else ""
        found.append((values["name"], definition))
    return found
