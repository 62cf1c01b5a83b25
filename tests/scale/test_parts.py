"""Parts in a directory: damaged ones, unfinished ones, directories that cannot be made."""

import os

import pytest

from bftembed.errors import StoreError
from bftembed.profiles import Entity, ProfileStore
from bftembed.scale.parts import Parts
from bftembed.scale.worker import Batch, Job, write_part


@pytest.fixture
def parts(slow, tmp_path):
    made = Parts(tmp_path / "new" / "parts")
    job = Job.of(slow.Slow(str(tmp_path / "log")), slow.Letters(), parts=made.directory)
    write_part(Batch(["k"], [Entity("cell_type", "B cell")], [], []), job)
    return made


def test_damaged_part(parts, tmp_path):
    (path,) = parts.files()
    path.write_bytes(path.read_bytes()[:-100])
    with (
        ProfileStore(tmp_path / "texts.sqlite") as store,
        pytest.raises(StoreError, match=rf"{path.name}` is damaged: delete it and run again"),
    ):
        parts.merge(store)


def test_unfinished_parts_are_no_parts_and_removed_when_they_are_old(parts):
    left, written = (parts.directory / f".{letter}.{'0' * 32}.parquet" for letter in "ab")
    for path in (left, written):
        path.write_bytes(b"half")
    os.utime(left, (0, 0))
    assert len(parts.files()) == 1
    parts.tidy()
    assert {path.name for path in parts.directory.iterdir()} == {parts.files()[0].name, written.name}


def test_files_of_others_are_left_alone(parts, tmp_path):
    (whole,) = parts.files()
    others = [parts.directory / name for name in ("mine.parquet", ".mine.parquet")]
    for path in others:
        path.write_bytes(b"data of the user")
        os.utime(path, (0, 0))
    with ProfileStore(tmp_path / "texts.sqlite") as store:
        parts.merge(store)
        assert len(store) == 1
    parts.tidy()
    assert {*parts.directory.iterdir()} == {whole, *others}


def test_a_part_is_merged_once(parts, tmp_path):
    with ProfileStore(tmp_path / "texts.sqlite") as store:
        parts.merge(store)
        assert len(store) == 1
        parts.files()[0].write_bytes(b"no longer read")
        parts.merge(store)


def test_a_file_in_place_of_the_directory(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot be made"):
        Parts(tmp_path / "file" / "parts")
