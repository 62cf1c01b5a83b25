"""What is there is not computed again, what is out of date is, and a failure stops nothing else."""

import functools
import http.server
import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pytest
from anndata import AnnData

from bftembed import data
from bftembed.bench import find_tasks, pending, read_results, run
from bftembed.bench.report import write_report
from bftembed.bench.results import gene_table_digest
from bftembed.errors import DataError, InputError


def without_times(result):
    return result.model_dump(exclude={"times"})


def test_the_same_inputs_give_the_same_bits(planted, planted_task, tmp_path):
    first = run([planted_task()], [planted()], tmp_path / "a", n_jobs=1)
    second = run([planted_task()], [planted()], tmp_path / "b", n_jobs=2)
    assert [without_times(r) for r in first] == [without_times(r) for r in second]


def test_what_is_there_is_not_computed_again(planted, planted_task, tmp_path):
    run([planted_task()], [planted()], tmp_path)
    again = planted()
    run([planted_task()], [again, planted("other", seed=1)], tmp_path)
    assert again.asked == 0


@pytest.mark.parametrize("overwrite", ["never", "missing", "always"])
def test_an_embedding_that_is_gone_for_a_while_loses_no_result(overwrite, planted, planted_task, tmp_path):
    (result,) = run([planted_task()], [planted()], tmp_path)
    gone = planted()
    gone.describe = (tmp_path / "mine.csv").read_text
    if overwrite == "never":
        assert run([planted_task()], [gone], tmp_path, overwrite=overwrite) == [result]
    else:
        with pytest.raises(InputError, match=r"`planted`: .*mine.csv"):
            run([planted_task()], [gone], tmp_path, overwrite=overwrite)
    assert read_results(tmp_path) == [result]


def test_embeddings_that_cannot_be_read_are_named_before_anything_is_run(planted, planted_task, tmp_path):
    (tmp_path / "words.csv").write_text("no,numbers\nin,here\n")
    AnnData(np.ones((2, 1), dtype=np.float32)).write_h5ad(tmp_path / "cells.h5ad")
    names = ["none.csv", "words.csv"]
    wrong = [f"file:{tmp_path}/{name}" for name in names] + [f"h5ad:{tmp_path}/cells.h5ad#obsm/X_none"]
    good = planted()
    with pytest.raises(InputError, match=r"(?s)none.csv.*words.csv.*X_none"):
        run([planted_task()], [good, *wrong], tmp_path / "run")
    assert good.asked == 0
    assert not (tmp_path / "run").exists()


def test_what_a_run_would_compute(planted, planted_task, tmp_path):
    tasks, both = [planted_task(), planted_task("toy.again")], [planted(), planted("other", seed=1)]
    run(tasks[:1], both, tmp_path)
    assert pending(tasks, both, tmp_path) == [("toy.again", "planted"), ("toy.again", "other")]
    assert pending(tasks, [planted(seed=2)], tmp_path) == [("toy.parity", "planted"), ("toy.again", "planted")]
    assert len(pending(tasks, both, tmp_path, overwrite="always")) == 4
    assert len(pending(tasks, [planted(seed=2)], tmp_path, overwrite="never")) == 1
    assert len(pending(tasks, both, tmp_path, fast=True)) == 4


def test_progress_is_logged_with_the_time_left(planted, planted_task, tmp_path, caplog, monkeypatch):
    monkeypatch.setattr("bftembed._progress.INTERVAL", 0.0)
    caplog.set_level("INFO", logger="bftembed")
    run([planted_task()], [planted(), planted("other", seed=1)], tmp_path)
    assert re.search(r"benchmark: 1 of 2 results, .* per second, toy.parity, about .* left", caplog.text)


