"""Effects of perturbations: scored within a gene, so that knowing the gene is worth nothing."""

import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.metrics.pairwise import cosine_similarity
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from bftembed.bench.problems.effect_votes import Rows, chosen, vote
from bftembed.bench.problems.effects import PerturbationEffects, clean_effects, gene_rate, neighbours, per_gene
from bftembed.errors import InputError
from bftembed.likeness import unit

N_PERTS, N_GENES, N_TESTED = 80, 30, 25
NAMES = [f"G{i:03d}" for i in range(N_GENES)] + [f"P{i:03d}" for i in range(N_PERTS)]  # sorted


def planted(seed=0, *, bias=0.0):
    """Yes where the vectors of perturbation and gene point one way; `bias` makes genes differ in their rate."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(len(NAMES), 6)).astype(np.float32)
    gene, pert = np.meshgrid(np.arange(N_GENES), np.arange(N_PERTS))
    kept = rng.random(gene.shape) < 0.6
    gene, pert = gene[kept], pert[kept]
    logit = 2 * (x[gene] * x[N_GENES + pert]).sum(axis=1) + bias * rng.normal(size=N_GENES)[gene]
    rows = pd.DataFrame(
        {
            "pert": np.array(NAMES)[N_GENES + pert],
            "gene": np.array(NAMES)[gene],
            "label": (rng.random(len(gene)) < 1 / (1 + np.exp(-logit))).astype(int),
            "split": np.where(pert < N_TESTED, "test", "train"),
        }
    )
    return rows, x


def means(scores):
    return {(score.method, score.metric): score.mean for score in scores}


def parts(rows):
    index = pd.Index(NAMES)
    every = Rows(index.get_indexer(rows["pert"]), index.get_indexer(rows["gene"]), rows["label"].to_numpy() == 1)
    tested = (rows["split"] == "test").to_numpy()
    return every.take(~tested), every.take(tested)


def test_a_planted_interaction_is_found_and_needs_the_gene():
    rows, x = planted()
    evaluation = PerturbationEffects(rows).evaluate(x)
    found = means(evaluation.scores)
    assert evaluation.scores[0].method == "linear"
    assert found["linear", "auroc per gene"] > 0.8
    assert found["neighbours", "auroc per gene"] > 0.65
    assert found["kernel vote", "auroc per gene"] > 0.7
    assert found["linear, perturbation alone", "auroc per gene"] < 0.7
    low, high = evaluation.scores[0].describe()["interval_items"]
    assert low < evaluation.scores[0].mean < high


def test_knowing_the_gene_is_worth_nothing_but_in_the_pooled_score():
    rows, x = planted(bias=6)
    found = means(PerturbationEffects(rows).evaluate(x).baselines)
    assert found["gene rate in train", "auroc per gene"] == 0.5
    assert found["gene rate in train", "pooled auroc (a warning)"] > 0.85


def test_the_score_is_the_mean_of_the_genes_by_scikit_learn():
    rows, _ = planted()
    _, test = parts(rows)
    guess = np.random.default_rng(1).normal(size=len(test.label)).round(1)  # with ties
    weights = np.random.default_rng(2).integers(0, 3, (4, len(NAMES))).astype(float)[:, test.pert]
    value, draws = per_gene(test, guess, weights)

    def by_hand(drawn):
        scores = []
        for gene in np.unique(test.gene):
            taken = drawn[test.gene[drawn] == gene]
            if len(set(test.label[taken])) == 2:
                scores.append(roc_auc_score(test.label[taken], guess[taken]))
        return np.mean(scores)

    np.testing.assert_allclose(value, [[by_hand(np.arange(len(guess)))]])
    expected = np.array([by_hand(np.repeat(np.arange(len(guess)), w.astype(int))) for w in weights])
    np.testing.assert_allclose(draws, expected)


def test_rows_of_a_perturbation_are_drawn_together():
    rows, _ = planted()
    _, test = parts(rows)
    weights = PerturbationEffects(rows)._weights(test)
    assert weights.shape == (1000, len(test.label))
    _, first, inverse = np.unique(test.pert, return_index=True, return_inverse=True)
    np.testing.assert_array_equal(weights, weights[:, first][:, inverse])
    assert (weights[:, first].sum(axis=1) == N_TESTED).all()
    assert weights.max() > 1


def test_genes_with_one_label_in_the_test_are_not_scored():
    rows, x = planted()
    rows.loc[(rows["split"] == "test") & (rows["gene"] == "G003"), "label"] = 1
    counts = PerturbationEffects(rows).evaluate(x).counts
    tested = rows[rows["split"] == "test"]
    both = tested.groupby("gene")["label"].nunique() == 2
    assert not both["G003"]
    assert counts["genes scored"] == both.sum()
    assert counts["rows of genes scored"] == tested["gene"].map(both).sum()


def test_the_linear_probe_is_that_of_scikit_learn():
    rows, x = planted()
    train, test = parts(rows)
    seen = np.union1d(train.pert, train.gene)
    z = PCA(svd_solver="full").fit(x[seen]).transform(x)

    def features(part):
        return np.hstack([z[part.pert], z[part.gene], z[part.pert] * z[part.gene]])

    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=2000))
    guess = model.fit(features(train), train.label).predict_proba(features(test))[:, 1]
    found = PerturbationEffects(rows).evaluate(x).scores
    assert found[0].mean == pytest.approx(per_gene(test, guess, np.ones((1, len(guess))))[0].item(), abs=2e-3)
    pooled = means(found)["linear", "pooled auroc (a warning)"]
    assert pooled == pytest.approx(roc_auc_score(test.label, guess), abs=2e-3)


def test_neighbours_one_by_one():
    rows, x = planted()
    train, test = parts(rows)
    train = train.take(train.gene != 4)  # a gene that train lacks
    found = neighbours(x, train, test, k=5)
    centred = x - x[np.unique(train.pert)].mean(axis=0)
    for i, (pert, gene) in enumerate(zip(test.pert, test.gene, strict=True)):
        measured = np.flatnonzero(train.gene == gene)
        if not len(measured):
            assert found[i] == pytest.approx(train.label.mean())
            continue
        similar = cosine_similarity(centred[[pert]], centred[train.pert[measured]])[0]
        nearest = np.argsort(-similar)[:5]
        weights = np.maximum(similar[nearest], 0)
        expected = np.average(train.label[measured][nearest], weights=weights)
        assert found[i] == pytest.approx(expected, abs=1e-5)


def test_a_perturbation_like_no_other_is_answered_by_the_rate_of_the_gene():
    x = np.array([[0, 0], [1, 0], [3, 0], [-5, 0]], dtype=np.float32)  # read-out gene, two trained, one opposite
    train = Rows(np.array([1, 2]), np.array([0, 0]), np.array([True, False]))
    test = Rows(np.array([2, 3]), np.array([0, 1]), np.array([True, False]))
    np.testing.assert_allclose(gene_rate(train, test), [0.5, 0.5])
    x[3] = [2, 0]  # at the centre: no direction
    np.testing.assert_allclose(neighbours(x, train, Rows(np.array([3]), np.array([0]), np.array([True]))), [0.5])
    np.testing.assert_allclose(neighbours(x, train, Rows(np.array([2]), np.array([0]), np.array([True]))), [0.0])


@pytest.mark.parametrize("value", [0.1, 1.0])
def test_a_constant_embedding_is_shown_for_what_it_is(value):
    rows, x = planted(bias=2)
    evaluation = PerturbationEffects(rows).evaluate(np.full_like(x, value))
    assert [score.mean for score in evaluation.scores[:4]] == [0.5, 0.5, 0.5, 0.5]
    assert any("All vectors are equal" in note for note in evaluation.notes)


def test_random_vectors_and_shuffled_labels_fall_to_chance():
    unrelated, mixed = [], []
    for seed in range(4):
        rows, x = planted(seed)
        rng = np.random.default_rng(seed + 10)
        unrelated.append(PerturbationEffects(rows).evaluate(rng.normal(size=x.shape).astype(np.float32)))
        rows["label"] = rows.groupby("gene")["label"].transform(lambda labels, rng=rng: rng.permutation(labels))
        mixed.append(PerturbationEffects(rows).evaluate(x))
    for evaluations in (unrelated, mixed):
        for probe in range(4):
            assert 0.44 < np.mean([each.scores[probe].mean for each in evaluations]) < 0.56


def test_the_vote_beside_the_linear_probe_is_that_of_its_module_on_embedding_and_words():
    rows, x = planted()
    train, test = parts(rows)
    words = unit(np.random.default_rng(5).normal(size=(len(NAMES), 20)))
    evaluation = PerturbationEffects(rows, words=lambda names: words if names == NAMES else None).evaluate(x)
    for vectors, scores, name in (
        (unit(x), evaluation.scores, "kernel vote"),
        (words, evaluation.baselines, "kernel vote, words of RefSeq and GO"),
    ):
        guess = vote(vectors, train, test, chosen(vectors, train))
        expected, _ = per_gene(test, guess, np.ones((1, len(guess))))
        assert means(scores)[name, "auroc per gene"] == pytest.approx(expected.item())
    assert not any("words" in each.method for each in PerturbationEffects(rows).evaluate(x).baselines)


def test_letters_are_what_the_symbols_tell():
    rows, x = planted()
    family = np.where(x[:, 0] > 0, "ZNF", "KRT")
    kinds = {name: f"{kind}{name[1:]}" for kind, name in zip(family, NAMES, strict=True)}
    alike = rows["pert"].map(kinds).str[:3] == rows["gene"].map(kinds).str[:3]
    rows = rows.assign(pert=rows["pert"].map(kinds), gene=rows["gene"].map(kinds) + "A", label=alike.astype(int))
    evaluation = PerturbationEffects(rows).evaluate(np.random.default_rng(1).normal(size=x.shape).astype(np.float32))
    letters = means(evaluation.baselines)
    for probe in ("linear", "kernel vote", "neighbours"):
        assert letters[f"{probe}, spelling of the symbols", "auroc per gene"] > 0.9
    assert evaluation.scores[0].mean < 0.7


def test_a_perturbation_in_train_and_test_is_refused():
    rows, _ = planted()
    rows.loc[rows["pert"] == "P000", "split"] = ["train", *["test"] * ((rows["pert"] == "P000").sum() - 1)]
    with pytest.raises(InputError, match=r"The split leaks: 1 perturbations of the test are in train too, e\.g\. P000"):
        PerturbationEffects(rows)


def test_cleaning_counts_what_it_removes():
    a, b, c, d = "BRCA1", "KRAS", "TP53", "EGFR"
    rows = [
        (a, b, 1, "train"),
        (a, b, 1, "train"),
        (a, c, 1, "train"),
        (a, c, 0, "train"),
        (a, a, 1, "train"),
        (d, b, 0, "train"),
        (d, b, 1, "test"),
    ]
    kept, removed = clean_effects(pd.DataFrame(rows, columns=["pert", "gene", "label", "split"]))
    assert kept.to_numpy().tolist() == [[a, b, 1, "train"], [d, b, 1, "test"]]
    assert removed == {
        "rows of a gene upon itself": 1,
        "training rows of a perturbation that is tested under another name": 1,
        "rows with both labels": 2,
        "repeated rows": 1,
    }


def test_a_perturbation_with_two_names_does_not_leak(mirror):
    rows = [("MRE11A", "TP53", 1, "train"), ("MRE11", "TP53", 0, "test"), ("no gene", "TP53", 0, "test")]
    kept, removed = clean_effects(pd.DataFrame(rows, columns=["pert", "gene", "label", "split"]))
    assert kept.to_numpy().tolist() == [["MRE11", "TP53", 0, "test"]]
    assert removed == {
        "rows with a name that is unknown or ambiguous": 1,
        "training rows of a perturbation that is tested under another name": 1,
    }


def test_rows_of_a_gene_without_a_vector_take_no_part():
    rows, x = planted()
    x[[0, N_GENES, -1]] = np.nan  # a read-out gene, a tested and a training perturbation
    evaluation = PerturbationEffects(rows).evaluate(x)
    lost = rows["gene"].eq("G000") | rows["pert"].isin([NAMES[N_GENES], NAMES[-1]])
    tested = rows[~lost & (rows["split"] == "test")]
    assert evaluation.items == [f"{p}|{g}" for p, g in zip(tested["pert"], tested["gene"], strict=True)]
    assert evaluation.counts["rows without both vectors"] == lost.sum()
    alone = PerturbationEffects(rows[~lost]).evaluate(x[[name not in ("G000", "P000", "P079") for name in NAMES]])
    assert evaluation.scores[0].mean == pytest.approx(alone.scores[0].mean)


def test_too_few_rows_are_refused():
    rows, x = planted()
    x[N_GENES + N_TESTED + 2 :] = np.nan
    with pytest.raises(InputError, match=r"training rows .* 20 rows per class and one gene are needed"):
        PerturbationEffects(rows).evaluate(x)


def test_the_same_again_is_the_same_to_the_bit():
    rows, x = planted()
    problem = PerturbationEffects(rows)
    first, second = problem.evaluate(x), PerturbationEffects(rows).evaluate(x.copy(), n_jobs=2)
    for one, two in zip([*first.scores, *first.baselines], [*second.scores, *second.baselines], strict=True):
        np.testing.assert_array_equal(one.values, two.values)
        np.testing.assert_array_equal(one.draws, two.draws)
