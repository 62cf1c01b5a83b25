"""Files of vectors, made here or by others: one name a row, checked."""

from __future__ import annotations

import gzip
from collections import Counter
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bftembed._near import near_file
from bftembed.errors import BftembedError, DataError
from bftembed.vectors.array_files import read_dictionary, read_npz, read_parquet, read_safetensors
from bftembed.vectors.rows import only_count, refuse
from bftembed.vectors.text_files import read_table, read_word2vec

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from bftembed.vectors.rows import Rows


class Vectors(NamedTuple):
    """Names of n genes as the source gives them, without surrounding blanks, all different, and their vectors.

    ``matrix`` is (n, d) float32; a row is finite, or NaN as a whole for a gene without a vector.
    """

    names: list[str]
    matrix: NDArray[np.float32]


def read_file(path: Path) -> Vectors:
    r"""Read a file of gene vectors, in the way that its suffix names.

    ``.csv``, ``.tsv``, also ``.gz``
        A header line, then names in the first column and numbers in all others.
    ``.parquet``
        The same; names may be the index that pandas stored instead. Columns of text that `write_vectors` put there are
        left out.
    ``.npz``
        Arrays ``names`` (n,) and ``matrix``, ``embeddings`` or ``X`` (n, d), without Python objects.
    ``.safetensors``
        A tensor ``vectors`` (n, d) and, in the header, ``names`` as a JSON list.
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

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from bftembed.vectors import read_file
    >>> with TemporaryDirectory() as directory:
    ...     path = Path(directory) / "genes.csv"
    ...     _ = path.write_text("gene,0,1\nTP53,0.5,1\nALB,2,0\n")
    ...     read_file(path).names
    ['TP53', 'ALB']
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
    """What a file really is whose first bytes are a web page or a git-lfs pointer, and what to do; otherwise None.

    Examples
    --------
    >>> from bftembed.vectors import impostor
    >>> impostor(b"<!DOCTYPE html><html>")[:13]
    'is a web page'
    """
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype html", b"<html", b"<?xml")):
        return "is a web page, not the file it is named after. Download the file itself (the `raw` link)."
    if start.startswith(b"version https://git-lfs"):
        return "is a pointer of git-lfs, not the file. Run `git lfs pull` where it was cloned, or download the file."
    return None


def _suffix(path: Path) -> str:
    if path.suffix in {".h5ad", ".zarr"} and path.exists():
        how = f"read it with anndata.read_{path.suffix[1:]}(path); bft.write_vectors writes its vectors alone"
        refuse(f"{path} holds an AnnData, and not vectors alone: {how}.")
    if path.is_dir():
        refuse(f"{path} is a directory, not a file of vectors. Name the file in it.")
    if not path.exists():
        near = near_file(path) or f" Check the path; relative ones start from {Path.cwd()}."
        refuse(f"There is no file {path}.{near}")
    suffix = "".join(path.suffixes[-2:]).lower() if path.suffix.lower() == ".gz" else path.suffix.lower()
    if suffix not in _READERS:
        refuse(f"{path} has the suffix {suffix!r}; read are {', '.join(_READERS)}. Rename or convert the file.")
    if path.stat().st_size == 0:
        refuse(f"{path} is empty. Download or write it again.")
    return suffix


def _refuse_impostor(path: Path) -> None:
    with path.open("rb") as file:
        head = file.read(512)
    if head.startswith(b"\x1f\x8b"):
        if path.suffix.lower() != ".gz":
            refuse(f"{path} is compressed with gzip. Decompress it, or rename a text file to {path.name}.gz.")
        with gzip.open(path) as unzipped:
            head = unzipped.read(512)
    if what := impostor(head):
        refuse(f"{path} {what}")


_READERS: dict[str, Callable[[Path], Rows]] = {
    **dict.fromkeys((".csv", ".csv.gz"), partial(read_table, delimiter=",")),
    **dict.fromkeys((".tsv", ".tsv.gz"), partial(read_table, delimiter="\t")),
    **dict.fromkeys((".txt", ".vec", ".w2v", ".txt.gz", ".vec.gz", ".w2v.gz"), read_word2vec),
    **dict.fromkeys((".pickle", ".pkl"), read_dictionary),
    ".parquet": read_parquet,
    ".npz": read_npz,
    ".safetensors": read_safetensors,
}


def _checked(path: Path, rows: Rows) -> Vectors:
    missing = np.isnan(rows.matrix)
    if missing.all():
        refuse(f"{path} holds no vectors, in {len(rows.names)} rows. Download or write it again.")
    names = _checked_names(path, rows)
    partly = missing & ~missing.all(axis=1, keepdims=True)
    for what, where in ("missing", partly), ("infinite, or too large for float32", np.isinf(rows.matrix)):
        for i, j in np.argwhere(where)[:1]:
            at = f"{rows.unit} {rows.places[i]} ({names[i]!r}), number {rows.columns[j] if rows.columns else j + 1}"
            advice = "Complete them, or leave all numbers of a gene without a vector empty."
            refuse(f"In {path}, {at}, is {what}; so are {where.sum() - 1} others. {advice}")
    return Vectors(names, rows.matrix)


def _checked_names(path: Path, rows: Rows) -> list[str]:
    names = [str(name).strip() if isinstance(name, str | int) else "" for name in rows.names]
    if "" in names:
        i = names.index("")
        refuse(f"In {path}, {rows.unit} {rows.places[i]} has the name {rows.names[i]!r}. Put a gene's name there.")
    repeated = [name for name, n in Counter(names).items() if n > 1]
    if repeated:
        shown = ", ".join(map(repr, repeated[:5])) + " ..." * (len(repeated) > 5)
        refuse(f"{len(repeated)} names stand in more than one row of {path}: {shown}. Keep one row of each.")
    if only_count(names):
        advice = "Put names first; if the genes are in columns, transpose the file: pd.read_csv(path, index_col=0).T"
        refuse(f"The rows of {path} are called {names[0]!r}, {names[1]!r} ..., which name no genes. {advice}")
    return names