@pytest.fixture
def served(mirror, tmp_path, monkeypatch):
    """The mirror as a url, and an empty cache: gene tables are not available but can be had."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=mirror)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        monkeypatch.setenv("BFTEMBED_MIRROR", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("BFTEMBED_CACHE", str(tmp_path / "cache"))
        yield
        server.shutdown()
        thread.join()


@pytest.mark.usefixtures("served")
def test_tables_of_gene_names_are_fetched_before_the_first_task(planted, planted_task, tmp_path):
    tasks = [planted_task(), planted_task("toy.named", data=("hgnc_genes",))]
    assert gene_table_digest() is None
    first, second = run(tasks, [planted()], tmp_path)
    assert first.genes == second.genes == gene_table_digest() is not None


def test_names_that_cannot_be_mapped_fail_their_task(planted, planted_task, tmp_path, monkeypatch):
    monkeypatch.setenv("BFTEMBED_MIRROR", "")
    monkeypatch.setenv("BFTEMBED_CACHE", str(tmp_path / "cache"))

    def fetch(name):
        raise DataError(f"no network for {name}")

    monkeypatch.setattr(data, "fetch", fetch)
    tasks = [planted_task(), planted_task("toy.named", data=("hgnc_genes",))]
    first, second = run(tasks, [planted()], tmp_path)
    assert (first.status, second.status) == ("ok", "failed")
    assert "without hgnc_genes: run `bftembed data fetch genes`" in second.reason


def test_always_computes_all(planted, planted_task, tmp_path):
    run([planted_task()], [planted()], tmp_path)
    source = planted()
    run([planted_task()], [source], tmp_path, overwrite="always")
    assert source.asked == 1


def test_two_scores_where_embeddings_lack_different_genes(planted, planted_task, tmp_path):
    first, second = planted("first", lacking=["G000", "G001"]), planted("second", lacking=["G002"], seed=1)
    results = {(r.embedding, r.subset): r for r in run([planted_task()], [first, second], tmp_path)}
    assert len(results) == 4
    assert results["first", "own"].missing == ["G000", "G001"]
    assert results["first", "own"].n_items == 58
    assert results["first", "shared"].n_items == results["second", "shared"].n_items == 57
    assert results["first", "shared"].items_digest == results["second", "shared"].items_digest
    assert results["first", "own"].items_digest != results["second", "own"].items_digest


def test_shared_is_copied_where_it_is_the_same(planted, planted_task, tmp_path):
    less, all_of_them = planted("less", lacking=["G000"]), planted("all", seed=1)
    results = {(r.embedding, r.subset): r for r in run([planted_task()], [less, all_of_them], tmp_path)}
    assert (less.asked, all_of_them.asked) == (1, 2)
    assert results["less", "shared"].scores == results["less", "own"].scores
    assert results["less", "shared"].items_digest == results["all", "shared"].items_digest


def test_an_embedding_with_few_genes_does_not_ruin_the_shared_ones(planted, planted_task, tmp_path):
    few = planted("few", lacking=[f"G{i:03d}" for i in range(40)])
    results = run([planted_task()], [few, planted("other", seed=1)], tmp_path)
    assert {(r.embedding, r.subset) for r in results} == {("few", "own"), ("other", "own")}
    assert results[0].found == 20


def test_a_larger_shared_set_is_not_mixed_with_an_older_one(planted, planted_task, tmp_path):
    run([planted_task()], [planted("a", lacking=["G000"]), planted("b", lacking=["G001"])], tmp_path)
    results = run(
        [planted_task()],
        [planted("a", lacking=["G000"]), planted("b", lacking=["G001"]), planted("c", lacking=["G002"])],
        tmp_path,
    )
    assert {r.n_items for r in results if r.subset == "shared"} == {57}


def test_a_broken_task_leaves_the_others(planted, planted_task, tmp_path):
    broken = planted_task("toy.broken")
    object.__setattr__(broken, "load", lambda fast: {}["no such column"])
    missing = planted_task("toy.missing", data=("no_such_data",))
    leaving = planted_task("toy.leaving")
    object.__setattr__(leaving, "load", lambda fast: sys.exit("no licence"))
    results = run([broken, missing, leaving, planted_task()], [planted()], tmp_path)
    assert [r.status for r in results] == ["failed", "failed", "failed", "ok"]
    assert "KeyError" in results[0].reason
    assert "no_such_data" in results[1].reason
    assert results[2].reason == "SystemExit: no licence"


def test_results_in_the_home_directory(planted, planted_task, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    results = run([planted_task()], [planted()], "~/runs")
    assert read_results("~/runs") == read_results(tmp_path / "runs") == results
    write_report(results, "~/report.md")
    assert (tmp_path / "report.md").is_file()


def test_fast_results_are_kept_apart(planted, planted_task, tmp_path):
    (whole,) = run([planted_task()], [planted()], tmp_path)
    (fast,) = run([planted_task()], [planted()], tmp_path, fast=True)
    assert (whole.n_items, fast.n_items) == (60, 30)
    assert read_results(tmp_path) == [whole]
    assert read_results(tmp_path, fast=True) == [fast]


def test_labels_and_options_are_checked(planted, planted_task, tmp_path):
    with pytest.raises(InputError, match="label of its own"):
        run([planted_task()], [planted(), planted()], tmp_path)
    with pytest.raises(InputError, match="got none"):
        run([planted_task()], [], tmp_path)
    with pytest.raises(InputError, match="'never', 'missing' or 'always', got 'yes'"):
        run([planted_task()], [planted()], tmp_path, overwrite="yes")


def test_a_place_that_cannot_be_written_ends_the_run(planted, planted_task, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written"):
        run([planted_task()], [planted()], tmp_path / "file")


TASKS = """
import time
from dataclasses import replace
from bftembed.bench import GeneLabels, Task, TaskInfo
from bftembed.bench.scoring.probes import LINEAR

