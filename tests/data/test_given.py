"""Files of the user, known by name for as long as they are given."""

import pytest

from bftembed.data import given_file, given_files, is_given
from bftembed.errors import DataError


def test_files_are_known_as_long_as_they_are_given(tmp_path):
    one, two = tmp_path / "one.csv", tmp_path / "two.csv"
    one.touch()
    two.touch()
    with given_files({"pairs": one}), given_files({"drugs": two}):
        assert (given_file("pairs"), given_file("drugs")) == (one, two)
        with given_files({"pairs": two}):
            assert given_file("pairs") == two
        assert given_file("pairs") == one
    assert not is_given("pairs")
    with pytest.raises(DataError, match=r"--file pairs=PATH.*files=\{'pairs': PATH\}"):
        given_file("pairs")


def test_what_is_not_there_is_named_at_once(tmp_path):
    with pytest.raises(DataError, match=r"no file .*lost\.csv"), given_files({"pairs": tmp_path / "lost.csv"}):
        pass
    with pytest.raises(DataError, match="is a directory; give a file"), given_files({"pairs": tmp_path}):
        pass
