"""One way to open SQLite: write-ahead log, patient with other writers, and errors that say what to do."""

from __future__ import annotations

import sqlite3
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from bftembed.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_REMEDIES = {
    "SQLITE_NOTADB": "It is not a database of this package; move it away or choose another path.",
    "SQLITE_CORRUPT": "It is damaged; restore it from a Parquet export or move it away and start anew.",
    "SQLITE_READONLY": "It cannot be written; check the permissions of the file and of its directory, or copy it.",
    "SQLITE_CANTOPEN": "It cannot be opened; check that its directory exists and can be written.",
    "SQLITE_FULL": "The disk is full; free some space and run again. Everything committed before is kept.",
    "SQLITE_IOERR": "The disk reported an error; check free space and run again. Everything committed before is kept.",
    "SQLITE_BUSY": "Another process holds it for more than a minute; wait for that one or choose another path.",
}

_PATIENCE = 60.0  # seconds


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn an SQLite error into a `StoreError` that names the file and the remedy."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        name = getattr(error, "sqlite_errorname", None) or ""
        remedy = next((text for code, text in _REMEDIES.items() if name.startswith(code)), "")
        msg = f"`{path}`: {error}. {remedy}".strip()
        raise StoreError(msg) from error


def connect(path: Path, schema: str, *, application: int, read_only: bool = False) -> sqlite3.Connection:
    """Open `path` in WAL mode, creating it with the statements of `schema` where it is not there yet.

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
    """
    with explained(path):
        if read_only:
            return _read_only(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            msg = f"`{path.parent}` cannot be made: {error}. Choose another path."
            raise StoreError(msg) from error
        connection = sqlite3.connect(path, timeout=_PATIENCE, isolation_level=None)
        try:
            _refuse_foreign(connection, path, application)
            _write_ahead(connection)
            connection.execute("PRAGMA synchronous=NORMAL")  # survives kill -9; the last commits may go in a power cut
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


def _write_ahead(connection: sqlite3.Connection) -> None:
    # SQLite does not wait here where another connection is about to write: two would wait for each other.
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
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
