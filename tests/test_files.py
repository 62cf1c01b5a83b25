import os
import threading

import pytest

from bftembed._files import make_directory, remove, remove_stale, replacing
from bftembed.errors import InputError


def entries(directory):
    return sorted(path.name for path in directory.iterdir())


def test_a_file_takes_its_place_when_it_is_whole(tmp_path):
    target = tmp_path / "made" / "a.txt"
    with replacing(target) as made:
        assert made.parent == target.parent
        assert made.suffix == ".txt"
        made.write_text("new")
        assert not target.exists()
    assert target.read_text() == "new"
    assert entries(target.parent) == ["a.txt"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_after_an_error_the_old_file_is_there_and_nothing_else(tmp_path, error):
    target = tmp_path / "a.txt"
    target.write_text("old")

    def fail():
        with replacing(target) as made:
            made.write_text("half")
            raise error

    with pytest.raises(error):
        fail()
    assert target.read_text() == "old"
    assert entries(tmp_path) == ["a.txt"]


def test_a_directory_replaces_a_directory(tmp_path):
    target = tmp_path / "a.zarr"
    target.mkdir()
    (target / "old").write_text("")
    with replacing(target) as made:
        made.mkdir()
        (made / "new").write_text("")
    assert entries(tmp_path) == ["a.zarr"]
    assert entries(target) == ["new"]


def test_a_file_does_not_replace_a_directory(tmp_path):
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "kept.txt").write_text("old")
    with pytest.raises(OSError, match="d"), replacing(tmp_path / "d") as made:
        made.write_text("new")
    assert entries(tmp_path) == ["d"]
    assert (tmp_path / "d" / "kept.txt").read_text() == "old"


def test_an_old_directory_comes_back_where_the_new_one_is_missing(tmp_path):
    target = tmp_path / "a.zarr"
    target.mkdir()
    (target / "old").write_text("")
    with pytest.raises(FileNotFoundError), replacing(target):
        pass
    assert entries(tmp_path) == ["a.zarr"]
    assert entries(target) == ["old"]


def test_writers_of_one_file_do_not_take_each_others_half(tmp_path):
    target = tmp_path / "a.txt"
    both = threading.Barrier(2)
    failed = []

    def write(letter):
        try:
            with replacing(target) as made:
                made.write_text(letter * 10)
                both.wait(timeout=60)
        except BaseException as error:  # noqa: BLE001  # told to the main thread
            failed.append(error)

    threads = [threading.Thread(target=write, args=(letter,)) for letter in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert target.read_text() in {"a" * 10, "b" * 10}
    assert entries(tmp_path) == ["a.txt"]


def test_removing_takes_files_directories_and_nothing(tmp_path):
    (tmp_path / "directory").mkdir()
    (tmp_path / "directory" / "inside").write_text("")
    (tmp_path / "kept").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "kept")
    for name in ("directory", "link", "missing"):
        remove(tmp_path / name)
    assert entries(tmp_path) == ["kept"]


def test_a_path_that_cannot_be(tmp_path):
    """Python raises a ValueError for a NUL byte, which callers do not expect of a path."""
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="a path cannot have a NUL byte"), replacing(tmp_path / "a\0b"):
        pass
    for wrong in ("a\0b", "file", "file/in"):
        with pytest.raises(InputError, match=r"The directory `.*` cannot be made: .*Choose another one"):
            make_directory(tmp_path / wrong)
    make_directory(tmp_path / "a" / "b")
    make_directory(tmp_path / "a" / "b")
    assert entries(tmp_path) == ["a", "file"]


def test_what_a_killed_writer_left_is_removed_and_what_a_live_one_writes_is_not(tmp_path):
    for name in (".0123456789ab.a[1].txt", ".0123456789cd.a[1].txt", ".0123456789ab.a1.txt", "a[1].txt"):
        (tmp_path / name).write_text("x")
    (tmp_path / ".0123456789ef.a[1].txt").mkdir()
    for name in (".0123456789ab.a[1].txt", ".0123456789ef.a[1].txt", ".0123456789ab.a1.txt", "a[1].txt"):
        os.utime(tmp_path / name, (0, 0))
    remove_stale(tmp_path / "a[1].txt")
    assert entries(tmp_path) == [".0123456789ab.a1.txt", ".0123456789cd.a[1].txt", "a[1].txt"]
