"""Outcomes that are shown, and their votes, against loops."""

import numpy as np
import pandas as pd
import pytest

from bftembed.bench.language.perturbations.evidence import Evidence, alike_by_words
from bftembed.bench.language.perturbations.pairs import checked_pairs


def of_random(seed=0, n_genes=6, *, kept=0.6):
    """Pairs of 20 perturbations and some genes, likeness at random, and the training rows."""
    rng = np.random.default_rng(seed)
    perts, genes = [f"P{i:02d}" for i in range(20)], [f"G{i}" for i in range(n_genes)]
    rows = [
        (p, g, int(rng.random() < 0.4), "test" if i < 6 else "train")
        for i, p in enumerate(perts)
        for g in genes
        if rng.random() < kept
    ]
    pairs = checked_pairs(pd.DataFrame(rows, columns=["pert", "gene", "label", "split"]))
    matrices = {"pert": (perts, rng.random((20, 20)).round(2)), "gene": (genes, rng.random((n_genes, n_genes)))}

    def alike(kind):
        names, matrix = matrices[kind]
        return lambda a, b: matrix[np.ix_([names.index(x) for x in a], [names.index(x) for x in b])]

    train, test = (pairs[pairs["split"] == part].reset_index(drop=True) for part in ("train", "test"))
    return Evidence(train, alike=alike("pert"), genes_alike=alike("gene")), test, alike


@pytest.mark.parametrize("power", [1, 2])
def test_the_vote_is_the_formula(power):
    evidence, test, alike = of_random()
    overall = evidence.rows["label"].mean()
    expected = []
    for pert, gene in zip(test["pert"], test["gene"], strict=True):
        above, below = 1e-3 * overall, 1e-3
        for q, h, y in zip(evidence.rows["pert"], evidence.rows["gene"], evidence.rows["label"], strict=True):
            if h == gene:
                k = alike("pert")([pert], [q])[0, 0] ** power
                above, below = above + k * y, below + k
        expected.append(above / below)
    np.testing.assert_allclose(evidence.vote(test, power=power), expected, atol=1e-6)
    flipped = test.assign(label=~test["label"])
    np.testing.assert_array_equal(evidence.vote(flipped, power=power), evidence.vote(test, power=power))


def test_rate_and_nearest_are_means_of_the_gene():
    evidence, test, alike = of_random()
    overall, rows = evidence.rows["label"].mean(), evidence.rows
    for i, (pert, gene) in enumerate(zip(test["pert"], test["gene"], strict=True)):
        mine = rows[rows["gene"] == gene]
        assert evidence.rate(test)[i] == pytest.approx((mine["label"].sum() + 2 * overall) / (len(mine) + 2))
        order = np.argsort(-alike("pert")([pert], mine["pert"].tolist())[0], kind="stable")[:3]
        assert evidence.nearest(test, k=3)[i] == pytest.approx(mine["label"].to_numpy()[order].mean())


def test_outcomes_of_the_gene_come_first_and_then_those_of_genes_like_it():
    evidence, test, alike = of_random()
    for pert, gene in zip(test["pert"], test["gene"], strict=True):
        shown = [evidence.outcomes[i] for i in evidence.near(pert, gene, "")]
        assert len(shown) == len(set(shown)) == 10
        n_own = min(10, (evidence.rows["gene"] == gene).sum())
        assert all(outcome.gene == gene for outcome in shown[:n_own])
        weights = [alike("pert")([pert], [o.pert])[0, 0] * alike("gene")([gene], [o.gene])[0, 0] for o in shown[n_own:]]
        assert weights == sorted(weights, reverse=True)
        others = evidence.rows[evidence.rows["gene"] != gene]
        best = max(
            alike("pert")([pert], [p])[0, 0] * alike("gene")([gene], [g])[0, 0]
            for p, g in zip(others["pert"], others["gene"], strict=True)
        )
        if weights:
            assert weights[0] == pytest.approx(best, abs=1e-6)
        own = [alike("pert")([pert], [outcome.pert])[0, 0] for outcome in shown[:n_own]]
        assert own == sorted(own, reverse=True)


def test_the_perturbation_itself_is_never_shown():
    evidence, _, _ = of_random()
    for pert, gene in zip(evidence.rows["pert"], evidence.rows["gene"], strict=True):
        for rows in (evidence.near(pert, gene, ""), evidence.random(pert, gene, "")):
            assert rows
            assert all(evidence.outcomes[i].pert != pert for i in rows)


def test_random_outcomes_are_those_of_the_question_alone():
    evidence, test, _ = of_random(kept=0.9)
    shown = {(p, g): evidence.random(p, g, "") for p, g in zip(test["pert"], test["gene"], strict=True)}
    again, _, _ = of_random(kept=0.9)
    assert all(again.random(*names, "") == rows for names, rows in shown.items())
    assert len({tuple(rows) for rows in shown.values()}) == len(shown)
    assert {evidence.outcomes[i].gene for rows in shown.values() for i in rows} == set(evidence.rows["gene"])


def test_permuted_answers_keep_the_rate_of_each_gene_and_nothing_else():
    evidence, _, _ = of_random(kept=0.9)
    permuted = pd.DataFrame(evidence.permuted)
    assert permuted[["pert", "gene"]].equals(evidence.rows[["pert", "gene"]])
    rates = [frame.groupby("gene")["label"].mean() for frame in (permuted, evidence.rows)]
    assert rates[0].equals(rates[1])
    assert 0.2 < (permuted["label"] != evidence.rows["label"]).mean() < 0.8


def test_a_cell_line_answers_for_itself_and_all_for_one_without():
    rows = [("A", "G", 1, "train", "K562"), ("A", "G", 0, "train", "RPE1"), ("B", "G", 0, "train", "RPE1")]
    train = checked_pairs(pd.DataFrame(rows, columns=["pert", "gene", "label", "split", "cell"]))
    evidence = Evidence(
        train, alike=lambda a, b: np.ones((len(a), len(b))), genes_alike=lambda a, b: np.ones((1, len(b)))
    )
    assert [evidence.outcomes[i].cell for i in evidence.near("X", "G", "K562")] == ["K562"]
    assert len(evidence.near("X", "G", "HepG2")) == 3
    asked = pd.DataFrame({"pert": "X", "gene": "G", "cell": ["K562", "RPE1", "HepG2"]})
    np.testing.assert_allclose(evidence.vote(asked), [1, 0, 1 / 3], atol=1e-3)


def test_a_gene_that_train_lacks_is_answered_by_the_rate_of_all():
    evidence, _, _ = of_random()
    asked = pd.DataFrame({"pert": ["P00"], "gene": ["no gene"], "cell": [""]})
    overall = evidence.rows["label"].mean()
    for found in (evidence.rate(asked), evidence.vote(asked), evidence.nearest(asked)):
        assert found[0] == pytest.approx(overall, abs=1e-6)


def test_likeness_by_words_is_the_cosine_and_nothing_for_what_has_no_text():
    alike = alike_by_words({"A": "ribosome of mitochondria", "B": "a ribosome", "C": "mitochondria"})
    found = alike(["A", "X"], ["A", "B", "C", "Y"])
    np.testing.assert_allclose(found, [[1, 0.5**0.5, 0.5**0.5, 0], [0] * 4], atol=1e-6)
    assert alike_by_words({})(["A"], ["B"]).tolist() == [[0.0]]
