"""``bftembed bench`` from tasks to a page."""

import json
import re

import numpy as np
import pytest
from anndata import AnnData
from typer.testing import CliRunner

from bftembed.bench import find_tasks
from bftembed.cli.main import app
from bftembed.errors import InputError

TASK = """
from bftembed.bench import GeneLabels, task

@task(name="toy.parity", kind="gene", title="P", data=(), main_score="auroc", chance=0.5, licence="-", citation="-")
def parity(fast):
    return GeneLabels({f"G{i}": i % 2 for i in range(20 if fast else 60)}, n_repeats=1)
"""


def invoke(*arguments):
    result = CliRunner().invoke(app, ["bench", *map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture
def tasks(tmp_path):
    path = tmp_path / "tasks" / "toy" / "task.py"
    path.parent.mkdir(parents=True)
    path.write_text(TASK)
    return path.parent.parent


def test_from_tasks_to_a_page(tasks, tmp_path):
    out, cells = tmp_path / "run", f"h5ad:{tmp_path / 'cells.h5ad'}#obsm/X_scGPT"
    AnnData(obsm={"X_scGPT": np.ones((3, 2), dtype=np.float32)}).write_h5ad(tmp_path / "cells.h5ad")
    printed = invoke("run", "-o", out, "-t", "toy", "--tasks-dir", tasks, "-e", "control=random", "-e", cells, "-j", 1)
    assert "toy.parity" in printed
    assert "control" in printed
    assert "not applicable" in printed
    assert "2 results in" in printed
    assert json.loads((out / "results/toy.parity/control.own.json").read_text())["status"] == "ok"
    for suffix in ("html", "md", "csv"):
        page = tmp_path / f"report.{suffix}"
        assert "2 results" in invoke("report", out, "-o", page, "--tasks-dir", tasks)
        assert "toy.parity" in page.read_text()


def test_fast_and_failures_are_shown(tasks, tmp_path):
    out = tmp_path / "run"
    options = ("-t", "toy", "--tasks-dir", tasks, "--fast", "-j", 1)
    printed = invoke("run", "-o", out, *options, "-e", "random", "-e", f"file:{tmp_path}/none.csv")
    assert "1 failed" in printed
    assert "--fast" in printed
    assert (out / "fast").is_dir()
    assert "There is no file" in printed


def test_the_list_shows_tasks_and_embeddings(tasks):
    printed = invoke("list", "--tasks-dir", tasks)
    assert "toy.parity" in printed
    assert "gene_property.tf_range" in printed
    assert "(not ranked)" in printed
    assert "file:PATH" in printed


def test_results_of_tasks_that_are_gone_are_left_out(tasks, tmp_path):
    out = tmp_path / "run"
    invoke("run", "-o", out, "-t", "toy", "--tasks-dir", tasks, "-e", "random", "-j", 1)
    (tasks / "toy" / "task.py").write_text(TASK.replace('kind="gene"', 'kind="gene", version=2'))
    printed = invoke("report", out, "-o", tmp_path / "r.md", "--tasks-dir", tasks)
    assert "1 out of date and left out" in printed
    assert "made by version 1 of the task, which is at 2" in (tmp_path / "r.md").read_text()


def test_a_misspelt_task_is_named(tmp_path):
    with pytest.raises(InputError, match="did you mean 'gene_property'"):
        invoke("run", "-o", tmp_path, "-t", "gene_proprty", "-e", "random")


@pytest.mark.timeout(3600)  # minutes, and these machines are shared
def test_a_fast_run_of_every_task_makes_a_page_without_failures(mirror, tmp_path):
    out, page = tmp_path / "run", tmp_path / "report.html"
    names = ("random", "tfidf", "text:refseq", "hpa", "pca", "harmony")
    printed = invoke("run", "-o", out, "--fast", *(part for name in names for part in ("-e", name)))
    failed = [line for line in printed.splitlines() if "failed: " in line]
    assert len(failed) == 1, failed  # of the types of genes the Protein Atlas has the protein-coding ones
    assert re.match(r"gene_property\.gene_type +hpa .*Only 22 of 152 genes have a vector", failed[0])
    invoke("report", out, "-o", page, "--fast")
    html = page.read_text()
    results = [json.loads(path.read_text()) for path in (out / "fast").rglob("*.json")]
    scored = {result["task"]["name"] for result in results if result["status"] == "ok"}
    assert scored == {task.name for task in find_tasks()}
    assert all(name in html for name in scored)
