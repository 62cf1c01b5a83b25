"""Labels of genes: planted signals are found, none is found where there is none, and what is missing is said."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import RepeatedStratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from bftembed.bench import GeneLabels
from bftembed.bench.problems.genes import spelling
from bftembed.bench.scoring.probes import FOREST, LINEAR
from bftembed.errors import InputError

N = 120


def names(n=N):
    return [f"G{i:04d}" for i in range(n)]


@pytest.fixture
def planted():
    """Labels and vectors that know them, and names."""
    rng = np.random.default_rng(0)
    y = rng.random(N) < 0.4
    x = rng.normal(size=(N, 8)).astype(np.float32)
    x[:, 0] += 2 * y
    return pd.Series(y, index=names()), x


def main(evaluation):
    return evaluation.scores[0]


def test_the_score_is_that_of_scikit_learn(planted):
    labels, x = planted
    found = main(GeneLabels(labels, probes=(LINEAR,), n_repeats=2).evaluate(x))
    y = labels.to_numpy()
    splitter = RepeatedStratifiedKFold(n_splits=5, n_repeats=2, random_state=0)
    expected = []
    for train, test in splitter.split(x, y):
        model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=2000)).fit(x[train], y[train])
        expected.append(roc_auc_score(y[test], model.predict_proba(x[test])[:, 1]))
    np.testing.assert_allclose(found.values.ravel(), expected, rtol=1e-9)
    assert found.values.shape == (2, 5)


def test_a_planted_signal_is_found_and_its_interval_holds_it(planted):
    labels, x = planted
    evaluation = GeneLabels(labels, n_repeats=2).evaluate(x)
    record = main(evaluation).describe()
    assert record["mean"] > 0.8
    low, high = record["interval_items"]
    assert low < record["mean"] < high
    assert {score.method for score in evaluation.scores} == {"linear", "random forest"}
    assert {score.method for score in evaluation.baselines} == {"constant", "spelling of the symbol"}
    assert evaluation.counts == {"False": int((~labels).sum()), "True": int(labels.sum())}


def test_shuffled_labels_fall_to_chance(planted):
    labels, x = planted
    means = []
    for seed in range(5):
        mixed = pd.Series(np.random.default_rng(seed).permutation(labels.to_numpy()), index=labels.index)
        means.append(main(GeneLabels(mixed, probes=(LINEAR,), n_repeats=2, baselines=False).evaluate(x)).mean)
    assert 0.38 < np.mean(means) < 0.62


def test_a_constant_embedding_is_shown_for_what_it_is(planted):
    labels, x = planted
    evaluation = GeneLabels(labels, n_repeats=1).evaluate(np.ones_like(x))
    assert main(evaluation).mean == 0.5
    assert any("All vectors are equal" in note for note in evaluation.notes)
    constant = next(score for score in evaluation.baselines if score.method == "constant")
    assert constant.mean == 0.5


def test_a_gene_without_a_vector_changes_no_fold(planted):
    labels, x = planted
    problem = GeneLabels(labels, probes=(LINEAR,), baselines=False)
    less = x.copy()
    less[[3, 40]] = np.nan
    evaluation = problem.evaluate(less)
    assert len(evaluation.items) == N - 2
    assert set(names()) - set(evaluation.items) == {"G0003", "G0040"}
    # The folds are those of all genes: asked for the rest alone, they would be drawn anew.
    alone = GeneLabels(labels.drop(["G0003", "G0040"]), probes=(LINEAR,), baselines=False)
    kept = np.delete(np.arange(N), [3, 40])
    assert (problem._folds[:, kept] != alone._folds).any()


def test_half_the_genes_missing_is_scored_on_the_other_half(planted):
    labels, x = planted
    x[::2] = np.nan
    evaluation = GeneLabels(labels, probes=(LINEAR,), baselines=False).evaluate(x)
    assert evaluation.items == names()[1::2]


def test_too_few_vectors_are_refused(planted):
    labels, x = planted
    x[6:] = np.nan
    with pytest.raises(InputError, match="Only 6 of 120 genes have a vector"):
        GeneLabels(labels).evaluate(x)


def test_the_number_of_processes_changes_no_bit(planted):
    labels, x = planted
    problem = GeneLabels(labels, n_repeats=1, baselines=False)
    one, two = problem.evaluate(x, n_jobs=1), problem.evaluate(x, n_jobs=2)
    for first, second in zip(one.scores, two.scores, strict=True):
        np.testing.assert_array_equal(first.values, second.values)
        np.testing.assert_array_equal(first.draws, second.draws)


def test_classes(planted):
    _, x = planted
    kinds = np.array(["a", "b", "c"])[np.arange(N) % 3]
    kinds[0] = "rare"
    x[:, 1] += 3 * (kinds == "b")
    problem = GeneLabels(pd.Series(kinds, index=names()), n_repeats=1)
    assert problem.removed == {"genes of classes with fewer than 5": 1}
    evaluation = problem.evaluate(x[1:])
    assert [score.metric for score in evaluation.scores[:2]] == ["balanced accuracy", "accuracy"]
    assert main(evaluation).mean > 0.5
    constant = {score.metric: score.mean for score in evaluation.baselines if score.method == "constant"}
    assert constant["balanced accuracy"] == pytest.approx(1 / 3)


def test_classes_of_which_few_genes_have_a_vector_are_left_out(planted):
    _, x = planted
    kinds = np.array(["a", "b", "c"])[np.arange(N) % 3]
    x[12:][kinds[12:] == "c"] = np.nan
    evaluation = GeneLabels(pd.Series(kinds, index=names()), n_repeats=1).evaluate(x)
    assert evaluation.notes[0] == "Classes left out, with fewer than 5 genes that have a vector: c (4)."
    assert evaluation.counts == {"a": 40, "b": 40}
    assert set(evaluation.items) == {name for name, kind in zip(names(), kinds, strict=True) if kind != "c"}
    constant = next(score for score in evaluation.baselines if score.method == "constant")
    assert constant.mean == pytest.approx(1 / 2)


def test_the_interval_of_rare_classes_is_about_the_score(planted):
    _, x = planted
    kinds = np.where(np.arange(N) < 6, "rare", "common")
    x[:, 0] = np.random.default_rng(0).normal(size=N)
    balanced, accuracy, *_ = GeneLabels(pd.Series(kinds, index=names()), n_repeats=3).evaluate(x).scores
    for score in (balanced, accuracy):
        assert np.nanmedian(score.draws) == pytest.approx(score.mean)


def test_a_value_is_ranked(planted):
    _, x = planted
    value = pd.Series(x[:, 0] + x[:, 1] + np.random.default_rng(1).normal(0, 0.5, N), index=names())
    evaluation = GeneLabels(value, n_repeats=1).evaluate(x)
    assert main(evaluation).metric == "spearman"
    assert main(evaluation).mean > 0.7
    constant = next(score for score in evaluation.baselines if score.method == "constant")
    assert np.isnan(constant.mean)


def test_labels_of_several_at_once(planted):
    labels, x = planted
    table = pd.DataFrame({"first": labels, "second": x[:, 1] > 0.3})
    evaluation = GeneLabels(table, probes=(LINEAR, FOREST), n_repeats=1).evaluate(x)
    assert main(evaluation).metric == "auroc"
    assert main(evaluation).mean > 0.85
    assert evaluation.counts["labels"] == 2


def test_the_spelling_is_what_the_letters_tell():
    labels = pd.Series(np.arange(80) % 2 == 0, index=[f"{'ZNF' if i % 2 == 0 else 'KRT'}{i}" for i in range(80)])
    evaluation = GeneLabels(labels, n_repeats=1, probes=(LINEAR,)).evaluate(np.ones((80, 2), dtype=np.float32))
    letters = [s for s in evaluation.baselines if s.method == "spelling of the symbol" and s.metric == "auroc"]
    assert letters[0].mean > 0.99
    assert spelling(["TP53", "KRT1"]).shape == (2, 256)


@pytest.mark.parametrize(
    ("labels", "match"),
    [
        (pd.Series([1, 0, 1], index=["A", "A", "B"]), "two rows of labels: A"),
        (pd.Series([1, np.nan], index=["A", "B"]), "no label"),
        (pd.Series([True] * 10 + [False] * 3, index=names(13)), "at least 5 genes.*3 False"),
        (pd.Series([True] * 10, index=names(10)), "Each of the two classes"),
    ],
)
def test_bad_labels_are_refused(labels, match):
    with pytest.raises(InputError, match=match):
        GeneLabels(labels)


@pytest.mark.parametrize(
    ("labels", "kept"),
    [(np.arange(N) % 2 == 0, np.arange(N) < 6), (np.array(list("abc"))[np.arange(N) % 3], np.arange(N) % 3 == 0)],
    ids=["binary", "one class of three is left"],
)
def test_too_few_genes_of_a_class_are_refused(labels, kept):
    x = np.ones((N, 2), dtype=np.float32)
    x[~kept] = np.nan
    with pytest.raises(InputError, match=rf"Only {kept.sum()} of {N} genes have a vector, too few for 5 folds"):
        GeneLabels(pd.Series(labels, index=names()), n_repeats=1).evaluate(x)
