"""One result: all that it says, when it is out of date, and what becomes of failures."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from bftembed.bench import LINEAR, GeneLabels, Source, read_results, run
from bftembed.bench.results import result_path


def test_a_result_says_all_there_is_to_say(planted, planted_task, tmp_path):
    (result,) = run([planted_task()], [planted()], tmp_path)
    assert result.status == "ok"
    assert result.main.metric == "auroc"
    assert result.main.mean > 0.8
    assert len(result.main.values) == 2
    assert len(result.draws) == 1000
    assert (result.asked, result.found, result.missing) == (60, 60, [])
    assert result.counts == {"False": 30, "True": 30}
    assert {record.method for record in result.baselines} == {"constant", "spelling of the symbol"}
    assert result.versions["scikit-learn"]
    assert set(result.times) == {"embed_seconds", "seconds", "date"}
    assert read_results(tmp_path) == [result]


@pytest.mark.parametrize("change", ["version", "embedding", "damaged", "failed"])
def test_what_is_out_of_date_is_computed_again(change, planted, planted_task, tmp_path):
    run([planted_task()], [planted()], tmp_path)
    task, source = (
        planted_task(version=2 if change == "version" else 1),
        planted(seed=5 if change == "embedding" else 0),
    )
    path = result_path(tmp_path, "toy.parity", "planted", "own")
    if change == "damaged":
        path.write_text(path.read_text()[:200])
    if change == "failed":
        path.write_text(path.read_text().replace('"status": "ok"', '"status": "failed"'))
    (kept,) = run([task], [source], tmp_path, overwrite="never") if change != "damaged" else (None,)
    assert source.asked == 0
    (result,) = run([task], [source], tmp_path)
    assert source.asked == 1
    assert result.status == "ok"
    assert kept is None or kept.key != result.key or change == "failed"


class Slipped(GeneLabels):
    """Puts another score first, or none."""

    def __init__(self, change, labels):
        super().__init__(labels, probes=(LINEAR,), n_repeats=1)
        self.change = change

    def evaluate(self, vectors, *, n_jobs=1):
        evaluation = super().evaluate(vectors, n_jobs=n_jobs)
        return replace(evaluation, scores=self.change(evaluation.scores))


class Repeated(GeneLabels):
    """Names all of its genes alike."""

    def __init__(self, labels):
        super().__init__(labels)
        self.entities = ["G001"] * len(labels)


LABELS = {f"G{i:03d}": i % 2 for i in range(60)}


@pytest.mark.parametrize(
    ("load", "reason"),
    [
        (
            lambda fast: Slipped(lambda scores: scores[::-1], LABELS),
            "Task `toy.slip` has the main_score 'auroc', but the first of its scores is 'balanced accuracy'.",
        ),
        (lambda fast: Slipped(lambda scores: [], LABELS), "but the first of its scores is None."),
        (lambda fast: LABELS, "Task `toy.slip` loads a dict, which is no `bftembed.bench.Problem`."),
        (lambda fast: Repeated(LABELS), "Task `toy.slip` has entities of the same name; give each once."),
    ],
)
def test_a_task_that_breaks_its_contract_is_named(load, reason, planted, planted_task, tmp_path):
    slip = replace(planted_task("toy.slip"), load=load)
    slipped, good = run([slip, planted_task()], [planted()], tmp_path)
    assert (slipped.status, good.status) == ("failed", "ok")
    assert reason in slipped.reason


class Broken(Source):
    def __init__(self, label, vectors):
        self.label = self.spec = label
        self.vectors = vectors

    def genes(self, names):
        if self.vectors is None:
            return 1 / 0
        return self.vectors(len(names))


def half_nan(n):
    vectors = np.ones((n, 3), dtype=np.float32)
    vectors[0, 1] = np.nan
    return vectors


@pytest.mark.parametrize(
    ("vectors", "reason"),
    [
        (None, "ZeroDivisionError"),
        (half_nan, "1 vectors are NaN in part"),
        (lambda n: np.full((n, 3), np.inf, dtype=np.float32), "60 hold infinite values"),
        (lambda n: np.full((n, 3), np.nan, dtype=np.float32), "has none of the 60 names"),
        (lambda n: np.ones((n - 1, 3), dtype=np.float32), r"array of shape \(59, 3\) for 60 names"),
    ],
)
def test_a_failure_is_kept_with_its_reason_and_the_others_go_on(vectors, reason, planted, planted_task, tmp_path):
    results = run([planted_task(), planted_task("toy.again")], [Broken("broken", vectors), planted()], tmp_path)
    by = {(r.task.name, r.embedding): r for r in results}
    for task in ("toy.parity", "toy.again"):
        assert by[task, "broken"].status == "failed"
        assert re.search(reason, by[task, "broken"].reason)
        assert by[task, "planted"].status == "ok"
    assert {r.status for r in read_results(tmp_path)} == {"ok", "failed"}


def test_a_failure_takes_the_place_of_what_is_out_of_date(planted, planted_task, tmp_path):
    run([planted_task()], [planted("x")], tmp_path)
    run([planted_task()], [Broken("x", None)], tmp_path)
    assert [result.status for result in read_results(tmp_path)] == ["failed"]


def test_what_an_embedding_cannot_do_is_no_failure(planted, planted_task, tmp_path):
    class CellsOnly(Source):
        pass

    results = run([planted_task()], [CellsOnly(), planted()], tmp_path)
    assert [r.status for r in results] == ["not applicable", "ok"]
    assert "no embedding of genes" in results[0].reason


def test_result_files_are_plain_json(planted, planted_task, tmp_path):
    run([planted_task()], [planted("a b/ü")], tmp_path)
    (path,) = tmp_path.glob("results/*/*.json")
    assert path.name.startswith("a-b-")
    assert json.loads(path.read_text())["embedding"] == "a b/ü"
