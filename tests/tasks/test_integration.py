"""Every task of the family loads, with the cells that the data are known to have, and ranks what is known."""

import numpy as np
import pytest

from bftembed.bench import find_tasks, get_source

TASKS = {task.name.partition(".")[2]: task for task in find_tasks(names=["integration"])}


@pytest.mark.parametrize(
    ("name", "n_cells", "n_types", "n_batches"),
    [("symphony_pbmc", 1200, 9, 3), ("pbmc68k", 700, 10, 8), ("pbmc_stim", 2000, 0, 2)],
)
def test_cells_types_and_batches(mirror, name, n_cells, n_types, n_batches):
    problem = TASKS[name].load(False)
    obs = problem.adata.obs
    assert len(problem.entities) == n_cells
    assert obs["batch"].nunique() == n_batches
    assert (obs["cell_type"].nunique() if "cell_type" in obs else 0) == n_types


def test_cells_of_two_modalities(mirror):
    joint, matching = (TASKS[f"bremsc_{name}"].load(False) for name in ("joint", "matching"))
    assert joint.removed["cells of unknown type"] == 190
    assert len(joint.entities) == 1182
    assert len(matching.entities) == 1372
    assert len(matching.proteins) == 10
    np.testing.assert_allclose(matching.levels.mean(axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(matching.levels.std(axis=0), 1)


def test_words_bring_rna_to_the_proteins_of_its_cell(mirror):
    """Above the proteins' own genes, and random vectors of the genes that the words know."""
    problem = TASKS["bremsc_matching"].load(False)
    found = problem.evaluate(problem.embed(get_source("tfidf")))
    beside = {score.method: score.mean for score in found.baselines if score.metric == "1 - FOSCTTM"}
    others = beside["own genes of the proteins"], beside["random vectors of the same genes"]
    assert found.scores[0].mean > max(others) + 0.01
    assert min(others) > beside["one point"] == 0.5


def test_only_what_has_labels_ranks(mirror):
    assert [name for name, task in TASKS.items() if not task.info.ranked] == ["pbmc_stim"]


def test_harmony_integrates_technologies(mirror):
    """Known from elsewhere: it mixes them and keeps the types; one point does neither."""
    problem = TASKS["symphony_pbmc"].load(True)
    assert 200 <= len(problem.entities) <= 300
    found = problem.evaluate(problem.embed(get_source("harmony")))
    total = {score.method: score.mean for score in found.baselines if score.metric == "total"}
    assert found.scores[0].mean > total["PCA, not integrated"] > total["one point"] == 0
    assert found.scores[0].mean > total["PCA, cells shuffled"] + 0.1


@pytest.mark.parametrize("name", ["bremsc_joint", "bremsc_matching", "pbmc_stim"])
def test_a_fast_run_is_small_and_its_scores_are_known(mirror, name):
    problem = TASKS[name].load(True)
    assert 200 <= len(problem.entities) <= 300
    found = problem.evaluate(problem.embed(get_source("random")))
    assert found.scores[0].metric == TASKS[name].info.main_score
    values = np.array([score.mean for score in [*found.scores, *found.baselines]])
    assert ((values >= 0) & (values <= 1)).all()