def make(i):
    def load(fast):
        time.sleep(0.6)
        return GeneLabels({f"G{k:03d}": (k * i) % 7 % 2 for k in range(60)}, n_repeats=1, probes=(LINEAR,))
    info = TaskInfo(name=f"slow.t{i}", kind="gene", title="t", data=(), main_score="auroc", licence="-", citation="-")
    return Task(info, load)

ALL = [make(i) for i in range(1, 9)]
"""


def test_kill_9_loses_nothing_that_was_saved(tmp_path):
    (tmp_path / "tasks" / "slow").mkdir(parents=True)
    (tmp_path / "tasks" / "slow" / "task.py").write_text(TASKS)
    program = textwrap.dedent(
        """
        import sys
        from bftembed.bench import find_tasks, run
        run(find_tasks([sys.argv[1]], names=["slow"]), ["random"], sys.argv[2])
        """
    )
    command = [sys.executable, "-c", program, str(tmp_path / "tasks")]
    killed = subprocess.Popen([*command, str(tmp_path / "killed")], env=os.environ)
    deadline = time.monotonic() + 300
    while len(list((tmp_path / "killed").glob("results/*/*.json"))) < 3:
        assert killed.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "killed").glob("results/*/*.json")}
    assert 3 <= len(before) < 8
    for directory in ("killed", "whole"):
        subprocess.run([*command, str(tmp_path / directory)], check=True)
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in before.items())
    resumed, whole = (read_results(tmp_path / directory) for directory in ("killed", "whole"))
    assert [without_times(r) for r in resumed] == [without_times(r) for r in whole]
    assert len(whole) == 8


def test_the_tasks_of_this_project_are_found():
    assert {task.name.partition(".")[0] for task in find_tasks()} >= {"gene_interaction"}


@pytest.mark.parametrize("tasks", ["gene_property.dosage", ["gene_property.dosage"]])
def test_names_of_tasks_are_refused_with_the_line_that_finds_them(tasks, tmp_path):
    for function in (run, pending):
        with pytest.raises(InputError, match=r"`find_tasks\(names=\['gene_property\.dosage'\]\)`"):
            function(tasks, ["random"], tmp_path)


def test_a_single_embedding_may_stand_for_a_list_of_one(planted_task, tmp_path):
    assert [label for _, label in pending([planted_task()], "random", tmp_path)] == ["random"]
