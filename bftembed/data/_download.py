"""Bring one file from a mirror or its url to its final name: whole and verified, or not at all."""

from __future__ import annotations

import errno
import logging
import os
import re
import shutil
import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING
from urllib.parse import quote, unquote, urlsplit

from bftembed._files import remove_stale, replacing
from bftembed.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bftembed.data.manifest import ManifestFile

logger = logging.getLogger("bftembed")

TIMEOUT_S = (10.0, 60.0)  # to connect, and between two pieces of the answer
_SLACK = 1 << 20  # what a server may send beyond the expected size before it is cut off
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class _SourceError(Exception):
    """One source did not give the file; the text says why."""


class _Bounded:
    """A file that refuses to grow far beyond what is expected, so that no server can fill the disk."""

    def __init__(self, file: IO[bytes], limit: int) -> None:
        self._file, self._left = file, limit

    def write(self, chunk: bytes) -> int:
        self._left -= len(chunk)
        if self._left < 0:
            msg = "it sent much more than the file should hold"
            raise _SourceError(msg)
        return self._file.write(chunk)

    def flush(self) -> None:
        self._file.flush()


def mirror_dir() -> Path | None:
    """Return the directory that ``BFTEMBED_MIRROR`` names; None if it is unset or a url."""
    mirror = os.environ.get("BFTEMBED_MIRROR", "")
    if not mirror or re.match(r"(https?|file)://", mirror):
        return None
    return Path(mirror).expanduser()


def sources(file: ManifestFile) -> Iterator[str | Path]:
    """Yield where the file may be had, in the order of trying: the mirror, if there is one, then its url."""
    mirror = os.environ.get("BFTEMBED_MIRROR", "")
    if directory := mirror_dir():
        yield directory / file.path
    elif mirror:
        yield f"{mirror.rstrip('/')}/{quote(file.path)}"
    yield file.url


def download(file: ManifestFile, target: Path) -> None:
    """Put the verified `file` at `target`, atomically.

    Raises
    ------
    DataError
        If no source gives a file of the right size and checksum, or the cache cannot be written. Nothing is then
        left under the final name that was not there before.
    """
    failures = []
    try:
        remove_stale(target)
        for source in sources(file):
            try:
                _bring(source, target, sha256=file.sha256, n_bytes=file.bytes)
            except _SourceError as failure:
                where = without_secrets(str(source))
                failures.append(f"  - {where}: {failure}")
                logger.warning("%s could not be had from %s: %s", file.path, where, failure)
            else:
                return
    except OSError as error:
        raise DataError(_explain_cache(error, target)) from error
    msg = (
        f"The file {file.path} could not be had:\n" + "\n".join(failures) + "\nTry again later, or point "
        "BFTEMBED_MIRROR at a directory or url that holds it under that path. If the file has changed at its source, "
        "its manifest has to be brought up to date."
    )
    raise DataError(msg)


def download_url(url: str, target: Path, *, sha256: str | None = None, n_bytes: int | None = None) -> None:
    """Put what is at a url at `target`, atomically and verified as far as it is known what it has to be.

    Parameters
    ----------
    url
        ``https://``, ``http://`` or ``file://``.
    target
        File to write.
    sha256, n_bytes
        What it has to be; without `n_bytes` no more than 1 MiB is taken.

    Raises
    ------
    DataError
        If it cannot be had, is another file, or cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from bftembed.data import download_url
    >>> with tempfile.TemporaryDirectory() as home:
    ...     there = Path(home, "a.txt")
    ...     _ = there.write_text("whole")
    ...     download_url(there.as_uri(), Path(home, "b.txt"))
    ...     Path(home, "b.txt").read_text()
    'whole'
    """
    try:
        remove_stale(target)
        _bring(url, target, sha256=sha256, n_bytes=n_bytes)
    except _SourceError as failure:
        msg = f"`{without_secrets(url)}` could not be had: {failure}. Check the address, or try again later."
        raise DataError(msg) from failure
    except OSError as error:
        raise DataError(_explain_cache(error, target)) from error


