import sqlite3
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from bftembed.engines import Request, Sampling
from bftembed.errors import InputError, StoreError
from bftembed.profiles import Profile, ProfileStore, Recipe, load_template
from bftembed.profiles.exports import read_export

RECIPE = Recipe.of({"engine": "test", "model": "m"}, load_template("gene"), Sampling())


def profile(name="TP53", *, status="ok", attempts=1, text=None):
    request = Request(name, f"About {name}")
    return Profile(
        key=RECIPE.key(request),
        recipe=RECIPE.digest,
        system="",
        prompt=request.user,
        text=f"Text of {name}." if text is None else text,
        raw="raw",
        status=status,
        issues="cut",
        finish_reason="stop",
        error=None,
        n_prompt_tokens=3,
        n_tokens=4,
        attempts=attempts,
        created=time.time(),
    )


def filled(path, names):
    store = ProfileStore(path)
    store.add_recipe(RECIPE)
    store.add([profile(name) for name in names])
    store.add_entities(("gene", name, profile(name).key) for name in names)
    return store


def test_what_is_added_is_found_by_key_after_reopening(tmp_path):
    filled(tmp_path / "s.sqlite", ["TP53", "BRCA1"]).close()
    with ProfileStore(tmp_path / "s.sqlite") as store:
        found = store.get([profile("TP53").key, "unknown"])
        assert list(found) == [profile("TP53").key]
        assert found[profile("TP53").key].text == "Text of TP53."
        assert len(store) == 2
        assert store.recipes()[RECIPE.digest].engine == {"engine": "test", "model": "m"}


def test_more_keys_than_sqlite_takes_at_once(tmp_path):
    names = [f"G{i}" for i in range(1700)]
    with filled(tmp_path / "s.sqlite", names) as store:
        assert len(store.get(profile(name).key for name in names)) == 1700


@pytest.mark.parametrize(
    "other",
    [
        Recipe.of({"engine": "test", "model": "m2"}, load_template("gene"), Sampling()),
        Recipe.of({"engine": "test", "model": "m"}, load_template("drug"), Sampling()),
        Recipe.of({"engine": "test", "model": "m"}, load_template("gene"), Sampling(seed=1)),
        Recipe.of({"engine": "test", "model": "m"}, load_template("gene"), Sampling(max_new_tokens=9)),
    ],
)
def test_whatever_changes_the_text_changes_the_key(other):
    request = Request("x", "About x")
    assert other.key(request) != RECIPE.key(request)
    assert RECIPE.key(request) != RECIPE.key(replace(request, system="s"))
    assert RECIPE.key(request) == RECIPE.key(replace(request, id="other"))


def test_a_good_text_is_never_replaced_and_a_failed_one_is(tmp_path):
    with filled(tmp_path / "s.sqlite", ["TP53"]) as store:
        key = profile().key
        store.add([profile(text="another", attempts=2)])
        assert store.get([key])[key].text == "Text of TP53."
        store.add([profile("BAD", status="error")])
        bad = profile("BAD").key
        assert store.get([bad])[bad].pending
        store.add([profile("BAD")])
        assert store.get([bad])[bad].status == "ok"


def test_of_two_errors_the_later_one_stays(tmp_path):
    """Exports may come in any order."""
    error = profile("BAD", status="error")
    with filled(tmp_path / "s.sqlite", []) as store:
        for created, kept in [(2.0, 2.0), (1.0, 2.0), (3.0, 3.0)]:
            store.add([replace(error, created=created)])
            assert store.get([error.key])[error.key].created == kept


def test_entities_that_share_a_prompt_share_a_profile(tmp_path):
    with filled(tmp_path / "s.sqlite", ["TP53"]) as store:
        store.add_entities([("cell", "a", profile().key), ("cell", "b", profile().key)])
        frame = store.frame(kind="cell")
        assert frame["entity"].tolist() == ["a", "b"]
        assert len(set(frame["text"])) == 1
        assert len(store) == 1


