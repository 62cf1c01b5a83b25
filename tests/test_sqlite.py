"""Opening a database that another connection holds."""

import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from bftembed import _sqlite
from bftembed.errors import BftembedWarning, InputError, StoreError

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


def mode(path):
    connection = sqlite3.connect(path)
    try:
        return connection.execute("PRAGMA journal_mode").fetchone()[0]
    finally:
        connection.close()


@pytest.fixture
def without_shared_memory(monkeypatch):
    """SQLite as it answers on a file system that gives no memory shared between processes."""

    class Connection(sqlite3.Connection):
        def execute(self, statement, *values):
            if "journal_mode=WAL" in statement:
                error = sqlite3.OperationalError("locking protocol")
                error.sqlite_errorcode, error.sqlite_errorname = sqlite3.SQLITE_PROTOCOL, "SQLITE_PROTOCOL"
                raise error
            return super().execute(statement, *values)

    monkeypatch.setattr(_sqlite, "_warned", set())
    real = sqlite3.connect
    monkeypatch.setattr(_sqlite.sqlite3, "connect", lambda *args, **kw: real(*args, factory=Connection, **kw))


def test_goes_on_without_a_write_ahead_log_where_there_can_be_none_and_warns_once(without_shared_memory, tmp_path):
    path = tmp_path / "x.sqlite"
    with pytest.warns(BftembedWarning, match=r"locking protocol.*slower\. Put it on a local disk.*BFTEMBED_CACHE"):
        first = _sqlite.connect(path, SCHEMA, application=77)
    first.execute("INSERT INTO notes VALUES ('kept')")
    # A further warning would be an error, of another file on the same disk too.
    _sqlite.connect(tmp_path / "y.sqlite", SCHEMA, application=77).close()
    second = _sqlite.connect(path, SCHEMA, application=77)
    assert second.execute("SELECT note FROM notes").fetchall() == [("kept",)]
    second.execute("INSERT INTO notes VALUES ('too')")
    first.close()
    second.close()
    assert mode(path) == "delete"


@pytest.fixture
def network(tmp_path, monkeypatch):
    """The directory of the test as if it were mounted from another host."""
    place = tmp_path / "a share"
    place.mkdir()
    mounts = tmp_path / "mounts"
    encoded = str(place).replace(" ", "\\040")
    mounts.write_text(f"/dev/sda / ext4 rw 0 0\nhost:/x {encoded} nfs4 rw,vers=4.2 0 0\ntmpfs /dev/shm tmpfs rw 0 0\n")
    monkeypatch.setattr(_sqlite, "_MOUNTS", mounts)
    return place


def test_file_systems_are_told_by_their_mount_point(network, tmp_path, monkeypatch):
    assert _sqlite.file_system(network / "sub" / "x.sqlite") == "nfs4"
    assert _sqlite.file_system(tmp_path / "x.sqlite") == "ext4"
    monkeypatch.setattr(_sqlite, "_MOUNTS", tmp_path / "not there, as on macOS")
    assert _sqlite.file_system(network / "x.sqlite") == ""


def test_a_network_file_system_gets_no_write_ahead_log_and_an_older_one_is_ended(network, monkeypatch):
    path = network / "x.sqlite"
    monkeypatch.setenv("BFTEMBED_SQLITE_JOURNAL", "wal")
    older = _sqlite.connect(path, SCHEMA, application=77)
    older.execute("INSERT INTO notes VALUES ('kept')")
    older.close()
    assert mode(path) == "wal"
    monkeypatch.delenv("BFTEMBED_SQLITE_JOURNAL")
    _sqlite.connect(path, SCHEMA, application=77).close()
    assert mode(path) == "delete"
    read = _sqlite.connect(path, SCHEMA, application=77, read_only=True)
    assert read.execute("SELECT note FROM notes").fetchall() == [("kept",)]
    read.close()


def _add_many(path, name):
    connection = _sqlite.connect(path, SCHEMA, application=77)
    for i in range(50):
        with _sqlite.transaction(connection, path):
            connection.execute("INSERT INTO notes VALUES (?)", (f"{name} {i}",))
    connection.close()


def test_two_processes_write_without_a_write_ahead_log(tmp_path, monkeypatch):
    monkeypatch.setenv("BFTEMBED_SQLITE_JOURNAL", "delete")
    path = tmp_path / "x.sqlite"
    workers = [subprocess.Popen([sys.executable, __file__, str(path), name]) for name in "ab"]
    assert [worker.wait() for worker in workers] == [0, 0]
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT count(*) FROM notes").fetchone() == (100,)
    connection.close()


def test_an_unknown_journal_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("BFTEMBED_SQLITE_JOURNAL", "memory")
    with pytest.raises(InputError, match="is `wal` or `delete`, got `memory`"):
        _sqlite.connect(tmp_path / "x.sqlite", SCHEMA, application=77)


if __name__ == "__main__":  # a writer of test_two_processes_write_without_a_write_ahead_log
    _add_many(Path(sys.argv[1]), sys.argv[2])


def test_more_keys_than_one_statement_takes_are_all_asked_for_once(tmp_path):
    path = tmp_path / "x.sqlite"
    connection = _sqlite.connect(path, "CREATE TABLE IF NOT EXISTS notes (kind TEXT, note TEXT)", application=77)
    notes = [f"{n}" for n in range(1203)]
    connection.executemany("INSERT INTO notes VALUES ('a', ?)", [(note,) for note in notes])
    connection.execute("INSERT INTO notes VALUES ('b', '0')")
    statement = "SELECT note FROM notes WHERE kind = ? AND note IN ({keys})"
    asked = [*notes[:1202], "0", "none"]
    found = [note for (note,) in _sqlite.chosen(connection, path, statement, asked, ["a"])]
    assert sorted(found) == sorted(notes[:1202])
    assert list(_sqlite.chosen(connection, path, statement, [], ["a"])) == []
    connection.close()
    with pytest.raises(StoreError, match="closed database"):
        list(_sqlite.chosen(connection, path, statement, ["0"], ["a"]))
