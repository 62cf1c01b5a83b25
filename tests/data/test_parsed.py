import logging

import pandas as pd
import pytest

from bftembed.data._parsed import through_parquet
from bftembed.data.manifest import ManifestFile

FILE = ManifestFile(name="t", path="t.rds", url="https://example.org/t", sha256="0" * 64, bytes=1, reader="rds")


@pytest.fixture
def frame():
    columns = {
        "s": pd.array(["TP53", "NA", None], dtype=pd.StringDtype("python")),
        "n": pd.array([1, None, 3], dtype="Int32"),
        "f": [0.5, float("nan"), 1.0],
    }
    return pd.DataFrame(columns, index=pd.Index(["a", "b", "c"]))


def _refuse():
    pytest.fail("the file was parsed again")


def test_second_reading_is_equal_and_does_not_parse(cache, frame):
    first = through_parquet(FILE, {}, frame.copy)
    second = through_parquet(FILE, {}, _refuse)
    pd.testing.assert_frame_equal(first, frame)
    pd.testing.assert_frame_equal(second, frame)
    assert len(list((cache / "parsed").iterdir())) == 1


def test_other_options_and_other_contents_are_other_copies(cache, frame):
    through_parquet(FILE, {}, frame.copy)
    other = frame.head(1)
    pd.testing.assert_frame_equal(through_parquet(FILE, {"object": "x"}, other.copy), other)
    changed = FILE.model_copy(update={"sha256": "1" * 64})
    pd.testing.assert_frame_equal(through_parquet(changed, {}, other.copy), other)


def test_what_is_no_table_is_not_kept(cache):
    assert through_parquet(FILE, {}, lambda: [1]) == [1]
    assert through_parquet(FILE, {}, lambda: [2]) == [2]
    assert not cache.exists()


def test_damaged_copy_is_made_again(cache, frame, caplog):
    through_parquet(FILE, {}, frame.copy)
    (copy,) = (cache / "parsed").iterdir()
    copy.write_bytes(copy.read_bytes()[:-20])
    pd.testing.assert_frame_equal(through_parquet(FILE, {}, frame.copy), frame)
    assert "is damaged" in caplog.text
    pd.testing.assert_frame_equal(through_parquet(FILE, {}, _refuse), frame)


def test_cache_that_cannot_be_written_is_no_obstacle(cache, frame, caplog):
    cache.write_text("a file")
    with caplog.at_level(logging.WARNING, logger="bftembed"):
        pd.testing.assert_frame_equal(through_parquet(FILE, {}, frame.copy), frame)
    assert "No parsed copy of t.rds is kept" in caplog.text


def test_table_that_parquet_cannot_hold_is_read_all_the_same(cache, caplog):
    mixed = pd.DataFrame({"x": [1, "a", b"b"]})
    pd.testing.assert_frame_equal(through_parquet(FILE, {}, mixed.copy), mixed)
    assert "No parsed copy" in caplog.text
    assert not list((cache / "parsed").iterdir())
