"""Genes and prompts of the task."""

import pytest

from bftembed import datasets
from bftembed.bench import find_tasks
from bftembed.quality import gene_annotations

TASKS = {task.name: task for task in find_tasks(names=["profile_quality"], presets=["names", "facts"])}
NAMES, FACTS = "profile_quality.genes", "profile_quality.genes.facts"


def test_the_default_asks_by_bare_names():
    assert set(TASKS) == {NAMES, FACTS}
    assert [task.name for task in find_tasks(names=["profile_quality"])] == [NAMES]
    assert all(task.info.kind == "language" and task.info.mode == "generate" for task in TASKS.values())


def test_genes_are_fixed_and_each_can_be_judged(mirror):
    problem = TASKS[NAMES].load(False)
    genes = [item.id for item in problem.items]
    assert len(genes) == 200
    assert set(problem.removed.values()) == {20_893 - 10_186, 9_986}
    facts = datasets.gene_facts().frame.set_index("symbol").loc[genes]
    assert (facts[["locus", "full_name", "summary"]] != "").all(axis=None)
    assert set(genes) <= set(gene_annotations())
    fast = TASKS[NAMES].load(True)
    assert {item.id for item in fast.items} == {"FIS1", "DMKN", "ATP2C1", "CSTF1", "FOSL2", "TNXB", "HACD1", "ARL2"}
    assert fast.sampling.max_new_tokens == 64


@pytest.mark.parametrize(("name", "told"), [(NAMES, False), (FACTS, True)])
def test_facts_stand_in_the_prompts_of_their_preset_alone(mirror, name, told):
    problem = TASKS[name].load(False)
    facts = datasets.gene_facts().frame.set_index("symbol")
    for question in problem.questions():
        text = question.request.user + question.request.system
        assert (facts.loc[question.item, "summary"] in text) == told
        assert (f"locus: {facts.loc[question.item, 'locus']}" in text) == told