def test_parquet_round_trip_into_another_store(tmp_path):
    with filled(tmp_path / "a.sqlite", ["TP53", "BRCA1", "MYC"]) as store:
        assert store.export(tmp_path / "out" / "p.parquet") == 3
        before = store.frame()
    with ProfileStore(tmp_path / "b.sqlite") as other:
        assert other.load(tmp_path / "out" / "p.parquet") == 3
        assert other.load(tmp_path / "out" / "p.parquet") == 0
        pd.testing.assert_frame_equal(other.frame(), before)
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["p.parquet"]


@pytest.mark.parametrize(("suffix", "separator"), [(".csv", ","), (".tsv", "\t")])
def test_export_writes_what_the_suffix_says(tmp_path, suffix, separator):
    with filled(tmp_path / "a.sqlite", ["TP53", "NA"]) as store:
        assert store.export(tmp_path / f"p{suffix}") == 2
        frame = pd.read_csv(tmp_path / f"p{suffix}", sep=separator, keep_default_na=False)
        assert frame[["kind", "entity", "text"]].to_numpy().tolist() == [
            ["gene", "NA", "Text of NA."],
            ["gene", "TP53", "Text of TP53."],
        ]
        for name in ("p.xlsx", "p", "p.csv.zip"):
            with pytest.raises(InputError, match=r"exported to \.parquet, \.csv or \.tsv"):
                store.export(tmp_path / name)
    assert {path.suffix for path in tmp_path.iterdir()} == {".sqlite", suffix}


def test_export_of_a_part(tmp_path):
    with filled(tmp_path / "a.sqlite", ["TP53", "MYC"]) as store:
        store.add_entities([("cell", "c", profile().key)])
        assert store.export(tmp_path / "p.csv", kind="cell") == 1
        assert store.export(tmp_path / "p.csv", kind="gene", names=["MYC", "unknown"]) == 1
        assert store.export(tmp_path / "p.csv", recipe=RECIPE.digest[:5]) == 3
        with pytest.raises(InputError, match=r"No recipe begins with `zz`.*\n.*test m; template gene"):
            store.export(tmp_path / "p.csv", recipe="zz")


def test_import_of_something_else_says_so(tmp_path):
    (tmp_path / "no.parquet").write_text("hello")
    with pytest.raises(InputError, match="no Parquet file"):
        read_export(tmp_path / "no.parquet")
    pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "other.parquet")
    with pytest.raises(InputError, match="columns missing"):
        read_export(tmp_path / "other.parquet")
    with filled(tmp_path / "a.sqlite", ["TP53"]) as store:
        store.export(tmp_path / "p.parquet")
    pd.read_parquet(tmp_path / "p.parquet").assign(schema=99).to_parquet(tmp_path / "new.parquet")
    with pytest.raises(InputError, match="of schema 1"):
        read_export(tmp_path / "new.parquet")


def test_a_file_that_is_no_store_is_left_alone(tmp_path):
    path = tmp_path / "s.sqlite"
    path.write_bytes(b"this is not a database" * 100)
    with pytest.raises(StoreError, match=r"not a database.*move it away"):
        ProfileStore(path)
    assert path.read_bytes() == b"this is not a database" * 100


def test_a_damaged_store_is_an_error_with_a_remedy(tmp_path):
    path = tmp_path / "s.sqlite"
    with filled(path, [f"G{i}" for i in range(500)]):
        pass
    sqlite3.connect(path).execute("PRAGMA wal_checkpoint(TRUNCATE)").connection.close()
    data = bytearray(path.read_bytes())
    data[4096 : len(data) - 4096] = b"\xff" * (len(data) - 8192)
    path.write_bytes(data)
    with pytest.raises(StoreError, match=r"damaged; restore it|malformed"), ProfileStore(path) as store:
        store.frame()


