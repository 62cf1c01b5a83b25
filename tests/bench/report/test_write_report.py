import pytest

from bftembed.bench.report import write_report
from bftembed.errors import DataError, InputError


@pytest.mark.parametrize(
    ("name", "begin"), [("r.html", "<!DOCTYPE html>"), ("r.MD", "# Benchmark"), ("r.csv", "task,")]
)
def test_the_name_says_what_is_written(name, begin, mixed, tmp_path):
    path = tmp_path / "new" / "place" / name
    write_report(mixed, path, stale=["x is old."])
    assert path.read_text(encoding="utf-8").startswith(begin)
    assert [p.name for p in path.parent.iterdir()] == [name]
    first = path.read_bytes()
    write_report(mixed[::-1], str(path), stale=["x is old."])
    assert path.read_bytes() == first


@pytest.mark.parametrize("name", ["r.pdf", "r", ""])
def test_another_name_is_refused(name, tmp_path):
    with pytest.raises(InputError, match=r"\.html, \.md or \.csv"):
        write_report([], tmp_path / name)


def test_what_cannot_be_written_is_said(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="cannot be written"):
        write_report([], tmp_path / "file" / "r.csv")
    (tmp_path / "r.csv").mkdir()
    with pytest.raises(DataError, match="cannot be written"):
        write_report([], tmp_path / "r.csv")
    assert {path.name for path in tmp_path.iterdir()} == {"file", "r.csv"}
