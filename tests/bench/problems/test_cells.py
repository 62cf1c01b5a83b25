"""Cells with types: what a source is shown, and the scores against the wrapped libraries."""

import anndata
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_matrix
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score, f1_score, silhouette_score
from sklearn.neighbors import NearestNeighbors

from bftembed.bench import CellLabels, CellVectors, Source, get_source
from bftembed.bench.problems._clusters import half_samples, rand_indices
from bftembed.bench.sources.base import NotApplicableError
from bftembed.errors import InputError

RNG = np.random.default_rng(0)
TYPES = np.repeat(["a", "b", "c"], 30)
BATCHES = np.tile(["x", "y"], 45)


def cells(types=TYPES, batches=BATCHES):
    """90 cells x 60 genes: each type expresses twenty genes of its own."""
    rates = 0.3 + 2.0 * (np.arange(60) // 20 == np.unique(TYPES, return_inverse=True)[1][:, None])
    counts = np.random.default_rng(1).poisson(rates)
    values = np.log1p(1e4 * counts / counts.sum(axis=1, keepdims=True)).astype(np.float32)
    obs = pd.DataFrame({"cell_type": types, "batch": batches, "leak": types}, index=[f"c{i:02d}" for i in range(90)])
    adata = anndata.AnnData(csr_matrix(values), obs=obs, var=pd.DataFrame(index=[f"G{i}" for i in range(60)]))
    adata.layers["counts"] = csr_matrix(counts)
    adata.obsm["X_leak"], adata.uns["leak"] = values, "a"
    return adata


def problem(**options):
    return CellLabels(cells(), **({"batch": "batch", "n_seeds": 2, "baselines": False} | options))


class Spy(Source):
    """Keeps what it is shown."""

    def cells(self, adata):
        self.seen = adata
        return CellVectors(adata.X.toarray())


def test_a_source_sees_no_label_nor_what_was_made_of_one():
    spy = Spy()
    problem().embed(spy)
    assert list(spy.seen.obs) == ["batch"]
    assert list(spy.seen.layers) == ["counts"]
    assert [len(part) for part in (spy.seen.obsm, spy.seen.uns, spy.seen.obsp, spy.seen.var.columns)] == [0, 0, 0, 0]
    problem(batch=None).embed(spy)
    assert list(spy.seen.obs) == []


def test_other_labels_give_the_same_embedding():
    shuffled = RNG.permutation(TYPES)
    for spec in ("random", "pca", "hvg", "harmony"):
        first = problem().embed(get_source(spec))
        second = CellLabels(cells(shuffled), batch="batch").embed(get_source(spec))
        np.testing.assert_array_equal(first.matrix, second.matrix)


def test_a_source_that_writes_the_type_into_a_prompt_fails():
    class Cheat(Source):
        def cells(self, adata):
            return np.array([[len(f"A cell of type {name}.")] for name in adata.obs["cell_type"]], dtype=np.float32)

    with pytest.raises(KeyError, match="cell_type"):
        problem().embed(Cheat())


def test_the_order_of_the_cells_does_not_matter():
    adata = cells()
    order = RNG.permutation(90)
    first, second = problem(), CellLabels(adata[order], batch="batch", n_seeds=2, baselines=False)
    assert first.entities == second.entities
    scores = [each.evaluate(each.embed(get_source("random"))).scores for each in (first, second)]
    assert [score.describe() for score in scores[0]] == [score.describe() for score in scores[1]]


def test_scores_are_those_of_the_libraries():
    made = problem()
    x = made.embed(get_source("pca")).matrix
    scores = {(score.method, score.metric): score for score in made.evaluate(x).scores}
    wide = x.astype(np.float64)
    by_hand = [adjusted_rand_score(TYPES, KMeans(3, n_init=1, random_state=s).fit_predict(wide)) for s in range(2)]
    np.testing.assert_allclose(scores["k-means", "ari"].values.ravel(), by_hand, rtol=1e-12)
    assert scores["types", "silhouette"].mean == pytest.approx(silhouette_score(wide, TYPES))

    def vote(own):
        guesses = []
        for i in range(90):
            others = np.flatnonzero(((BATCHES[i] == BATCHES) == own) & (np.arange(90) != i))
            near = NearestNeighbors(n_neighbors=10).fit(wide[others]).kneighbors(wide[[i]], return_distance=False)[0]
            names, votes = np.unique(TYPES[others[near]], return_counts=True)
            guesses.append(names[votes.argmax()])
        return np.array(guesses)

    for own, name in ((True, "neighbours in the batch"), (False, "neighbours in other batches")):
        guess = vote(own)
        assert scores[name, "accuracy"].mean == pytest.approx((guess == TYPES).mean())
        assert scores[name, "macro f1"].mean == pytest.approx(f1_score(TYPES, guess, average="macro"))


def test_types_that_are_told_score_one_and_shuffled_types_nothing():
    made = problem()
    told = np.eye(3, dtype=np.float32)[np.unique(TYPES, return_inverse=True)[1]]
    told = np.hstack([told, 1e-3 * RNG.normal(size=(90, 1)).astype(np.float32)])
    perfect = {(score.method, score.metric): score.mean for score in made.evaluate(told).scores}
    assert perfect["k-means", "ari"] == 1
    assert perfect["neighbours in other batches", "accuracy"] == 1
    shuffled = made.evaluate(told[RNG.permutation(90)]).scores[0]
    assert abs(shuffled.mean) < 0.1


def test_a_constant_embedding_is_shown_for_what_it_is():
    made = problem(baselines=True)
    evaluation = made.evaluate(np.ones((90, 4), dtype=np.float32))
    assert any("All vectors are equal" in note for note in evaluation.notes)
    best = {score.method: score.mean for score in evaluation.baselines if score.metric == "ari"}
    assert evaluation.scores[0].mean == 0 < best["PCA"]
    assert set(best) == {"PCA", "random gene vectors"}


def test_cells_without_a_vector_or_a_type_take_no_part():
    types = TYPES.astype(object).copy()
    types[:5] = np.nan
    made = CellLabels(cells(types), batch="batch", n_seeds=2, baselines=False)
    assert made.removed == {"cells of unknown type": 5}
    x = made.embed(get_source("pca")).matrix
    x[:10] = np.nan
    evaluation = made.evaluate(x)
    assert list(evaluation.items) == made.entities[10:]
    assert evaluation.counts == {"a": 15, "b": 30, "c": 30, "batches": 2}
    x[5:] = np.nan
    with pytest.raises(InputError, match="too few of more than one type"):
        made.evaluate(x)


def test_cells_without_a_batch_take_no_part():
    types, batches = TYPES.astype(object).copy(), BATCHES.astype(object).copy()
    types[:5], batches[3:9] = np.nan, np.nan
    made = CellLabels(cells(types, batches), batch="batch", n_seeds=2, baselines=False)
    assert made.removed == {"cells of unknown type": 5, "cells of unknown batch": 4}
    assert set(made.batches) == set(made.cells.obs["batch"]) == {"x", "y"}
    assert made.entities == [f"c{i:02d}" for i in range(9, 90)]
    assert len(CellLabels(cells(types, batches)).entities) == 85


class Half(Source):
    """Has every other gene."""

    def genes(self, names):
        vectors = np.random.default_rng(3).normal(size=(len(names), 3)).astype(np.float32)
        vectors[::2] = np.nan
        return vectors


def test_vectors_say_which_genes_they_are_of_whatever_was_embedded_since():
    made = problem()
    vectors = made.embed(Half())
    made.embed(get_source("pca"))
    assert "30 of 60 genes have a vector." in made.evaluate(vectors).notes


def test_genes_without_a_vector_are_counted_and_random_vectors_of_the_others_stand_beside():
    def main(scores):
        return {score.method: score.mean for score in scores if score.metric == "ari"}

    made = problem(baselines=True)
    vectors = made.embed(Half())
    found = made.evaluate(vectors)
    assert "30 of 60 genes have a vector." in found.notes
    same = get_source("random").cells_by("contrast", made.cells, genes=np.arange(60) % 2 == 1).matrix
    by_hand = made.evaluate(same)
    assert list(main(found.baselines)) == ["PCA", "random gene vectors", "random vectors of the same genes"]
    assert main(found.baselines)["random vectors of the same genes"] == main(by_hand.scores)["k-means"]
    assert list(main(by_hand.baselines)) == ["PCA", "random gene vectors"]
    assert len(by_hand.notes) == 1  # of an array nobody knows
    vectors.matrix[:10] = np.nan  # as for the entities that all embeddings have
    fewer = made.evaluate(vectors)
    assert found.notes == fewer.notes
    assert (
        main(fewer.baselines)["random vectors of the same genes"]
        == main(made.evaluate(np.where(np.arange(90)[:, None] < 10, np.nan, same)).scores)["k-means"]
    )


@pytest.mark.parametrize("recipe", ["mean", "batchwise"])
def test_random_vectors_beside_an_embedding_are_made_into_cells_in_its_way(recipe):
    """Also where it has all genes, since those of all genes are made into cells by contrast with all cells."""
    made = problem(baselines=True)
    found = made.evaluate(made.embed(get_source(f"{recipe}:random")))
    by_method = {score.method: score.mean for score in found.baselines if score.metric == "ari"}
    assert by_method["random vectors of the same genes"] == found.scores[0].mean
    plain = made.evaluate(made.embed(get_source("random")))
    assert by_method["random gene vectors"] == plain.scores[0].mean
    assert "random vectors of the same genes" not in {score.method for score in plain.baselines}


@pytest.mark.parametrize(("spec", "note"), [("random", ["60 of 60 genes have a vector."]), ("pca", [])])
def test_an_embedding_with_all_genes_or_of_cells_needs_no_other_random_vectors(spec, note):
    made = problem(baselines=True)
    found = made.evaluate(made.embed(get_source(spec)))
    assert found.notes[1:] == note
    assert not [score for score in found.baselines if "same genes" in score.method]


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"cell_type": "kind"}, "no column `kind`; it has cell_type, batch"),
        ({"batch": "donor"}, "no column `donor`"),
        ({"cell_type": "one"}, "fewer than two types"),
    ],
)
def test_columns_that_are_not_there(change, match):
    adata = cells()
    adata.obs["one"] = "same"
    with pytest.raises(InputError, match=match):
        CellLabels(adata, **change)


