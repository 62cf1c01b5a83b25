"""Pairs of genes: no gene of a test is seen, order does not matter, nodes alone tell nothing."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from bftembed.bench import PairLabels
from bftembed.bench.problems._pair_data import FEATURES, Pairs, node_prior, pair_features
from bftembed.bench.problems.pairs import clean_pairs, degree_matched, without_leaks
from bftembed.bench.scoring.scores import item_weights
from bftembed.errors import InputError

N = 90


def genes(n=N):
    return [f"G{i:03d}" for i in range(n)]


def planted(seed=0, n=N, density=0.5):
    """Pairs that are positive where the signs of their genes' first number agree, and the vectors."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 6)).astype(np.float32)
    a, b = np.triu_indices(n, 1)
    kept = rng.random(len(a)) < density
    a, b = a[kept], b[kept]
    label = (np.sign(x[a, 0]) == np.sign(x[b, 0])) ^ (rng.random(len(a)) < 0.1)
    names = np.array(genes(n))
    return pd.DataFrame({"gene_a": names[a], "gene_b": names[b], "label": label.astype(int)}), x


def with_split(frame, n=N):
    part = pd.Series(np.repeat(["train", "valid", "test"], [n - 40, 20, 20]), index=genes(n))
    a, b = frame["gene_a"].map(part), frame["gene_b"].map(part)
    return frame[a == b].assign(split=a[a == b]).reset_index(drop=True)


@pytest.mark.parametrize("given_split", [True, False])
def test_a_planted_signal_is_found_by_the_feature_that_holds_it(given_split):
    frame, x = planted()
    evaluation = PairLabels(with_split(frame) if given_split else frame, n_repeats=2).evaluate(x)
    chosen, *by_feature = evaluation.scores
    means = {score.method: score.mean for score in by_feature}
    assert chosen.mean > 0.75
    assert chosen.mean == pytest.approx(means["product"], abs=0.05)
    assert means["sum"] < 0.65
    assert "product" in evaluation.notes[0]
    assert chosen.values.shape == ((1, 1) if given_split else (2, 3))
    low, high = chosen.describe()["interval_items"]
    assert low < chosen.mean < high


def test_the_sum_score_is_that_of_scikit_learn():
    frame, x = planted()
    pairs = with_split(frame)
    found = next(s for s in PairLabels(pairs).evaluate(x).scores if s.method == "sum").mean
    vectors = dict(zip(genes(), x, strict=True))

    def features(part):
        rows = pairs[pairs["split"] == part]
        return np.array([vectors[a] + vectors[b] for a, b in zip(rows.gene_a, rows.gene_b, strict=True)]), rows["label"]

    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=2000)).fit(*features("train"))
    test, label = features("test")
    assert found == pytest.approx(roc_auc_score(label, model.predict_proba(test)[:, 1]), abs=1e-3)


def test_a_draw_is_scored_on_all_tests_as_the_score_is():
    frame, _ = planted()
    problem = PairLabels(frame, n_repeats=2)
    rng = np.random.default_rng(3)
    tests = [split.test for split in problem._splits]
    guesses = [rng.normal(size=len(rows)).round(1) for rows in tests]
    values, draws = problem._values(tests, guesses)
    weights = item_weights(genes())

    def by_hand(of_genes):
        scores = []
        for rows, guess in zip(tests, guesses, strict=True):
            times = (of_genes[problem.pairs.a[rows]] * of_genes[problem.pairs.b[rows]]).astype(int)
            scores.append(roc_auc_score(np.repeat(problem.pairs.label[rows], times), np.repeat(guess, times)))
        return np.mean(scores)

    assert values.mean() == pytest.approx(by_hand(np.ones(N)))
    plain = np.array([by_hand(of_genes) for of_genes in weights])
    wide = values.mean() + np.sqrt(1.5) * (plain - np.median(plain))  # two thirds of the genes train, one is tested
    np.testing.assert_allclose(draws, np.minimum(wide, 1.0))


def test_two_folds_are_refused():
    with pytest.raises(InputError, match="at least three folds"):
        PairLabels(planted()[0], n_folds=2)


def test_no_gene_of_a_test_is_in_its_training_or_validation_pairs():
    frame, _ = planted()
    problem = PairLabels(frame)
    splits = problem._splits
    assert len(splits) == 15
    for split in splits:
        test = problem._genes_of(split.test)
        assert test.isdisjoint(problem._genes_of(split.train))
        assert test.isdisjoint(problem._genes_of(split.valid))
        chosen_on = problem._genes_of(problem._without_genes_of(split))
        assert chosen_on.isdisjoint(problem._genes_of(split.valid))


def test_given_folds_are_used_as_they_are():
    frame, x = planted()
    drawn = PairLabels(frame, n_repeats=1)
    for fold, split in enumerate(drawn._splits):
        part = np.full(len(frame), "", dtype=object)
        part[split.train], part[split.valid], part[split.test] = "train", "valid", "test"
        frame[f"split_{fold}"] = part
    given = PairLabels(frame)
    np.testing.assert_array_equal(given.evaluate(x).scores[0].values, drawn.evaluate(x).scores[0].values)


def test_shuffled_labels_fall_to_chance():
    frame, x = planted()
    frame["label"] = np.random.default_rng(3).permutation(frame["label"])
    assert 0.42 < PairLabels(frame, n_repeats=2).evaluate(x).scores[0].mean < 0.58


def test_a_leaking_split_is_refused():
    frame, _ = planted()
    frame["split"] = np.random.default_rng(0).choice(["train", "valid", "test"], len(frame))
    with pytest.raises(InputError, match=r"The split leaks: 90 genes of the test pairs are in train too, e\.g\. G0"):
        PairLabels(frame)


