"""Every task of the family loads, with a text for each type, and text finds types where random vectors do not."""

import numpy as np
import pytest

from bftembed.bench import find_tasks, get_source

TASKS = {task.name.partition(".")[2]: task for task in find_tasks(names=["cell_annotation"])}


@pytest.mark.parametrize(("name", "n_cells", "n_types"), [("symphony_pbmc", 1200, 9), ("pbmc68k", 700, 10)])
def test_cells_types_and_texts(mirror, name, n_cells, n_types):
    problem = TASKS[name].load(False)
    assert len(problem.entities) == n_cells
    assert len(problem.texts) == n_types == len(np.unique(problem.types))
    assert TASKS[name].info.chance == pytest.approx(1 / n_types, abs=1e-4)
    texts = [each.text for each in problem.texts.values()]
    assert len(set(texts)) == n_types
    assert all(len(each.markers) == 5 for each in problem.texts.values())


def test_words_find_types_that_random_vectors_do_not(mirror):
    problem = TASKS["symphony_pbmc"].load(True)
    assert len(problem.entities) <= 260
    evaluation = problem.evaluate(problem.embed(get_source("tfidf")))
    assert evaluation.scores[0].metric == TASKS["symphony_pbmc"].info.main_score
    baselines = {score.method: score.mean for score in evaluation.baselines if score.metric == "balanced accuracy"}
    assert evaluation.scores[0].mean > baselines["random vectors"]
    assert evaluation.scores[0].mean > 3 * baselines["names shuffled"]
