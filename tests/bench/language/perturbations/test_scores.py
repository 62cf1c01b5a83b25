"""Scores within genes and perturbations and their replicates, against loops over what was drawn."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score, roc_auc_score

from bftembed.bench.language.perturbations.pairs import checked_pairs
from bftembed.bench.language.perturbations.scores import BALANCED, DIFFERENCE, Sample, best_threshold, less
from bftembed.bench.scoring.clusters import group_weights


def asked(seed=0, n_perts=9, n_genes=7):
    rng = np.random.default_rng(seed)
    rows = [
        (f"P{p}", f"G{g}", int(rng.random() < 0.5), "test")
        for p in range(n_perts)
        for g in range(n_genes)
        if rng.random() < 0.7
    ]
    pairs = checked_pairs(pd.DataFrame(rows, columns=["pert", "gene", "label", "split"]))
    return pairs[pairs.groupby("readout")["label"].transform("nunique") == 2].reset_index(drop=True)


def by_hand(pairs, score, group, times, times_of_group):
    """Mean over groups, each as often as it was drawn, of the AUROC of its rows, each as often as it was drawn."""
    found, weights = [], []
    for name in sorted(set(pairs[group])):
        rows = np.flatnonzero(pairs[group] == name)
        drawn = np.repeat(rows, times[rows].astype(int))
        label = pairs["label"].to_numpy()[drawn]
        if len(set(label)) == 2 and times_of_group[rows[0]]:
            found.append(roc_auc_score(label, score[drawn]))
            weights.append(times_of_group[rows[0]])
    return np.average(found, weights=weights) if found else np.nan


def test_auroc_within_groups_is_that_of_scikit_learn_and_so_are_its_replicates():
    pairs = asked()
    sample, score = Sample(pairs), np.random.default_rng(1).normal(size=len(pairs)).round(1)
    genes, perts = group_weights(pairs["readout"], role="columns"), group_weights(pairs["pert"], role="rows")
    ones = np.ones(len(pairs))
    for found, group, times, times_of_group in (
        (sample.per_gene("x", score), "readout", perts, genes),
        (sample.per_perturbation("x", score), "pert", genes, perts),
    ):
        assert found.mean == pytest.approx(by_hand(pairs, score, group, ones, ones))
        expected = [by_hand(pairs, score, group, times[i], times_of_group[i]) for i in range(40)]
        np.testing.assert_allclose(found.draws[:40], expected)
    assert sample.plain_per_gene(score) == sample.per_gene("x", score).mean


def test_a_pair_without_an_answer_ties_with_all_others():
    pairs = asked()
    score = np.random.default_rng(1).normal(size=len(pairs))
    lost = np.random.default_rng(2).random(len(pairs)) < 0.3
    found = Sample(pairs).per_gene("x", np.where(lost, np.nan, score)).mean
    expected = []
    for rows in pairs.groupby("readout").indices.values():
        yes, no = ([i for i in rows if pairs["label"][i] == label] for label in (True, False))
        wins = [0.5 if lost[i] or lost[j] else float(score[i] > score[j]) for i in yes for j in no]
        expected.append(np.mean(wins))
    assert found == pytest.approx(np.mean(expected))
    nothing = Sample(pairs).per_gene("x", np.full(len(pairs), np.nan))
    assert nothing.mean == 0.5
    assert np.nanmax(np.abs(nothing.draws - 0.5)) == 0


@pytest.mark.parametrize("constant", [1, -1])
def test_constants_score_one_half_on_balanced_pairs_and_silence_nothing(constant):
    pairs = asked()
    sample = Sample(pairs)
    assert sample.accuracy("x", np.full(len(pairs), constant)).mean == 0.5
    assert sample.accuracy("x", np.zeros(len(pairs), dtype=int)).mean == 0
    of_gene = pairs["readout"].map({name: 1 if i % 2 else -1 for i, name in enumerate(sorted(set(pairs["readout"])))})
    assert sample.accuracy("x", of_gene.to_numpy()).mean == 0.5
    right = sample.accuracy("x", np.where(pairs["label"], 1, -1))
    assert (right.mean, right.metric) == (1.0, BALANCED)


def test_replicates_of_shares_count_a_pair_as_often_as_its_two():
    pairs = asked()
    sample, guess = Sample(pairs), np.random.default_rng(3).choice([1, -1], len(pairs))
    times = group_weights(pairs["readout"], role="columns") * group_weights(pairs["pert"], role="rows")
    label = pairs["label"].to_numpy()
    f1, accuracy = sample.f1("x", guess == 1), sample.accuracy("x", guess)
    assert f1.mean == pytest.approx(f1_score(label, guess == 1))
    for i in range(20):
        rows = np.repeat(np.arange(len(pairs)), times[i].astype(int))
        assert f1.draws[i] == pytest.approx(f1_score(label[rows], guess[rows] == 1))
        rows = rows[sample.balanced[rows]]
        assert accuracy.draws[i] == pytest.approx(np.mean((guess[rows] == 1) == label[rows]))


def test_pooled_scores_are_of_all_pairs_as_one():
    pairs = asked()
    score = np.random.default_rng(4).normal(size=len(pairs))
    auroc, accuracy = Sample(pairs).pooled("x", score, np.sign(score).astype(int))
    assert auroc.mean == pytest.approx(roc_auc_score(pairs["label"], score))
    assert accuracy.mean == pytest.approx(np.mean((score > 0) == pairs["label"]))
    assert not auroc.to_beat
    assert not accuracy.to_beat


def test_a_difference_is_taken_replicate_by_replicate():
    pairs = asked()
    rng, sample = np.random.default_rng(5), Sample(pairs)
    one, two = (sample.per_gene(name, rng.normal(size=len(pairs))) for name in ("x", "y"))
    found = less(one, two)
    assert (found.method, found.metric, found.mean) == ("x", DIFFERENCE, one.mean - two.mean)
    np.testing.assert_array_equal(found.draws, one.draws - two.draws)


def test_the_threshold_is_the_best_of_all():
    rng = np.random.default_rng(6)
    for _ in range(20):
        score, label = rng.normal(size=12).round(1), rng.random(12) < 0.4
        if not 0 < label.sum() < 12:
            continue
        found = best_threshold(np.append(label, True), np.append(score, np.nan))
        best = max(f1_score(label, score >= each) for each in score)
        assert f1_score(label, score >= found) == pytest.approx(best)
        assert all(f1_score(label, score >= each) < best for each in score if each > found)
    assert best_threshold(np.array([True, True]), np.array([1.0, 2.0])) is None
    assert best_threshold(np.array([True, False]), np.array([1.0, np.nan])) is None