def test_genes_that_a_split_holds_under_two_names_are_taken_from_training():
    frame = with_split(planted()[0])
    leak = pd.DataFrame({"gene_a": ["G000"], "gene_b": ["G089"], "label": [1], "split": ["train"]})
    kept, removed = without_leaks(pd.concat([frame, leak], ignore_index=True))
    assert removed == {"training pairs of a gene that is tested under another name": 1}
    pd.testing.assert_frame_equal(kept, frame)
    assert without_leaks(frame)[1] == {}


def test_the_node_prior_knows_nodes_and_nothing_else():
    """Hubs: each pair of a hub is positive. On a random split the prior sees them, gene-disjoint it cannot."""
    rng = np.random.default_rng(0)
    names = np.array(genes(120))
    a, b = np.triu_indices(120, 1)
    kept = rng.random(len(a)) < 0.4
    a, b = a[kept], b[kept]
    hub = rng.random(120) < 0.3
    frame = pd.DataFrame({"gene_a": names[a], "gene_b": names[b], "label": (hub[a] | hub[b]).astype(int)})
    evaluation = PairLabels(frame, n_repeats=1).evaluate(rng.normal(size=(120, 4)).astype(np.float32))
    prior = {score.method: score.mean for score in evaluation.baselines}
    assert prior["node prior"] == pytest.approx(0.5)
    assert prior["node prior, random split (a warning)"] > 0.95
    assert [score.to_beat for score in evaluation.baselines] == [True, False]


def test_the_node_prior_by_hand():
    train = Pairs(["A", "B", "C"], np.array([0, 0]), np.array([1, 1]), np.array([True, False]))
    test = Pairs(["A", "B", "C"], np.array([0, 0]), np.array([1, 2]), np.array([True, True]))
    np.testing.assert_allclose(node_prior(train, test), [0.0, 0.0])
    train = Pairs(["A", "B", "C"], np.array([0]), np.array([1]), np.array([True]))
    odds = np.log(2)  # two of three, with one pseudo-count each way
    np.testing.assert_allclose(node_prior(train, test), [2 * odds, 2 * odds])


@given(st.integers(0, 1000))
@settings(max_examples=20)
def test_features_do_not_depend_on_the_order(seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(12, 3)).astype(np.float32)
    a, b = rng.integers(0, 12, 20), rng.integers(0, 12, 20)
    label = np.ones(20, dtype=bool)
    for name in FEATURES:
        np.testing.assert_array_equal(
            pair_features(x, Pairs(genes(12), a, b, label), name), pair_features(x, Pairs(genes(12), b, a, label), name)
        )


def test_features_are_made_in_blocks(monkeypatch):
    monkeypatch.setattr("bftembed.bench.problems._pair_data._BLOCK", 7)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(12, 3)).astype(np.float32)
    a, b = rng.integers(0, 12, 20), rng.integers(0, 12, 20)
    found = pair_features(x, Pairs(genes(12), a, b, np.ones(20, dtype=bool)), "absolute difference")
    np.testing.assert_array_equal(found, np.abs(x[a] - x[b]))


def test_pairs_of_a_gene_without_a_vector_take_no_part():
    frame, x = planted()
    x[0] = np.nan
    evaluation = PairLabels(frame, n_repeats=1).evaluate(x)
    assert not any("G000" in item.split("|") for item in evaluation.items)
    assert evaluation.counts["pairs"] == ((frame["gene_a"] != "G000") & (frame["gene_b"] != "G000")).sum()


def test_too_few_pairs_are_refused():
    frame, x = planted()
    x[8:] = np.nan
    with pytest.raises(InputError, match=r"pairs .* have both vectors; 20 per class are needed"):
        PairLabels(frame).evaluate(x)


def test_cleaning_counts_what_it_removes():
    a, b, c = "BRCA1", "KRAS", "TP53"
    rows = [(b, a, 1), (a, b, 1), (a, c, 1), (c, a, 0), (a, a, 1), (b, c, 0)]
    pairs, removed = clean_pairs(pd.DataFrame(rows, columns=["gene_a", "gene_b", "label"]))
    assert pairs.to_numpy().tolist() == [[a, b, 1], [b, c, 0]]
    assert removed == {"pairs of a gene with itself": 1, "pairs with both labels": 2, "repeated pairs": 1}


@given(st.integers(0, 500))
@settings(max_examples=20)
def test_negatives_have_the_degrees_of_the_positives(seed):
    rng = np.random.default_rng(seed)
    rows = {tuple(sorted(pair)) for pair in rng.integers(0, 40, (60, 2)).tolist() if pair[0] != pair[1]}
    positives = pd.DataFrame([(f"G{a}", f"G{b}") for a, b in sorted(rows)], columns=["gene_a", "gene_b"])
    both = degree_matched(positives, seed=seed)
    negatives = both[both["label"] == 0]
    taken = {frozenset(pair) for pair in positives.to_numpy().tolist()}
    made = [frozenset(pair) for pair in negatives[["gene_a", "gene_b"]].to_numpy().tolist()]
    assert taken.isdisjoint(made)
    assert len(set(made)) == len(made)
    assert all(len(pair) == 2 for pair in made)
    for column in ("gene_a", "gene_b"):
        more = negatives[column].value_counts() - positives[column].value_counts().reindex(negatives[column].unique())
        assert (more <= 0).all()
    assert len(negatives) >= 0.7 * len(positives)
