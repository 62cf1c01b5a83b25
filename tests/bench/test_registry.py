import textwrap

import numpy as np
import pytest

from bftembed.bench import find_tasks, run
from bftembed.errors import InputError

TASK = """
from bftembed.bench import GeneLabels, task

@task(name="{name}", kind="gene", title="t", data=(), main_score="auroc", licence="own", citation="none")
def mine(fast):
    return GeneLabels({{f"G{{i}}": i % 2 for i in range(20)}})

SEVERAL = [mine]
_hidden = mine
"""

FUTURE = """
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bftembed.bench import GeneLabels, task
from bftembed.bench.scoring.probes import LINEAR, Probe

@dataclass(frozen=True)
class Mine(Probe):
    about: Any = None

def make(target):
    return LINEAR.make(target)

@task(name="{name}", kind="gene", title="t", data=(), main_score="auroc", licence="own", citation="none")
def mine(fast):
    return GeneLabels({{f"G{{i}}": i % 2 for i in range(20)}}, probes=[Mine("{name}", make)], n_repeats=1)
"""


def write(directory, family, text):
    path = directory / family / "task.py"
    path.parent.mkdir(parents=True)
    path.write_text(textwrap.dedent(text))


def test_a_users_task_is_found_beside_those_of_the_project(tmp_path):
    write(tmp_path, "own", TASK.format(name="own.first"))
    names = [task.name for task in find_tasks([tmp_path])]
    assert "own.first" in names
    assert "gene_interaction.gene2vec" in names
    assert names == sorted(names)
    (found,) = find_tasks([tmp_path], names=["own"])
    assert found.load(False).entities


def test_families_and_names_choose():
    names = [task.name for task in find_tasks(names=["gene_interaction", "gene_property.dosage"])]
    assert "gene_property.dosage" in names
    assert not any(name.startswith("gene_property") for name in names if name != "gene_property.dosage")
    with pytest.raises(InputError, match=r"There is no task 'gene_propety'\. Did you mean `gene_property`\?"):
        find_tasks(names=["gene_propety"])
    with pytest.raises(InputError, match=r"There is no task 'xyz'\. There are cell_annotation, "):
        find_tasks(names=["xyz"])


def test_two_tasks_of_one_name_are_refused(tmp_path):
    write(tmp_path, "a", TASK.format(name="same"))
    write(tmp_path, "b", TASK.format(name="same"))
    with pytest.raises(InputError, match="Two tasks are called 'same'"):
        find_tasks([tmp_path])


def test_dataclasses_whose_annotations_are_texts(tmp_path):
    for place in ("a", "b"):
        write(tmp_path / place, "own", FUTURE.format(name=f"own.{place}"))
    problems = [task.load(False) for task in find_tasks([tmp_path / "a", tmp_path / "b"], names=["own"])]
    kinds = [type(problem.probes[0]) for problem in problems]
    assert kinds[0] is not kinds[1]
    x = np.random.default_rng(0).normal(size=(20, 2)).astype(np.float32)
    scores = [problems[0].evaluate(x, n_jobs=n_jobs).scores[0] for n_jobs in (1, 2)]  # other processes cannot import it
    np.testing.assert_array_equal(scores[0].values, scores[1].values)


def test_a_directory_without_tasks_and_a_broken_file_are_named(tmp_path):
    with pytest.raises(InputError, match="has no tasks"):
        find_tasks([tmp_path])
    write(tmp_path, "bad", "1 / 0")
    with pytest.raises(InputError, match=r"bad/task\.py cannot be loaded: ZeroDivisionError"):
        find_tasks([tmp_path])
    (tmp_path / "bad" / "task.py").write_text("import sys; sys.exit(3)")
    with pytest.raises(InputError, match=r"bad/task\.py cannot be loaded: SystemExit: 3"):
        find_tasks([tmp_path])


PLUGIN = """
from bftembed.bench import LINEAR, GeneLabels, task

@task(name="plug.parity", kind="gene", title="t", data=(), main_score="auroc", licence="own", citation="none")
def parity(fast):
    return GeneLabels({f"G{i:03d}": i % 2 for i in range(60)}, probes=(LINEAR,), n_repeats=1)

TASKS = [parity]
NONE = "no task"
"""


def test_tasks_of_an_installed_package_are_found(installed, planted, tmp_path, caplog):
    installed("plug_tasks", PLUGIN, "[bftembed.tasks]\none = plug_tasks:parity\n")
    (found,) = find_tasks(names=["plug"])
    assert found.name == "plug.parity"
    (result,) = run([found], [planted()], tmp_path / "results")
    assert result.status == "ok"
    installed("plug_more", PLUGIN.replace("plug.", "more."), "[bftembed.tasks]\ntwo = plug_more:TASKS\n")
    assert [task.name for task in find_tasks(names=["plug", "more"])] == ["more.parity", "plug.parity"]
    assert not [record for record in caplog.records if record.levelname == "WARNING"]


def test_what_cannot_be_loaded_of_an_installed_package_leaves_the_others(installed, caplog):
    installed("plug_tasks", PLUGIN, "[bftembed.tasks]\nnone = plug_tasks:NONE\nlost = plug_tasks:LOST\n")
    assert "gene_property.dosage" in [task.name for task in find_tasks()]
    assert "What is registered as `none` in `bftembed.tasks` is neither a task nor a list of tasks." in caplog.text
    assert "`lost` of `plug_tasks` cannot be loaded" in caplog.text


def test_metadata_is_checked(tmp_path):
    write(tmp_path, "bad", TASK.format(name="Not A Name"))
    with pytest.raises(InputError, match="cannot be loaded: ValidationError"):
        find_tasks([tmp_path])


def test_every_task_of_the_project_says_what_it_has_to():
    for task in find_tasks():
        assert task.info.licence, task.name
        assert task.info.citation, task.name
        assert task.info.data, task.name
