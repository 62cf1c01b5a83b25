"""Every task of the family loads, with the numbers of rows and compounds that the data are known to have."""

import numpy as np
import pandas as pd
import pytest

from bftembed import data, datasets
from bftembed.bench import find_tasks, get_source
from bftembed.bench.problems.effects import gene_rate
from bftembed.bench.scoring.metrics import auroc, plain
from bftembed.entities import drug_names

TASKS = {task.name.partition(".")[2]: task for task in find_tasks(names=["perturbation"])}
EFFECTS = ["k562_de", "k562_dir", "rpe1_de", "rpe1_dir"]
#: Of the manifest: rows and perturbations of train and test, rows with yes in test, genes with both labels there.
KNOWN = {
    "k562_de": (134_467, 1564, 23_212, 267, 3119, 665),
    "k562_dir": (16_861, 1489, 3119, 242, 2530, 150),
    "rpe1_de": (149_147, 1596, 37_942, 406, 5365, 684),
    "rpe1_dir": (21_287, 1521, 5365, 381, 2121, 193),
}


@pytest.mark.parametrize("name", EFFECTS)
def test_effects_are_those_of_the_data(mirror, name):
    problem = TASKS[name].load(False)
    every, tested = problem.rows, problem.tested
    lost = problem.removed.pop("rows with a name that is unknown or ambiguous")
    assert problem.removed == {}  # nothing else: canonical names make no repeats and no leaks
    n_train, train_perts, n_test, test_perts, yes, genes = KNOWN[name]
    assert len(every.label) + lost == n_train + n_test
    assert n_train - 210 < (~tested).sum() <= n_train
    assert n_test - 5 < tested.sum() <= n_test
    assert len(np.unique(every.pert[~tested])) == train_perts - 2  # AC118549.1 and QARS, which is two genes
    assert len(np.unique(every.pert[tested])) == test_perts
    assert every.label[tested].sum() == yes
    assert (pd.Series(every.label[tested]).groupby(every.gene[tested]).nunique() == 2).sum() == genes


@pytest.mark.parametrize(
    ("name", "expected"), [("k562_de", 0.954), ("k562_dir", 0.842), ("rpe1_de", 0.975), ("rpe1_dir", 0.933)]
)
def test_the_gene_rate_wins_the_pooled_score(mirror, name, expected):
    problem = TASKS[name].load(False)
    train, test = problem.rows.take(~problem.tested), problem.rows.take(problem.tested)
    assert plain(auroc, test.label, gene_rate(train, test)) == pytest.approx(expected, abs=0.002)


@pytest.mark.parametrize("name", EFFECTS)
def test_a_fast_run_is_small_and_random_vectors_score_chance(mirror, name):
    problem = TASKS[name].load(True)
    assert len(problem.rows.label) < 35_000
    evaluation = problem.evaluate(problem.embed(get_source("random"))[:, :16])
    assert 0.3 < evaluation.scores[0].mean < 0.7


def test_published_figures_stand_beside(mirror):
    figures = {each.model: each.value for each in TASKS["rpe1_dir"].info.published}
    assert figures == {"GEARS": 0.61, "retrieval only": 0.63, "SUMMER": 0.64}
    assert len(TASKS["k562_de"].info.published) == 6


def test_pathways(mirror):
    problem = TASKS["drug_pathway"].load(False)
    classes, sizes = np.unique(problem.labels, return_counts=True)
    assert len(classes) == 16 == 1 / TASKS["drug_pathway"].info.chance
    assert sizes.min() >= 20
    assert not {"Others", "Vehicle", "Autophagy"} & set(classes)
    assert problem.removed["rows without a pathway"] == 106  # Others 103, Vehicle, one empty, one broken
    assert len(problem.entities) + sum(problem.removed.values()) == 1230
    assert len(TASKS["drug_pathway"].load(True).entities) < 400


def test_distances(mirror):
    problem = TASKS["drug_distance"].load(False)
    assert problem.removed == {
        "compounds nearer to control than 0.1": 76,
        "salts and synonyms of another compound": 1,
    }
    assert len(problem.entities) == 188 - 77
    assert problem.strengths.max() == pytest.approx(3.70, abs=0.005)
    evaluation = problem.evaluate(problem.embed(get_source("random")))
    assert abs(evaluation.scores[0].mean) < 0.05
    strength = {score.metric: score.mean for score in evaluation.baselines[:2]}
    assert strength["spearman"] == pytest.approx(0.631, abs=0.001)
    assert abs(strength["spearman beyond strength"]) < 0.05
    fast = TASKS["drug_distance"].load(True)
    assert len(fast.entities) == 60


def test_how_many_compounds_the_repurposing_table_knows(mirror):
    facts = datasets.drug_facts()
    names = data.load("sciplex_edist").index.drop("control")
    assert sum(name.casefold() in facts for name in names) == 64
    assert sum(any(other in facts for other in drug_names(name)) for name in names) == 172