def test_names_that_repeat():
    adata = cells()
    adata.obs_names = ["same", "same", *adata.obs_names[2:]]
    with pytest.raises(InputError, match=r"Names of cells repeat, e\.g\. 'same'"):
        CellLabels(adata)


def test_a_dense_matrix_is_embedded_as_a_sparse_one():
    dense = cells()
    dense.X = dense.X.toarray()
    for spec in ("random", "pca", "harmony"):
        first, second = (CellLabels(each, batch="batch").embed(get_source(spec)) for each in (dense, cells()))
        np.testing.assert_array_equal(first.matrix, second.matrix)


def test_harmony_needs_batches_and_scvi_counts():
    with pytest.raises(NotApplicableError, match="no batches"):
        problem(batch=None).embed(get_source("harmony"))
    adata = cells()
    del adata.layers["counts"]
    with pytest.raises(NotApplicableError, match="needs counts"):
        CellLabels(adata).embed(get_source("scvi"))
    for spec in ("pca", "hvg", "harmony", "scvi"):
        with pytest.raises(NotApplicableError, match=f"`{spec}` has no embedding of genes"):
            get_source(spec).genes(["TP53"])


def test_harmony_moves_batches_together():
    adata = cells()
    shifted = adata.X.toarray()
    shifted[BATCHES == "x", 40:] += 2.0
    adata.X = csr_matrix(shifted)
    distances = {}
    for spec in ("pca", "harmony"):
        x = CellLabels(adata, batch="batch").embed(get_source(spec)).matrix
        assert x.shape == (90, 50)
        distances[spec] = np.linalg.norm(x[BATCHES == "x"].mean(axis=0) - x[BATCHES == "y"].mean(axis=0))
    assert distances["harmony"] < 0.5 * distances["pca"]


