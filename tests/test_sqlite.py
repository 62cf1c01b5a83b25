"""Opening a database that another connection holds."""

import sqlite3
import threading

import pytest

from bftembed import _sqlite
from bftembed.errors import StoreError

SCHEMA = "CREATE TABLE IF NOT EXISTS notes (note TEXT)"


@pytest.fixture(params=["IMMEDIATE", "EXCLUSIVE"])
def held(request, tmp_path):
    """A new database in which another connection has begun to write."""
    path = tmp_path / "x.sqlite"
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute(f"BEGIN {request.param}")
    other.execute("CREATE TABLE other (a)")
    yield path, other
    other.close()


def test_waits_for_another_writer_of_a_new_database(held):
    path, other = held
    timer = threading.Timer(0.3, other.execute, ["ROLLBACK"])
    timer.start()
    connection = _sqlite.connect(path, SCHEMA, application=77)
    timer.join()
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("notes",)]
    connection.close()


def test_names_a_database_that_is_held_for_too_long(held, monkeypatch):
    monkeypatch.setattr(_sqlite, "_PATIENCE", 0.2)
    with pytest.raises(StoreError, match=r"x\.sqlite`: database is locked\. Another process holds it"):
        _sqlite.connect(held[0], SCHEMA, application=77)
