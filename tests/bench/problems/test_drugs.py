"""Drugs: found by any of their names, salts counted once, distances judged beyond strength."""

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import cosine, pdist, squareform
from scipy.stats import rankdata, spearmanr

from bftembed.bench import Source
from bftembed.bench.problems.drugs import (
    DrugDistances,
    DrugLabels,
    drug_labels,
    drug_vectors,
    rest_of_ranks,
)
from bftembed.bench.scoring.probes import LINEAR
from bftembed.bench.scoring.scores import item_weights
from bftembed.errors import InputError

N = 40
NAMES = [f"drug{i:02d}x" for i in range(N)]


class Known(Source):
    """Vectors by name."""

    label = spec = "known"

    def __init__(self, vectors):
        self.vectors = vectors

    def drugs(self, names):
        unknown = np.full(len(next(iter(self.vectors.values()))), np.nan)
        return np.array([self.vectors.get(name, unknown) for name in names], dtype=np.float32)


def planted(seed=0, *, noise=0.1):
    """Squared distances of effects, their strengths, their classes, and vectors that know the directions alone."""
    rng = np.random.default_rng(seed)
    direction = rng.normal(size=(N, 4))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    strength = rng.lognormal(0, 1, N)
    effect = direction * strength[:, None]
    distances = pd.DataFrame(((effect[:, None] - effect) ** 2).sum(axis=2), NAMES, NAMES)
    distances = (distances + distances.T) / 2
    classes = pd.Series(np.where(direction[:, 0] > 0, "up", "down"), NAMES)
    vectors = (direction + rng.normal(0, noise, direction.shape)).astype(np.float32)
    return distances, pd.Series(strength**2, NAMES), classes, vectors


def means(scores):
    return {(score.method, score.metric): score.mean for score in scores}


def test_a_drug_has_the_vector_of_its_first_known_name():
    source = Known({"tofacitinib": [1, 2], "cp-690550": [3, 4], "sb-431542": [5, 6]})
    found = drug_vectors(source, ["Tofacitinib (CP-690550) Citrate", "nothing", "SB431542"])
    np.testing.assert_array_equal(found, np.array([[3, 4], [np.nan] * 2, [5, 6]], dtype=np.float32))


def test_labels_count_what_they_leave_out():
    rows = [
        ("A1", "x"),
        ("A1 HCl ", "x"),
        ("B2  (b)", "x"),
        ("C3", "y"),
        ("D4 (E5)", "x"),
        ("E5", "y"),
        ("F6", "z"),
        ("G7", "y"),
    ]
    labels, removed = drug_labels(*zip(*rows, strict=True), least=2)
    assert labels.to_dict() == {"A1": "x", "B2 (b)": "x", "C3": "y", "G7": "y"}
    assert removed == {
        "salts and synonyms of another compound": 1,
        "names of compounds with two labels": 2,
        "compounds of classes with fewer than 2": 1,
    }


def test_labels_are_learnt_from_vectors_by_any_name():
    rng = np.random.default_rng(0)
    kinds = pd.Series(np.array(["a", "b", "c"])[np.arange(60) % 3], [f"drug{i} (code{i})" for i in range(60)])
    x = rng.normal(size=(60, 4))
    x[:, 0] += 4 * (np.arange(60) % 3)
    problem = DrugLabels(kinds, probes=(LINEAR,), n_repeats=1, baselines=False)
    source = Known({f"code{i}": x[i] for i in range(1, 60)})
    vectors = problem.embed(source)
    assert np.isnan(vectors[problem.entities.index("drug0 (code0)")]).all()
    evaluation = problem.evaluate(vectors)
    assert len(evaluation.items) == 59
    assert evaluation.scores[0].metric == "balanced accuracy"
    assert evaluation.scores[0].mean > 0.6


def test_directions_are_found_beyond_strength_and_strength_is_not():
    distances, strengths, classes, vectors = planted()
    evaluation = DrugDistances(distances, strengths, classes).evaluate(vectors)
    found, baselines = means(evaluation.scores), means(evaluation.baselines)
    assert evaluation.scores[0].metric == "spearman beyond strength"
    assert evaluation.scores[0].mean > 0.5
    assert evaluation.scores[0].mean > found["cosine distance", "spearman"]
    assert baselines["larger distance to control", "spearman"] > 0.7
    assert abs(baselines["larger distance to control", "spearman beyond strength"]) < 0.1
    assert 0.1 < baselines["another class", "spearman beyond strength"] < evaluation.scores[0].mean
    low, high = evaluation.scores[0].describe()["interval_items"]
    assert low < evaluation.scores[0].mean < high