@pytest.mark.filterwarnings("ignore")  # of lightning and torch
def test_scvi():
    pytest.importorskip("scvi", reason="scvi-tools is not installed: pip install scvi-tools")
    x = problem().embed(get_source("scvi")).matrix
    assert x.shape == (90, 10)
    assert np.isfinite(x).all()


def test_half_samples_are_halves_and_vary_as_the_bootstrap_does():
    halves = half_samples([f"c{i}" for i in range(200)])
    assert halves.shape == (1000, 200)
    assert (halves.sum(axis=1) == 100).all()
    np.testing.assert_array_equal(halves, half_samples([f"c{i}" for i in range(200)]))
    values = RNG.normal(size=200)
    spread = np.std([values[half].mean() for half in halves])
    assert spread == pytest.approx(values.std() / np.sqrt(200), rel=0.1)


@given(st.integers(0, 2**32 - 1), st.integers(2, 40), st.integers(1, 5), st.integers(1, 6))
def test_rand_indices_equal_those_of_scikit_learn(seed, n, n_types, n_clusters):
    rng = np.random.default_rng(seed)
    types, clusters = rng.integers(n_types, size=n), rng.integers(n_clusters, size=n)
    draws = rng.random((5, n)) < rng.uniform(0.1, 1)
    draws[:, :2] = True  # scikit-learn gives 1 for one cell or none
    expected = [adjusted_rand_score(types[draw], clusters[draw]) for draw in draws]
    np.testing.assert_allclose(rand_indices(types, clusters, draws), expected, atol=1e-12)


def test_cells_of_one_batch_are_scored_as_without_batches():
    one, none = (CellLabels(cells(batches="x"), batch=batch, n_seeds=2, baselines=False) for batch in ("batch", None))
    x = one.embed(get_source("pca"))
    found, expected = one.evaluate(x), none.evaluate(x)
    assert [score.describe() for score in found.scores] == [score.describe() for score in expected.scores]
    assert any("of one batch" in note for note in found.notes)
    two = problem()
    alone = x.matrix.copy()
    alone[BATCHES == "x"] = np.nan
    assert any("of one batch" in note for note in two.evaluate(alone).notes)


def test_one_cell_of_a_type_or_of_each_batch_and_too_many_types():
    types = TYPES.astype(object)
    types[0] = "rare"
    made = CellLabels(cells(types), batch="batch", n_seeds=2, baselines=False)
    assert not any(np.isnan(score.mean) for score in made.evaluate(made.embed(get_source("pca"))).scores)
    made = CellLabels(cells(batches=np.arange(90).astype(str)), batch="batch", n_seeds=2, baselines=False)
    methods = {score.method for score in made.evaluate(made.embed(get_source("pca"))).scores}
    assert "neighbours in the batch" not in methods
    assert "neighbours in other batches" in methods
    made = CellLabels(cells(np.arange(90).astype(str)), batch=None, n_seeds=2, baselines=False)
    with pytest.raises(InputError, match="each of a type of its own"):
        made.evaluate(made.embed(get_source("pca")))