def test_a_directory_and_an_impossible_parent_are_named(tmp_path):
    with pytest.raises(StoreError, match="is a directory"):
        ProfileStore(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be made"):
        ProfileStore(tmp_path / "file" / "sub" / "s.sqlite")


def test_a_store_that_is_not_there_is_not_made_by_reading_it(tmp_path):
    with pytest.raises(StoreError, match=r"There is no profile store `.*none\.sqlite`"):
        ProfileStore(tmp_path / "none.sqlite", read_only=True)
    assert not list(tmp_path.iterdir())


@pytest.fixture
def small_disk(tmp_path):
    """A file system of half a megabyte."""
    target = tmp_path / "disk"
    target.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(target)], capture_output=True, text=True
    )
    if made.returncode:
        pytest.skip(f"a small file system cannot be mounted here: {made.stderr.strip()}")
    yield target
    subprocess.run(["mount", "-o", "remount,rw", str(target)], check=False)
    subprocess.run(["umount", str(target)], check=True)


def test_a_full_disk_keeps_what_was_committed_and_the_next_run_goes_on(small_disk):
    (small_disk / "other-data").write_bytes(b"x" * 250_000)
    batch = [profile(f"G{i}", text="x" * 5000) for i in range(30)]
    with filled(small_disk / "s.sqlite", ["TP53"]) as store:

        def fill():
            for start in range(0, 30, 3):
                store.add(batch[start : start + 3])

        with pytest.raises(StoreError, match=r"The disk (is full|reported an error)"):
            fill()
        committed = len(store)
    assert 1 <= committed < 31
    (small_disk / "other-data").unlink()
    with ProfileStore(small_disk / "s.sqlite") as store:
        assert len(store) == committed
        store.add(batch[:20])
        assert len(store) >= 21


def test_a_read_only_file_system_is_named(small_disk):
    filled(small_disk / "s.sqlite", ["TP53"]).close()
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(StoreError, match=r"cannot be (written|opened)"):
        filled(small_disk / "s.sqlite", ["BRCA1"])


def _write_many(path, offset):
    with ProfileStore(path) as store:
        store.add_recipe(RECIPE)
        for i in range(120):
            name = f"G{offset + i}"
            store.add_entities([("gene", name, profile(name).key)])
            store.add([profile(name)], seconds=0.001)


def test_two_processes_write_at_once(tmp_path):
    path = tmp_path / "s.sqlite"
    commands = [[sys.executable, __file__, str(path), offset] for offset in ("0", "60")]  # 60 names in common
    workers = [subprocess.Popen(command) for command in commands]
    assert [worker.wait() for worker in workers] == [0, 0]
    with ProfileStore(path) as store:
        frame = store.frame()
        assert sorted(frame["entity"]) == sorted(f"G{i}" for i in range(180))
        assert len(store) == 180
        assert store.speed(RECIPE) == pytest.approx(240 * 7 / 0.24)


def test_a_writer_killed_inside_a_transaction_leaves_no_half_batch(tmp_path):
    path = tmp_path / "s.sqlite"
    filled(path, ["TP53"]).close()
    script = (
        "import sqlite3, sys, os, signal\n"
        "c = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "c.execute('BEGIN IMMEDIATE')\n"
        "c.execute('UPDATE profiles SET text = ?', ('half',))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert subprocess.run([sys.executable, "-c", script, str(path)]).returncode == -9
    with ProfileStore(path) as store:
        key = profile().key
        assert store.get([key])[key].text == "Text of TP53."


def test_a_database_of_another_program_is_left_as_it_is(tmp_path):
    path = tmp_path / "other.sqlite"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE profiles (a)")
    connection.commit()
    connection.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match="another program"):
        ProfileStore(path)
    assert path.read_bytes() == before


def test_a_store_on_a_read_only_file_system_can_be_read(small_disk):
    filled(small_disk / "s.sqlite", ["TP53"]).close()
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with ProfileStore(small_disk / "s.sqlite", read_only=True) as store:
        assert store.frame()["entity"].tolist() == ["TP53"]
        with pytest.raises(StoreError):
            store.add([profile("BRCA1")])


def test_default_path_is_in_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("BFTEMBED_CACHE", str(tmp_path))
    with ProfileStore() as store:
        assert store.path == tmp_path / "profiles.sqlite"
    assert Path(tmp_path / "profiles.sqlite").exists()


if __name__ == "__main__":  # a writer of test_two_processes_write_at_once
    _write_many(Path(sys.argv[1]), int(sys.argv[2]))
