import textwrap

import pytest

from bftembed.bench import find_tasks
from bftembed.errors import InputError

TASK = """
from bftembed.bench import GeneLabels, task

@task(name="{name}", kind="gene", title="t", data=(), main_score="auroc", licence="own", citation="none")
def mine(fast):
    return GeneLabels({{f"G{{i}}": i % 2 for i in range(20)}})

SEVERAL = [mine]
_hidden = mine
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
    with pytest.raises(InputError, match="There is no task 'gene_propety'; did you mean 'gene_property'"):
        find_tasks(names=["gene_propety"])
    with pytest.raises(InputError, match="There is no task 'xyz'; there are cell_clustering, "):
        find_tasks(names=["xyz"])


def test_two_tasks_of_one_name_are_refused(tmp_path):
    write(tmp_path, "a", TASK.format(name="same"))
    write(tmp_path, "b", TASK.format(name="same"))
    with pytest.raises(InputError, match="Two tasks are called 'same'"):
        find_tasks([tmp_path])


def test_a_directory_without_tasks_and_a_broken_file_are_named(tmp_path):
    with pytest.raises(InputError, match="has no tasks"):
        find_tasks([tmp_path])
    write(tmp_path, "bad", "1 / 0")
    with pytest.raises(InputError, match=r"bad/task\.py cannot be loaded: ZeroDivisionError"):
        find_tasks([tmp_path])


def test_metadata_is_checked(tmp_path):
    write(tmp_path, "bad", TASK.format(name="Not A Name"))
    with pytest.raises(InputError, match="cannot be loaded: ValidationError"):
        find_tasks([tmp_path])


def test_every_task_of_the_project_says_what_it_has_to():
    for task in find_tasks():
        assert task.info.licence, task.name
        assert task.info.citation, task.name
        assert task.info.data, task.name
