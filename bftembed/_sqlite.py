"""One way to open SQLite: patient with other writers, on network file systems too, and errors that say what to do."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bftembed._files import refuse_nul
from bftembed._warn import warn
from bftembed.errors import InputError, StoreError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_ELSEWHERE = "Put it on a local disk: `store=` (`--store`) names a profile store, BFTEMBED_CACHE the cache directory."
_REMEDIES = {
    "SQLITE_NOTADB": "It is not a database of this package; move it away or choose another path.",
    "SQLITE_CORRUPT": "It is damaged; restore it from a Parquet export or move it away and start anew.",
    "SQLITE_READONLY": "It cannot be written; check the permissions of the file and of its directory, or copy it.",
    "SQLITE_CANTOPEN": "It cannot be opened; check that its directory exists and can be written.",
    "SQLITE_FULL": "The disk is full; free some space and run again. Everything committed before is kept.",
    "SQLITE_PROTOCOL": f"Its file system cannot lock files. {_ELSEWHERE}",
    "SQLITE_IOERR_LOCK": f"Its file system cannot lock files. {_ELSEWHERE}",
    "SQLITE_IOERR_RDLOCK": f"Its file system cannot lock files. {_ELSEWHERE}",
    "SQLITE_IOERR_SHM": f"Its file system cannot share memory. {_ELSEWHERE}",
    "SQLITE_IOERR": "The disk reported an error; check free space and run again. Everything committed before is kept.",
    "SQLITE_BUSY": "Another process holds it for more than a minute; wait for that one or choose another path.",
}
_PATIENCE = 60.0  # seconds
_MOST_VARIABLES = 500
_MODES = ("wal", "delete")
#: File systems of several hosts, as Linux names them: the shared memory of a write-ahead log reaches one host only.
_NETWORK = {
    *("nfs", "nfs4", "cifs", "smb3", "smbfs", "ncpfs", "afs", "coda", "lustre", "gpfs", "beegfs", "ceph", "panfs"),
    *("pvfs2", "orangefs", "gfs2", "ocfs2", "wekafs", "fuse.sshfs", "fuse.glusterfs", "fuse.ceph-fuse", "fuse.cephfs"),
    *("fuse.beegfs", "fuse.s3fs", "fuse.rclone", "fuse.juicefs", "fuse.gcsfuse", "fuse.mfs", "fuse.curvefs"),
}
_MOUNTS = Path("/proc/self/mounts")
_warned: set[int] = set()  # devices


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn an SQLite error into a `StoreError` that names the file and the remedy."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        name = getattr(error, "sqlite_errorname", None) or ""
        remedy = next((text for code, text in _REMEDIES.items() if name.startswith(code)), "")
        if str(error).startswith(("no such ", "table ")):
            remedy = "Its tables are of another version of this package; move it away or choose another path."
        msg = f"`{path}`: {error}. {remedy}".strip()
        raise StoreError(msg) from error


def connect(path: Path, schema: str, *, application: int, read_only: bool = False) -> sqlite3.Connection:
    """Open `path`, creating it with the statements of `schema` where it is not there yet.

    A local file gets a write-ahead log. On a network file system, and where the log cannot be made, the file is
    journalled by SQLite's older method, which needs no memory shared between processes; the environment variable
    ``BFTEMBED_SQLITE_JOURNAL`` (``wal`` or ``delete``) decides instead.

    Parameters
    ----------
    path
        The file.
    schema
        Statements that can be run again.
    application
        SQLite's ``application_id`` of such files; one with tables and another id is not touched.
    read_only
        Change nothing, so that files on read-only media can be read.

    Raises
    ------
    StoreError
        If the file is no SQLite database or another program's, is damaged, cannot be written, or the disk is full.
    InputError
        If ``BFTEMBED_SQLITE_JOURNAL`` is something else.
    """
    with explained(path):
        if not read_only:
            try:
                refuse_nul(path)
                path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                msg = f"`{path.parent}` cannot be made: {error}. Choose another path."
                raise StoreError(msg) from error
        connection = _read_only(path) if read_only else _journalled(path, application)
        try:
            if read_only:
                _refuse_foreign(connection, path, application)
            else:
                connection.executescript(f"BEGIN IMMEDIATE; PRAGMA application_id = {application}; {schema}; COMMIT;")
        except (sqlite3.DatabaseError, StoreError):
            connection.close()
            raise
    return connection


def _refuse_foreign(connection: sqlite3.Connection, path: Path, application: int) -> None:
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    found = connection.execute("PRAGMA application_id").fetchone()[0]
    if tables and found != application:
        msg = f"`{path}` is a database of another program or kind, and is left as it is; choose another path."
        raise StoreError(msg)


def _journalled(path: Path, application: int) -> sqlite3.Connection:
    """Open with the journal that suits the file system; without a write-ahead log where that turns out not to work."""
    asked = os.environ.get("BFTEMBED_SQLITE_JOURNAL", "").lower()
    if asked and asked not in _MODES:
        msg = f"BFTEMBED_SQLITE_JOURNAL is `wal` or `delete`, got `{asked}`."
        raise InputError(msg)
    if (asked or ("delete" if file_system(path) in _NETWORK else "wal")) == "delete":
        return _opened(path, application, write_ahead=False)
    try:
        return _opened(path, application, write_ahead=True)
    except sqlite3.OperationalError as error:
        if not error.sqlite_errorname.startswith(("SQLITE_PROTOCOL", "SQLITE_IOERR")):
            raise
        connection = _opened(path, application, write_ahead=False)
        if (device := path.parent.stat().st_dev) not in _warned:
            _warned.add(device)
            text = f"`{path}`: no write-ahead log on this file system ({error}), so it is slower. {_ELSEWHERE}"
            warn(text)
        return connection


def file_system(path: Path) -> str:
    """Name of the file system of `path` as Linux knows it, ``"cifs"`` for a share of Windows, ``""`` if unknown."""
    place = path.resolve()
    if place.drive.startswith("\\\\"):
        return "cifs"
    try:
        lines = _MOUNTS.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return ""
    mounts = [line.split(" ")[1:3] for line in lines]
    inside = [(Path(at.replace("\\040", " ")), kind) for at, kind in mounts]
    return max(
        ((len(at.parts), order, kind) for order, (at, kind) in enumerate(inside) if place.is_relative_to(at)),
        default=(0, 0, ""),
    )[2]


def _opened(path: Path, application: int, *, write_ahead: bool) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=_PATIENCE, isolation_level=None)
    try:
        if write_ahead:
            _refuse_foreign(connection, path, application)
            _patiently(connection, "PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")  # survives kill -9; a power cut may take the last commits
        else:
            # Held alone, a file with a write-ahead log of before is read without memory shared between processes.
            connection.execute("PRAGMA locking_mode=EXCLUSIVE")
            _refuse_foreign(connection, path, application)
            _patiently(connection, "PRAGMA journal_mode=DELETE")
            connection.execute("PRAGMA locking_mode=NORMAL")
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()  # gives the lock back
    except (sqlite3.DatabaseError, StoreError):
        connection.close()
        raise
    return connection


def _patiently(connection: sqlite3.Connection, statement: str) -> None:
    # SQLite does not wait here where another connection is about to write: two would wait for each other.
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            connection.execute(statement).fetchone()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def _read_only(path: Path) -> sqlite3.Connection:
    # On read-only media the files beside a WAL database cannot be made: then it is read as a file that does not change.
    for option in ("mode=ro", "immutable=1"):
        connection = sqlite3.connect(f"{path.resolve().as_uri()}?{option}", uri=True, isolation_level=None)
        try:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except sqlite3.OperationalError:
            connection.close()
            if option == "immutable=1":
                raise
        else:
            break
    return connection


def chosen(
    connection: sqlite3.Connection, path: Path, statement: str, keys: Iterable[str], given: Sequence[object] = ()
) -> Iterator[tuple[Any, ...]]:
    """Rows of a statement that asks for some keys, however many: SQLite takes a limited number of values at once.

    Parameters
    ----------
    connection, path
        The file.
    statement
        With ``{keys}`` where the keys stand, e.g. ``"SELECT text FROM texts WHERE key IN ({keys})"``; it is run for
        some hundred of them at a time.
    keys
        Each is asked for once.
    given
        Values of the placeholders before the keys.
    """
    wanted = list(dict.fromkeys(keys))
    for start in range(0, len(wanted), _MOST_VARIABLES):
        part = wanted[start : start + _MOST_VARIABLES]
        with explained(path):
            rows = connection.execute(statement.format(keys=",".join("?" * len(part))), (*given, *part)).fetchall()
        yield from rows


@contextmanager
def transaction(connection: sqlite3.Connection, path: Path) -> Iterator[None]:
    """All statements inside are written together or not at all."""
    with explained(path):
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")
