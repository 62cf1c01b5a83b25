"""``bftembed bench`` from tasks to a page."""

import json
import os
import re
import shlex

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from typer.testing import CliRunner

from bftembed.bench import find_tasks
from bftembed.cli.main import app
from bftembed.errors import DataError, InputError

TASK = """
from bftembed.bench import GeneLabels, task

@task(name="toy.parity", kind="gene", title="P", data=(), main_score="auroc", chance=0.5, licence="-", citation="-")
def parity(fast):
    return GeneLabels({f"G{i}": i % 2 for i in range(20 if fast else 60)}, n_repeats=1)
"""


def invoke(*arguments, status=0):
    result = CliRunner().invoke(app, ["bench", *map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == status, result.output
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


def test_a_failure_is_shown_and_is_the_status(tasks, tmp_path):
    (tmp_path / "few.csv").write_text("gene,x\nG0,1\nG1,2\n")
    options = ("-t", "toy", "--tasks-dir", tasks, "--fast", "-j", 1)
    printed = invoke(
        "run", "-o", tmp_path / "run", *options, "-e", "random", "-e", f"file:{tmp_path}/few.csv", status=1
    )
    assert "2 results in" in printed
    assert "1 failed" in printed
    assert (tmp_path / "run" / "fast").is_dir()


def test_an_embedding_that_is_not_there_ends_it_before_anything_is_run(tasks, tmp_path):
    options = ("-t", "toy", "--tasks-dir", tasks, "-j", 1, "-o", tmp_path / "run")
    with pytest.raises(InputError, match="There is no file"):
        invoke("run", *options, "-e", "random", "-e", f"file:{tmp_path}/none.csv")
    assert not (tmp_path / "run").exists()


def test_a_report_holds_tasks_that_are_run_only_by_their_names(tasks, tmp_path):
    file = tasks / "toy" / "task.py"
    file.write_text(
        TASK.replace("toy.parity", "toy.parity.cot").replace('kind="gene"', 'kind="gene", is_default=False')
    )
    options = ("--tasks-dir", tasks, "-o")
    invoke("run", "-t", "toy.parity.cot", "-e", "random", "-j", 1, *options, tmp_path / "run")
    printed = invoke("report", tmp_path / "run", *options, tmp_path / "report.md")
    assert "1 results" in printed
    assert "out of date" not in printed


@pytest.mark.parametrize("fast", [[], ["--fast"]], ids=["whole", "fast"])
def test_the_command_that_is_printed_makes_the_report(fast, tasks, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    mine = tasks.rename(tmp_path / "my tasks")
    printed = invoke("run", "-o", "my runs", "-t", "toy", "--tasks-dir", mine, "-e", "random", "-j", 1, *fast)
    _, *command = shlex.split(printed.splitlines()[-1])
    assert "report.html: 1 results" in invoke(*command[1:])
    assert "out of date" not in invoke(*command[1:])


def test_a_run_without_a_number_of_processes_where_the_system_tells_no_affinity(tasks, tmp_path, monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    assert "1 results in" in invoke("run", "-o", tmp_path / "r", "-t", "toy", "--tasks-dir", tasks, "-e", "random")


def test_a_dry_run_computes_nothing(tasks, tmp_path):
    options = ("run", "-o", tmp_path / "run", "-t", "toy", "--tasks-dir", tasks, "-e", "random", "-j", 1)
    assert "1 of 1 results (tasks x embeddings) would be computed" in invoke(*options, "--dry-run")
    assert not (tmp_path / "run").exists()
    assert "60 of 60 found, on 60" in invoke(*options)
    assert "0 of 1 results" in invoke(*options, "--dry-run")


def test_a_report_says_where_results_are_of_the_other_kind(tasks, tmp_path):
    options = ("-o", tmp_path / "run", "-t", "toy", "--tasks-dir", tasks, "-e", "random", "-j", 1)
    report = ("report", tmp_path / "run", "-o", tmp_path / "r.md", "--tasks-dir", tasks)
    with pytest.raises(DataError, match="There are no results"):
        invoke(*report)
    invoke("run", *options, "--fast")
    with pytest.raises(DataError, match="only 1 results of fast runs: add `--fast`"):
        invoke(*report)
    assert "1 results" in invoke(*report, "--fast")


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


ASKED = """
from bftembed.bench import Item, LanguageProblem, task

class Questions(LanguageProblem):
    removed = {}
    items = [Item(f"q{n:02d}", "A", text=" ".join(f"word{i}x{n}" for i in range(9))) for n in range(30)]
    def questions(self): return []
    def evaluate(self, answers, *, encoder): raise NotImplementedError

@task(name="toy.asked", kind="language", mode="rank", preset="chat", title="Q", data=(), main_score="accuracy",
      licence="-", citation="-")
def asked(fast):
    return Questions()
"""


def test_overlap_with_a_corpus(tasks, tmp_path):
    (tasks / "asking").mkdir()
    (tasks / "asking" / "task.py").write_text(ASKED)
    texts = [" ".join(f"word{i}x{n}" for i in range(9)) for n in range(30)]
    (tmp_path / "corpus.txt").write_text("\n".join(texts[:25]))
    options = (tmp_path / "corpus.txt", "--tasks-dir", tasks, "-t", "toy")
    printed = invoke("overlap", *options, "-o", tmp_path / "tables")
    assert "toy.asked: 30 items, 25 flagged" in printed
    assert "q19" in printed
    assert "q20" not in printed
    assert "and 5 more" in printed
    assert "toy.parity" not in printed
    table = pd.read_csv(tmp_path / "tables" / "toy.asked.csv", index_col="item")
    assert table["flagged"].sum() == 25
    with pytest.raises(DataError, match="There are no results"):
        invoke("overlap", *options, "--results", tmp_path / "none")
    with pytest.raises(InputError, match=r"toy.parity asks no language model"):
        invoke("overlap", tmp_path / "corpus.txt", "--tasks-dir", tasks, "-t", "toy.parity")


def test_a_misspelt_task_is_named(tmp_path):
    with pytest.raises(InputError, match="Did you mean `gene_property`"):
        invoke("run", "-o", tmp_path, "-t", "gene_proprty", "-e", "random")


@pytest.mark.timeout(3600)  # minutes, and these machines are shared
def test_a_fast_run_of_every_task_makes_a_page_without_failures(mirror, tmp_path):
    out, page = tmp_path / "run", tmp_path / "report.html"
    sources, long = ("random", "tfidf", "text:refseq", "hpa", "pca", "harmony"), "perturbation"
    families = {task.name.partition(".")[0] for task in find_tasks()}
    printed = ""
    for tasks, embeddings in ((families - {long}, sources), ({long}, ("random", "hpa"))):  # minutes with texts
        options = [part for name in embeddings for part in ("-e", name)] + [
            part for name in tasks for part in ("-t", name)
        ]
        printed += invoke("run", "-o", out, "--fast", *options, status=int(long not in tasks))
    failed = [line for line in printed.splitlines() if "failed: " in line]
    assert len(failed) == 1, failed  # of the types of genes the Protein Atlas has the protein-coding ones
    assert re.match(r"gene_property\.gene_type +hpa .*Only 22 of 152 genes have a vector", failed[0])
    invoke("report", out, "-o", page, "--fast")
    html = page.read_text()
    results = [json.loads(path.read_text()) for path in (out / "fast").rglob("*.json")]
    scored = {result["task"]["name"] for result in results if result["status"] == "ok"}
    assert scored == {task.name for task in find_tasks() if task.info.kind != "language"}
    assert all(name in html for name in scored)


LANGUAGE = """
import numpy as np
from bftembed.bench import Evaluation, Item, LanguageProblem, Question, Score, task
from bftembed.data import given_file
from bftembed.engines import Request

class Letters(LanguageProblem):
    removed = {}

    def __init__(self, texts):
        self.items = [Item(str(n), "A", ("A", "B"), text=text) for n, text in enumerate(texts)]

    def questions(self):
        return [Question(Request(i.id, i.text, prefix="Answer:"), i.id, (" A", " B")) for i in self.items]

    def evaluate(self, answers, *, encoder):
        right = [int(np.argmax(answers[i.id].logprobs)) == 0 for i in self.items]
        return Evaluation([Score("letters", "accuracy", np.array([[np.mean(right)]]))], [], [i.id for i in self.items],
                          right=right, counts={"undecided": len(right) - 2})

fields = dict(kind="language", mode="rank", title="L", data=(), main_score="accuracy",
              licence="Creative Commons BY-NC 4.0", citation="-")

@task(name="words.letters", preset="chat", **fields)
def letters(fast):
    return Letters(["A or B?", "B or A?"])

@task(name="words.mine", preset="raw", is_default=False, files=("lines",), **fields)
def mine(fast):
    return Letters(given_file("lines").read_text().splitlines())
"""


def test_language_models_are_asked(tmp_path, tiny_model):
    path = tmp_path / "tasks" / "words" / "task.py"
    path.parent.mkdir(parents=True)
    path.write_text(LANGUAGE)
    (tmp_path / "lines.txt").write_text("One?\nTwo?\nThree?\n")
    where = ["--tasks-dir", path.parent.parent, "-t", "words"]
    model = ["-e", f"small=model:transformers:{tiny_model}", "--engine-option", "dtype=bfloat16"]
    assert "words.mine" not in invoke("list", *where)
    assert "words.mine" in invoke("list", *where, "--preset", "raw")
    printed = invoke("run", *where, *model, "-e", "random", "-o", tmp_path / "run")
    assert "No commercial use of the data of words.letters: Creative Commons BY-NC 4.0." in printed
    assert "not applicable: `random` is an embedding" in printed
    invoke("answers", tmp_path / "run", *where[:2], "-t", "words.letters", "-e", "small", "-o", tmp_path / "a.jsonl")
    first, _ = map(json.loads, (tmp_path / "a.jsonl").read_text().splitlines())
    assert (first["gold"], first["options"], first["prompt"]) == (
        "A",
        [" A", " B"],
        "user: A or B?\n\nassistant: Answer:",
    )
    lines = ["--file", f"lines={tmp_path / 'lines.txt'}", "--preset", "raw"]
    dry = invoke("run", *where, *model, *lines, "-o", tmp_path / "run", "--dry-run")
    assert "1 of 1 results" in dry
    printed = invoke("run", *where, *model, *lines, "-o", tmp_path / "run")
    assert "on 3  undecided: 1" in printed
    result = json.loads((tmp_path / "run/results/words.mine/small.own.json").read_text())
    assert result["description"]["engine"]["dtype"] == "bfloat16"
    with pytest.raises(InputError, match="`lines` names no file; write it as NAME=PATH"):
        invoke("run", *where, *model, "--file", "lines", "-o", tmp_path / "run")
    with pytest.raises(DataError, match=r"There is no file .*lost"):
        invoke("run", *where, *model, "--file", "lines=lost", "-o", tmp_path / "run")
