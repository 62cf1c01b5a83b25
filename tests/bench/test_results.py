import pytest

from bftembed.bench import read_results, run
from bftembed.bench.results import read_result, result_path, without_stale, write_result
from bftembed.errors import DataError


def test_names_never_share_a_file(tmp_path):
    paths = {result_path(tmp_path, "t", label, "own") for label in ("a/b", "a-b", "a b", "a:b", "x" * 80, "x" * 81)}
    assert len(paths) == 6
    assert result_path(tmp_path, "t", "tfidf", "own").name == "tfidf.own.json"


def test_a_file_that_is_no_result_is_not_read(tmp_path, caplog):
    path = tmp_path / "results" / "t" / "x.own.json"
    assert read_result(path) is None
    path.parent.mkdir(parents=True)
    path.write_text("{}")
    assert read_result(path) is None
    assert "is no result file" in caplog.text
    with pytest.raises(DataError, match="There are no results in"):
        read_results(tmp_path)
    with pytest.raises(DataError, match="no results of fast runs"):
        read_results(tmp_path, fast=True)


def test_another_schema_is_not_read(planted, planted_task, tmp_path, caplog):
    (result,) = run([planted_task()], [planted()], tmp_path)
    path = result_path(tmp_path, "toy.parity", "planted", "own")
    write_result(path, result.model_copy(update={"schema_version": 99}))
    assert read_result(path) is None
    assert "schema 99" in caplog.text


def test_stale_results_are_named_and_left_out(planted, planted_task, tmp_path):
    run([planted_task(), planted_task("toy.gone"), planted_task("toy.old")], [planted()], tmp_path)
    results = read_results(tmp_path)
    changed = [r.model_copy(update={"data": {"x/y": "0"}}) if r.task.name == "toy.parity" else r for r in results]
    good, stale = without_stale(changed, [planted_task(), planted_task("toy.old", version=2)])
    assert good == []
    assert [line.partition(": ")[2] for line in stale] == [
        "there is no such task.",
        "it was made by version 1 of the task, which is at 2.",
        "it was made from other data.",
    ]
    assert without_stale(results[2:], [planted_task()]) == ([results[2]], [])
