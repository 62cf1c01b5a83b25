from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from bftembed.bench import Evaluation, Score, TaskInfo, read_results, run
from bftembed.bench.results import gene_table_digest, read_result, recorded, result_path, without_stale, write_result
from bftembed.bench.scoring.proportions import wilson
from bftembed.errors import DataError, InputError


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
    with pytest.raises(DataError, match="only 1 results of whole runs: leave out `--fast`"):
        read_results(tmp_path, fast=True)


def test_a_half_file_of_a_run_that_was_killed_is_not_read(planted, planted_task, tmp_path, caplog):
    results = run([planted_task()], [planted()], tmp_path)
    (tmp_path / "results" / "toy.parity" / ".0123456789ab.planted.own.json").write_text("{")
    assert read_results(tmp_path) == results
    assert "no result file" not in caplog.text


def test_two_runs_into_one_directory_write_whole_files(planted, planted_task, tmp_path):
    """Each by a name of its own: with one name for both, one renamed the other's half file or found none."""
    (result,) = run([planted_task()], [planted()], tmp_path)
    path = result_path(tmp_path, "toy.parity", "planted", "own")
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: write_result(path, result), range(100)))
    assert read_result(path) == result
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_another_schema_is_not_read(planted, planted_task, tmp_path, caplog):
    (result,) = run([planted_task()], [planted()], tmp_path)
    path = result_path(tmp_path, "toy.parity", "planted", "own")
    write_result(path, result.model_copy(update={"schema_version": 99}))
    path.write_text(path.read_text().replace('"fast"', '"a field of then"'))
    assert read_result(path) is None
    assert "schema 99" in caplog.text
    assert "no result file" not in caplog.text


def test_stale_results_are_named_and_left_out(planted, planted_task, tmp_path):
    run([planted_task(), planted_task("toy.gone"), planted_task("toy.old")], [planted()], tmp_path)
    results = read_results(tmp_path)
    changed = [r.model_copy(update={"data": {"x/y": "0"}}) if r.task.name == "toy.parity" else r for r in results]
    good, stale = without_stale(changed, [planted_task(), planted_task("toy.old", version=2)])
    assert good == []
    assert [line.partition(": ")[2] for line in stale] == [
        "there is no such task.",
        "it was made by version 1 of the task, which is at 2.",
        "it was made from other data than are known here.",
    ]
    assert without_stale(results[2:], [planted_task()]) == ([results[2]], [])


def test_an_unknown_data_set_leaves_the_other_results(planted, planted_task, tmp_path):
    results = run([planted_task(), planted_task("toy.mine")], [planted()], tmp_path)
    mine = results[1].model_copy(update={"data": {"no_such/x": "0"}})
    tasks = [planted_task(), planted_task("toy.mine", data=("no_such",))]
    good, stale = without_stale([results[0], mine], tasks)
    assert good == results[:1]
    assert stale == ["toy.mine, planted (own): it was made from other data than are known here."]


def test_results_of_two_gene_tables_are_not_mixed(planted, planted_task, tmp_path):
    (result,) = run([planted_task()], [planted()], tmp_path)
    assert result.genes == gene_table_digest()
    other = result.model_copy(update={"embedding": "other", "genes": "0"})
    assert without_stale([other], [planted_task()]) == ([other], [])  # alike among themselves
    good, stale = without_stale([result, other], [planted_task()])
    assert good == [result]
    assert stale == ["toy.parity, other (own): its genes were mapped by other gene tables, or without any."]


INFO = TaskInfo(
    name="toy.exam", kind="language", title="Exam", data=(), main_score="accuracy", licence="own", citation="none"
)


def evaluated(mean, right, *, n=4):
    scores = [Score("model", "accuracy", np.array([[mean]])), Score("model", "macro f1", np.array([[0.1]]))]
    return Evaluation(scores, [], [f"q{i}" for i in range(n)], right=right)


def test_a_share_of_right_items_has_its_interval():
    found = recorded(evaluated(0.75, np.array([True, True, False, True])), INFO)
    assert found["right"] == [True, True, False, True]
    assert found["scores"][0].interval_items == pytest.approx(wilson(3, 4))
    assert found["scores"][1].interval_items is None
    assert recorded(evaluated(0.75, None), INFO)["right"] is None


@pytest.mark.parametrize(
    ("mean", "right", "words"),
    [
        (0.5, [True, True, False, True], "3 of 4 items were right, but it scored 4 items with 0.500000"),
        (0.5, [True, False], "1 of 2 items were right, but it scored 4"),
        (np.nan, [True] * 4, "with nan"),
        (0.0, [], "0 of 0 items"),
    ],
)
def test_what_is_right_must_be_what_is_scored(mean, right, words):
    with pytest.raises(InputError, match=words):
        recorded(evaluated(mean, right), INFO)
