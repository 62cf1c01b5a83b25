"""All families of language tasks in one run of a small random model, from data to a page."""

import pytest

from bftembed.bench import Model, find_tasks, run, write_report

NAMES = [
    "medical.bioasq_yesno",
    "medical.medqa",
    "process_naming.hallmark",
    "perturbation_reasoning.k562_dir.bare",
    "profile_quality.genes",
]


@pytest.mark.usefixtures("mirror")
def test_all_families_in_one_run(tiny_model, tmp_path):
    """Its window is too small for some of the prompts: these are counted, and none is cut."""
    tasks = [task for name in NAMES for task in find_tasks(names=[name]) if task.name == name]
    model = Model(f"transformers:{tiny_model}", label="tiny")
    results = run(tasks, [model], tmp_path, fast=True)
    assert {result.task.name: result.status for result in results} == dict.fromkeys(NAMES, "ok")
    by_name = {result.task.name: result for result in results}
    for name in NAMES:
        assert by_name[name].baselines, name
        assert by_name[name].counts["flips"] == 0, name
    write_report(results, tmp_path / "report.md")
    ranked, _, written = (tmp_path / "report.md").read_text().partition("### Written answers")
    for name in NAMES:
        assert name in (written if by_name[name].task.mode == "generate" else ranked)
    tables = ranked.partition("### Options ranked by their log-probabilities")[2].partition("## Comparisons")[0]
    assert not any(name in tables for name in ("process_naming", "profile_quality"))
