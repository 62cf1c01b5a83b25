"""The task of expression responses loads, and its baselines are what plain numpy says of the data."""

import numpy as np
import pytest

from bftembed import data
from bftembed.bench import find_tasks, get_source

(TASK,) = find_tasks(names=["perturbation.norman"])


@pytest.fixture(scope="module")
def problem(mirror):
    return TASK.load(False)


@pytest.fixture(scope="module")
def evaluation(problem):
    return problem.evaluate(problem.embed(get_source("random")))


def scores_of(scores, method):
    return {score.metric: score for score in scores if score.method == method}


def test_the_perturbations_are_those_of_the_manifest(problem):
    singles = [genes for genes in problem.responses.parts if len(genes) == 1]
    assert problem.responses.change.shape == (33, 500)
    assert len(singles) == 18
    assert len(problem.entities) == 31
    assert problem.removed == {"cells of McFaline-Figueroa et al. (noise)": 2586}
    assert problem.notes == ()  # already log-normalised


def test_changes_are_means_of_cells_minus_means_of_controls(problem):
    cells = data.load("norman_perturbench", "cells")
    cells = cells[cells.obs["dataset"] == "norman19"]
    x, condition = cells.X.toarray(), cells.obs["condition"].astype(str).to_numpy()
    for name, label in (("KLF1", "KLF1"), ("KLF1+SET", "SET+KLF1")):
        expected = x[condition == label].mean(axis=0) - x[condition == "control"].mean(axis=0)
        np.testing.assert_allclose(problem.responses.change[problem.responses.names.index(name)], expected, atol=1e-12)


def test_baselines_by_plain_numpy(problem, evaluation):
    change, parts = problem.responses.change, [set(genes) for genes in problem.responses.parts]
    of_mean, of_sum = [], []
    for i, mine in enumerate(parts):
        apart = [j for j, other in enumerate(parts) if not mine & other]
        of_mean.append(np.corrcoef(change[apart].mean(axis=0), change[i])[0, 1])
        singles = [j for j, other in enumerate(parts) if len(other) == 1 and other < mine]
        if len(singles) == 2:
            of_sum.append(np.corrcoef(change[singles].sum(axis=0), change[i])[0, 1])
    found = scores_of(evaluation.baselines, "training mean")["pearson delta"]
    np.testing.assert_allclose(found.values[0], of_mean)
    assert found.mean == pytest.approx(0.282, abs=0.001)
    summed = scores_of(evaluation.baselines, "sum of single changes")["pearson delta, doubles, 2 seen"]
    assert len(of_sum) == 5
    assert summed.mean == pytest.approx(np.mean(of_sum))


def test_random_vectors_predict_no_unseen_gene_and_do_so_once_it_was_seen(evaluation):
    scores = scores_of(evaluation.scores, "ridge")
    assert -0.2 < scores["normalised pearson delta"].mean < 0.05
    assert scores["normalised pearson delta, doubles, 2 seen"].mean > 0.7
    assert evaluation.counts["doubles, 1 seen"] == 6
    assert evaluation.counts["doubles, 2 seen"] == 7
    assert evaluation.notes == ["No perturbation has what the baseline `ridge on expression components` needs."]


def test_a_fast_run_is_small(mirror):
    problem = TASK.load(True)
    assert len(problem.responses.parts) == 16
    assert -0.4 < problem.evaluate(problem.embed(get_source("random"))).scores[0].mean < 0.1
