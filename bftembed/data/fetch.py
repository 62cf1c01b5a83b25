"""Data files on this machine: bring them, check them, know whether they are there."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from bftembed._html import Shown
from bftembed._paths import cache_dir
from bftembed.data._download import download, mirror_dir
from bftembed.data.manifest import get_manifest

if TYPE_CHECKING:
    from pathlib import Path

    from bftembed.data.manifest import ManifestFile

logger = logging.getLogger("bftembed")


@dataclass(frozen=True)
class FileStatus(Shown):
    """What `verify` found out about one file; `found` is its sha256, or None if it is missing.

    Examples
    --------
    >>> from bftembed.data import verify
    >>> [file] = verify("hgnc_genes")
    >>> file.name, file.status, file.found == file.expected
    ('genes', 'ok', True)
    """

    name: str
    path: Path
    status: Literal["ok", "missing", "wrong size", "wrong checksum"]
    expected: str
    found: str | None


def fetch(name: str, *, force: bool = False) -> dict[str, Path]:
    """Bring all files of a data set into the cache.

    Each is taken from ``BFTEMBED_MIRROR`` (a directory or a url) if that has it, else from its url. A file that was
    verified when it came and still has its size is not read again.

    Parameters
    ----------
    name
        Name of a manifest, as `list_manifests` gives it.
    force
        Bring the files again, even if they are there.

    Returns
    -------
    File name to path, in the manifest's order.

    Raises
    ------
    DataError
        If there is no such data set, no source gives the right file, or the cache cannot be written.

    Examples
    --------
    >>> from bftembed.data import fetch
    >>> fetch("hgnc_genes")["genes"].suffix  # from BFTEMBED_MIRROR, or the network
    '.tsv'
    """
    manifest = get_manifest(name)
    paths = {file.name: local_path(file) for file in manifest.files}
    wanted = [file for file in manifest.files if force or not _trusted(file)]
    if wanted:
        logger.info("Fetching %s (%s); licence: %s", manifest.name, manifest.title, manifest.licence)
    for file in wanted:
        download(file, paths[file.name])
        _mark(file)
    return paths


def available(name: str) -> bool:
    """Whether `fetch` needs no network: every file is cached, or is in a ``BFTEMBED_MIRROR`` that is a directory.

    Raises
    ------
    DataError
        If there is no such data set.

    Examples
    --------
    >>> from bftembed.data import available
    >>> available("hgnc_genes")
    True
    """
    return all(any(_has_size(path, file) for path in _places(file)) for file in get_manifest(name).files)


def verify(name: str) -> list[FileStatus]:
    """Read the files of a data set and compare them with its manifest, without touching the network.

    A file that is not in the cache is looked for in a ``BFTEMBED_MIRROR`` that is a directory, as `available` does.

    Raises
    ------
    DataError
        If there is no such data set.

    Examples
    --------
    >>> from bftembed.data import verify
    >>> {file.status for file in verify("hgnc_genes")}
    {'ok'}
    """
    return [_verify_file(file) for file in get_manifest(name).files]


def local_path(file: ManifestFile) -> Path:
    """Return where the file is, or would be, in the cache."""
    return cache_dir() / "data" / file.path


def _places(file: ManifestFile) -> list[Path]:
    """Where it may be on this machine: in the cache, or in a mirror that is a directory."""
    mirror = mirror_dir()
    return [local_path(file), *([mirror / file.path] if mirror else [])]


def _verify_file(file: ManifestFile) -> FileStatus:
    path = next((each for each in _places(file) if each.is_file()), None)
    if path is None:
        return FileStatus(file.name, local_path(file), "missing", file.sha256, None)
    import pooch

    found = pooch.file_hash(str(path))
    if found == file.sha256:
        return FileStatus(file.name, path, "ok", file.sha256, found)
    size = path.stat().st_size
    return FileStatus(file.name, path, "wrong size" if size != file.bytes else "wrong checksum", file.sha256, found)


def _marker(file: ManifestFile) -> Path:
    path = local_path(file)
    return path.with_name(f".{path.name}.sha256")


def _trusted(file: ManifestFile) -> bool:
    """Trust a file of the right size whose marker names the sha256 wanted now; read and compare any other."""
    if not _has_size(local_path(file), file):
        return False
    marker = _marker(file)
    if marker.is_file() and marker.read_text(encoding="ascii", errors="replace") == file.sha256:
        return True
    if _verify_file(file).status != "ok":
        return False
    _mark(file)
    return True


def _mark(file: ManifestFile) -> None:
    try:
        _marker(file).write_text(file.sha256, encoding="ascii")
    except OSError as error:  # the file is good; without a marker it is only read again next time
        logger.debug("No marker beside %s: %s", local_path(file), error)


def _has_size(path: Path, file: ManifestFile) -> bool:
    return path.is_file() and path.stat().st_size == file.bytes
