"""Read the files of a data set, each in the way that its manifest names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bftembed.data import _matrices, _pickles, _rdata, _tables, _texts
from bftembed.data._parsed import through_parquet
from bftembed.data.fetch import fetch
from bftembed.data.manifest import get_manifest
from bftembed.errors import BftembedError, DataError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bftembed.data.manifest import Manifest, ManifestFile

READERS: dict[str, Callable[..., Any]] = {
    "csv": _tables.read_csv,
    "gmt": _texts.read_gmt,
    "h5ad": _matrices.read_h5ad,
    "json": _texts.read_json,
    "jsonl": _texts.read_jsonl,
    "lines": _texts.read_lines,
    "mtx": _matrices.read_mtx,
    "npz": _matrices.read_npz,
    "pickle": _pickles.read_pickle,
    "rda": _rdata.read_rda,
    "rds": _rdata.read_rds,
    "tsv": _tables.read_tsv,
    "xlsx": _tables.read_xlsx,
}
_SLOW = {"rda", "rds"}


def load(name: str, file: str | None = None, **options: Any) -> Any:
    """Fetch a data set and read it.

    Parameters
    ----------
    name
        Name of a manifest, as `list_manifests` gives it.
    file
        Name of the one file to read, for data sets of several.
    **options
        Added to the reader's options in the manifest, or in place of them.

    Returns
    -------
    What the reader gives: a data frame, an AnnData (cells x genes), a dict, a list. For a data set of several files, if
    `file` is not given, a dict of file name to that.

    Raises
    ------
    DataError
        If there is no such data set or file, it cannot be fetched, or it cannot be read.
    MissingExtraError
        If the reader needs a package that is not installed.

    Examples
    --------
    >>> from bftembed.data import load
    >>> len(load("hgnc_genes")) > 40_000
    True
    """
    manifest = get_manifest(name)
    files = manifest.files if file is None else [manifest.file(file)]
    paths = fetch(name)
    contents = {each.name: _read(manifest, each, paths[each.name], options) for each in files}
    return contents if file is None and len(contents) > 1 else contents[files[0].name]


def _read(manifest: Manifest, file: ManifestFile, path: Path, options: dict[str, Any]) -> object:
    reader = READERS.get(file.reader)
    if reader is None:
        msg = f"The manifest of {manifest.name!r} names the reader {file.reader!r}; there are {', '.join(READERS)}."
        raise DataError(msg)
    combined = {**file.options, **options}
    try:
        if file.reader in _SLOW:
            return through_parquet(file, combined, lambda: reader(path, **combined))
        return reader(path, **combined)
    except BftembedError:
        raise
    except Exception as error:  # a damaged file makes the libraries raise anything
        how = f"{file.reader} with the options {combined}" if combined else file.reader
        msg = (
            f"{path} could not be read as {how}: {type(error).__name__}: {str(error)[:300]}\nIf the options are right, "
            f"the file may be damaged: `bftembed data verify {manifest.name}` tells, and `bftembed data fetch --force "
            f"{manifest.name}` brings it again."
        )
        raise DataError(msg) from error
