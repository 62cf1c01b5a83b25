"""The vote of similar perturbations, against the formula written as loops."""

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from sklearn.metrics import roc_auc_score

from bftembed.bench.problems.effect_votes import Rows, Setting, auroc_per_gene, chosen, tuned, vote
from bftembed.likeness import unit

N_GENES, N_PERTS = 8, 40


def planted(seed=0):
    """Genes 0 to 7 are read out under perturbations 8 to 47, which do alike where they are alike."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(N_GENES + N_PERTS, 3))
    gene, pert = (each.ravel() for each in np.meshgrid(np.arange(N_GENES), np.arange(N_GENES, N_GENES + N_PERTS)))
    kept = rng.random(len(gene)) < 0.7
    gene, pert = gene[kept], pert[kept]
    yes = rng.random(len(gene)) < 1 / (1 + np.exp(-3 * (x[pert] * x[gene]).sum(axis=1)))
    rows = Rows(pert, gene, yes)
    return unit(x), rows.take(pert >= 18), rows.take(pert < 18)


def by_hand(x, train, test, setting):
    """The formula of the module, pair by pair."""
    usual = {}
    for gene in np.union1d(train.gene, test.gene):
        mine = train.label[train.gene == gene]
        usual[gene] = (mine.sum() + train.label.mean()) / (len(mine) + 1)
    perts = np.unique(train.pert)
    pairs = [(p, q) for p in perts for q in perts if p != q]
    average = np.mean([np.exp((x[p] @ x[q] - 1) / setting.t) for p, q in pairs])
    scores = []
    for p, g in zip(test.pert, test.gene, strict=True):
        above = below = 0.0
        for q, h, y in zip(*train, strict=True):
            k = np.exp((x[p] @ x[q] - 1) / setting.t)
            k *= 1 if g == h else setting.c * np.exp((x[g] @ x[h] - 1) / setting.u)
            above += k * (y - usual[h])
            below += k
        scores.append(above / (below + setting.s * average))
    return np.array(scores)


@pytest.mark.parametrize("setting", [Setting(0.3), Setting(0.1, s=3.0), Setting(0.3, u=0.5, c=0.4)])
@pytest.mark.parametrize("layout", [np.asarray, csr_matrix])
def test_the_vote_is_the_formula(setting, layout):
    x, train, test = planted()
    train = train.take(train.gene != 3)  # a gene that train lacks
    np.testing.assert_allclose(
        vote(layout(x), train, test, setting), by_hand(x.astype(float), train, test, setting), atol=1e-5
    )


def test_without_shrinkage_it_ranks_as_the_weighted_mean_of_the_answers_of_the_gene():
    x, train, test = planted()
    found = vote(x, train, test, Setting(0.2, s=1e-9))
    for gene in range(N_GENES):
        mine, asked = train.gene == gene, test.gene == gene
        weights = np.exp((x[test.pert[asked]] @ x[train.pert[mine]].T - 1) / 0.2)
        means = np.array([np.average(train.label[mine], weights=each) for each in weights])
        np.testing.assert_allclose(np.diff(found[asked]), np.diff(means), atol=1e-4)


def test_a_score_depends_on_its_row_alone():
    x, train, test = planted()
    setting = Setting(0.2, u=0.3, c=0.3)
    whole = vote(x, train, test, setting)
    some = np.random.default_rng(0).random(len(test.label)) < 0.3
    np.testing.assert_allclose(vote(x, train, test.take(some), setting), whole[some], atol=1e-6)
    unlabelled = test._replace(label=~test.label)
    np.testing.assert_array_equal(vote(x, train, unlabelled, setting), whole)


def test_the_score_is_that_of_scikit_learn():
    _, train, _ = planted()
    guess = np.random.default_rng(1).normal(size=len(train.label)).round(1)  # with ties
    expected = []
    for gene in np.unique(train.gene):
        mine = train.gene == gene
        if 0 < train.label[mine].sum() < mine.sum():
            expected.append(roc_auc_score(train.label[mine], guess[mine]))
    assert auroc_per_gene(train, guess) == pytest.approx(np.mean(expected))


def test_the_choice_is_made_on_training_perturbations_that_were_held_out():
    x, train, test = planted()
    settings = [Setting(0.001), Setting(0.5)]
    best, means = tuned(x, train, settings, n_repeats=2)
    assert best == settings[1]
    assert means[1] > means[0] + 0.03
    scores = {each: auroc_per_gene(test, vote(x, train, test, each)) for each in settings}
    assert scores[best] > 0.6
    assert chosen(x, train).t in (0.05, 0.1, 0.2, 0.5)


def test_a_setting_that_is_tried_beside_others_scores_as_alone():
    x, train, _ = planted()
    settings = [Setting(0.3), Setting(0.3, u=0.5, c=0.3), Setting(0.3, u=0.5, c=1.0), Setting(0.1, u=0.5, c=1.0)]
    _, together = tuned(x, train, settings)
    alone = [tuned(x, train, [each])[1][0] for each in settings]
    np.testing.assert_allclose(together, alone)
    assert len(set(alone)) == len(settings)


def test_of_equal_settings_the_first_is_taken():
    x, train, _ = planted()
    best, means = tuned(x, train, [Setting(0.2, u=0.1), Setting(0.2, u=0.9)])
    assert means[0] == means[1]
    assert best.u == 0.1