def test_the_scores_are_those_of_scipy():
    distances, strengths, classes, vectors = planted()
    found = means(DrugDistances(distances, strengths, classes).evaluate(vectors).scores)
    pairs = [(i, j) for i in range(N) for j in range(i)]
    measured = [distances.iloc[i, j] for i, j in pairs]
    guess = [cosine(vectors[i].astype(float), vectors[j].astype(float)) for i, j in pairs]
    strength = strengths.to_numpy()
    ranks = [rankdata([choose(strength[i], strength[j]) for i, j in pairs]) for choose in (max, min)]
    design = np.column_stack([np.ones(len(pairs)), *ranks])
    rest = rankdata(measured) - design @ np.linalg.lstsq(design, rankdata(measured), rcond=None)[0]
    assert found["cosine distance", "spearman"] == pytest.approx(spearmanr(measured, guess)[0], abs=1e-4)
    assert found["cosine distance", "spearman beyond strength"] == pytest.approx(spearmanr(rest, guess)[0], abs=1e-4)


def test_a_draw_counts_a_pair_as_often_as_its_two_drugs():
    distances, strengths, classes, vectors = planted()
    problem = DrugDistances(distances, strengths, classes)
    found = next(s for s in problem.evaluate(vectors).scores if s.metric == "spearman").draws
    guess = np.round(pdist(vectors.astype(float), "cosine"), 6)
    measured = squareform(distances.to_numpy())
    a, b = np.triu_indices(N, 1)
    for value, times in zip(found[:5], item_weights(NAMES)[:5], strict=True):
        rows = np.repeat(np.arange(len(a)), (times[a] * times[b]).astype(int))
        assert value == pytest.approx(spearmanr(measured[rows], guess[rows])[0])


def test_what_ranks_leave_has_nothing_of_what_explains_them():
    rng = np.random.default_rng(0)
    x = rng.lognormal(size=200)
    assert np.allclose(rest_of_ranks(np.exp(x), x), 0)
    assert np.corrcoef(rest_of_ranks(x + rng.lognormal(size=200), x), rankdata(x))[0, 1] == pytest.approx(0, abs=1e-9)


def test_random_vectors_and_shuffled_drugs_fall_to_chance():
    found = []
    for seed in range(3):
        distances, strengths, classes, vectors = planted(seed)
        rng = np.random.default_rng(seed + 100)
        problem = DrugDistances(distances, strengths, classes)
        found.append(problem.evaluate(rng.normal(size=vectors.shape).astype(np.float32)).scores[0].mean)
        found.append(problem.evaluate(rng.permutation(vectors)).scores[0].mean)
    assert abs(np.mean(found)) < 0.06


def test_equal_vectors_have_no_score():
    distances, strengths, classes, vectors = planted()
    evaluation = DrugDistances(distances, strengths, classes).evaluate(np.full_like(vectors, 0.1))
    assert all(np.isnan(score.mean) for score in evaluation.scores)


def test_drugs_without_a_vector_take_no_part():
    distances, strengths, classes, vectors = planted()
    vectors[[0, 7]] = np.nan
    evaluation = DrugDistances(distances, strengths, classes).evaluate(vectors)
    kept = [name for i, name in enumerate(NAMES) if i not in (0, 7)]
    assert evaluation.items == kept
    assert evaluation.counts["pairs"] == 38 * 37 / 2
    alone = DrugDistances(distances.loc[kept, kept], strengths[kept], classes[kept])
    assert alone.evaluate(np.delete(vectors, [0, 7], axis=0)).scores[0].mean == evaluation.scores[0].mean


def test_the_order_of_the_names_changes_nothing():
    distances, strengths, classes, vectors = planted()
    mixed = np.random.default_rng(0).permutation(NAMES)
    problem = DrugDistances(distances.loc[mixed, mixed[::-1]], strengths[mixed], classes)
    assert problem.entities == NAMES
    expected = DrugDistances(distances, strengths, classes).evaluate(vectors)
    np.testing.assert_array_equal(problem.evaluate(vectors, n_jobs=2).scores[0].draws, expected.scores[0].draws)


@pytest.mark.parametrize(
    ("unknown", "zero", "match"),
    [(25, 0, "15 of 40 drugs have a vector, 0 of them zero; 20 are needed"), (0, 2, "40 of 40 .* 2 of them zero")],
)
def test_too_few_vectors_or_none_of_a_direction_are_refused(unknown, zero, match):
    distances, strengths, classes, vectors = planted()
    vectors[:unknown], vectors[N - zero :] = np.nan, 0
    with pytest.raises(InputError, match=match):
        DrugDistances(distances, strengths, classes).evaluate(vectors)


def test_bad_tables_are_refused():
    distances, strengths, classes, _ = planted()
    with pytest.raises(InputError, match="same names"):
        DrugDistances(distances, strengths[1:], classes)
    for wrong in (1.0, np.nan):
        distances.iloc[0, 1] = wrong
        with pytest.raises(InputError, match="not symmetric, or some are missing"):
            DrugDistances(distances, strengths, classes)
