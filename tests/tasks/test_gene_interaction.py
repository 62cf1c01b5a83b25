"""Every task of the family loads, with the numbers of pairs that the data are known to have."""

import numpy as np
import pytest

from bftembed.bench import find_tasks, get_source

TASKS = {task.name.partition(".")[2]: task for task in find_tasks(names=["gene_interaction"])}


def test_gene2vec_is_gene_disjoint_by_symbol(mirror):
    problem = TASKS["gene2vec"].load(False)
    (split,) = problem._splits
    assert 190_000 < len(problem.pairs.label) < 290_016
    assert problem.removed["pairs of a gene with itself"] == 27
    assert problem.removed["training pairs of a gene that is tested under another name"] > 0
    assert problem._genes_of(split.test).isdisjoint(problem._genes_of(split.train) | problem._genes_of(split.valid))


def test_the_node_prior_of_gene2vec_is_worth_nothing_until_it_sees_the_genes(mirror):
    """Known from elsewhere: 0.500 on the official test, about 0.98 on a random split."""
    problem = TASKS["gene2vec"].load(False)
    rows = np.arange(len(problem.pairs.label))
    assert problem._random_split(rows, None)[0, 0] == pytest.approx(0.98, abs=0.01)
    from bftembed.bench.problems._pair_data import node_prior
    from bftembed.bench.scoring.metrics import auroc, plain

    (split,) = problem._splits
    test = problem.pairs.take(split.test)
    assert plain(auroc, test.label, node_prior(problem.pairs.take(split.train), test)) == pytest.approx(0.5)


@pytest.mark.parametrize(("name", "positives"), [("trrust", 8261), ("ligand_receptor", 3507)])
def test_matched_negatives_leave_the_nodes_nothing(mirror, name, positives):
    problem = TASKS[name].load(False)
    positive = int(problem.pairs.label.sum())
    assert abs(positive - positives) < 20
    assert len(problem.pairs.label) - positive > 0.8 * positive
    rows = np.arange(len(problem.pairs.label))
    assert problem._random_split(rows, None)[0, 0] < 0.6


def test_genetic_interactions_keep_the_published_folds(mirror):
    problem = TASKS["genetic_interaction"].load(False)
    assert len(problem._splits) == 3
    assert [abs(len(split.test) - n) < 200 for split, n in zip(problem._splits, (12981, 12664, 13141), strict=True)]


@pytest.mark.parametrize("name", TASKS)
def test_a_fast_run_is_small_and_random_vectors_score_chance(mirror, name):
    problem = TASKS[name].load(True)
    assert len(problem.pairs.label) <= 20_000
    evaluation = problem.evaluate(problem.embed(get_source("random"))[:, :16])
    assert 0.35 < evaluation.scores[0].mean < 0.65