def without_secrets(url: str) -> str:
    """A url as it may be shown: without a password, and without what a server is asked, which may be a key.

    Examples
    --------
    >>> from bftembed.data import without_secrets
    >>> without_secrets("https://me:secret@example.org/a?key=secret")
    'https://example.org/a'
    """
    scheme, found, rest = url.partition("://")
    place, slash, path = rest.partition("/")
    return f"{scheme}://{place.rpartition('@')[2]}{slash}{re.split('[?#]', path)[0]}" if found else url


def _bring(source: str | Path, target: Path, *, sha256: str | None, n_bytes: int | None) -> None:
    with replacing(target) as part:
        with part.open("wb") as out:
            _copy(source, out, n_bytes or 0)
            out.flush()
            os.fsync(out.fileno())
        _check(part, sha256=sha256, n_bytes=n_bytes)


def _copy(source: str | Path, out: IO[bytes], expected: int) -> None:
    if isinstance(source, str) and source.startswith("file://"):
        source = Path(unquote(urlsplit(source).path))
    if isinstance(source, Path):
        try:
            inp = source.open("rb")
        except OSError as error:
            raise _SourceError(error.strerror or str(error)) from error
        with inp:
            shutil.copyfileobj(inp, out)
        return
    import pooch
    import requests

    responses: list[requests.Response] = []
    get = pooch.HTTPDownloader(
        progressbar=sys.stderr.isatty(),
        chunk_size=1 << 16,
        timeout=TIMEOUT_S,
        headers={"User-Agent": "bftembed", "Accept-Encoding": "identity"},
        hooks={"response": lambda response, **_: responses.append(response)},
    )
    try:
        get(source, _Bounded(out, expected + _SLACK), None)
    except requests.RequestException as error:
        raise _SourceError(_explain_network(error)) from error
    finally:
        for response in responses:  # pooch leaves the connection open when something goes wrong
            response.close()


def _check(part: Path, *, sha256: str | None, n_bytes: int | None) -> None:
    import pooch

    found = pooch.file_hash(str(part))
    if found == sha256:
        return
    size = part.stat().st_size
    if page := _web_page(part):
        msg = f"a web page ({page}) came in place of the data; a login, a proxy or a changed address may be the cause"
    elif n_bytes is not None and size != n_bytes:
        msg = f"it gave {size} bytes, but {n_bytes} are expected; it is cut off or another version"
    elif sha256 is not None:
        msg = f"its checksum is wrong: expected sha256 {sha256}, found {found}"
    else:
        return
    raise _SourceError(msg)


def _web_page(part: Path) -> str | None:
    with part.open("rb") as file:
        head = file.read(4096).decode("utf-8", errors="replace").lstrip("\ufeff \t\r\n")
    if not re.match(r"<(!doctype\s+html|html|head)\b", head, re.IGNORECASE):
        return None
    title = re.search(r"<title[^>]*>(.*?)</title>", head, re.IGNORECASE | re.DOTALL)
    return f"titled {' '.join(title[1].split())!r}" if title else "without a title"


def _explain_network(error: OSError) -> str:
    import requests

    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"the server answered {error.response.status_code} {error.response.reason}"
    if isinstance(error, requests.Timeout):
        return f"the server did not answer in time ({TIMEOUT_S[0]:g} s to connect, {TIMEOUT_S[1]:g} s to go on)"
    if isinstance(error, (requests.exceptions.ChunkedEncodingError, requests.exceptions.ContentDecodingError)):
        return "the connection broke before the file was complete"
    return f"no connection ({str(error)[:200]})"


def _explain_cache(error: OSError, target: Path) -> str:
    remedy = "set BFTEMBED_CACHE to a directory that can be written and has free space."
    if error.errno in _FULL:
        return f"The disk is full: {target} could not be written. Free some space, or {remedy}"
    return f"The cache cannot be written ({error.strerror or error}): {target}. Make it writable, or {remedy}"
