"""Metrics of scIB are those of scib and scib-metrics, on the same cells."""

import contextlib
import io
import warnings

import anndata
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from scipy.stats import chi2
from sklearn.cluster import KMeans

from bftembed.bench.problems import _scib

N = 150


@pytest.fixture(autouse=True)
def quiet():
    """What these packages warn of when they are called directly."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        for category in (FutureWarning, DeprecationWarning, ImportWarning):
            warnings.simplefilter("ignore", category)
        yield


def cells(seed=0, n=N, apart=3.0, shift=1.0):
    """Three types in two batches, the third type only in one of them; expression and an embedding of 8 numbers."""
    rng = np.random.default_rng(seed)
    labels, batch = np.array(list("abc"))[np.arange(n) % 3], np.array(["u", "v"])[np.arange(n) // 3 % 2]
    batch[labels == "c"] = "u"
    x = rng.normal(size=(n, 8))
    x[:, 0] += apart * (labels == "b") - apart * (labels == "c")
    x[:, 1] += shift * (batch == "v")
    x[:48:3, 2] += 20  # sixteen cells of the first type lie elsewhere: its graph has two parts
    x -= x.mean(axis=0)
    expression = np.hstack([x + 2 * (batch == "v")[:, None], rng.normal(size=(n, 60))])
    obs = pd.DataFrame({"label": labels, "batch": batch}, index=[f"c{i}" for i in range(n)]).astype("category")
    return anndata.AnnData(expression, obs=obs, obsm={"X_emb": x})


@pytest.fixture(scope="module")
def adata():
    return cells()


def scores_of(adata):
    x, labels, batch = adata.obsm["X_emb"], adata.obs["label"].to_numpy(str), adata.obs["batch"].to_numpy(str)
    neighbours = _scib.nearest(x)
    before = _scib.principal_components(adata, batch)
    return _scib.bio_scores(x, labels, batch, neighbours) | _scib.batch_scores(x, batch, labels, neighbours, before)


@pytest.fixture(scope="module")
def scores(adata):
    return scores_of(adata)


def test_what_scib_gives(adata, scores):
    import scib

    whole = adata.copy()
    sc.pp.neighbors(whole, n_neighbors=15, use_rep="X_emb")
    edges = _scib._graph(_scib.nearest(whole.obsm["X_emb"])).toarray() > 0
    np.fill_diagonal(edges, False)
    np.testing.assert_array_equal(edges, whole.obsp["connectivities"].toarray() > 0)
    sc.pp.pca(whole, n_comps=50)
    expected = {
        "label silhouette": scib.me.silhouette(whole, "label", "X_emb"),
        "isolated labels": scib.me.isolated_labels_asw(whole, "label", "batch", "X_emb", verbose=False),
        "graph connectivity": scib.me.graph_connectivity(whole, "label"),
        "PCR comparison": scib.me.pcr_comparison(whole, whole, "batch", embed="X_emb"),
    }
    for seed in range(10):
        clusters = KMeans(3, n_init=1, random_state=seed).fit_predict(adata.obsm["X_emb"])
        whole.obs[f"c{seed}"] = pd.Categorical(clusters)
    expected["NMI"] = np.mean([scib.me.nmi(whole, f"c{seed}", "label") for seed in range(10)])
    expected["ARI"] = np.mean([scib.me.ari(whole, f"c{seed}", "label") for seed in range(10)])
    for metric, value in expected.items():
        assert scores[metric] == pytest.approx(value, abs=1e-6), metric
        assert 0.1 < value < 0.99, metric  # none of them is at an end by accident


def test_what_scib_metrics_gives(adata, scores):
    import scib_metrics

    x, labels, batch = adata.obsm["X_emb"], adata.obs["label"].to_numpy(), adata.obs["batch"].to_numpy()
    ninety = _scib.nearest(x, 90)
    expected = {
        "cLISI": scib_metrics.clisi_knn(ninety, labels),
        "iLISI": scib_metrics.ilisi_knn(ninety, batch),
        "BRAS": scib_metrics.bras(x.astype(np.float32), np.asarray(labels), np.asarray(batch)),
    }
    for metric, value in expected.items():
        assert scores[metric] == pytest.approx(float(value), abs=1e-6), metric
        assert 0.1 < value < 0.99, metric


def test_kbet_is_the_chi_square_test_of_the_neighbours_batches(adata, scores):
    """By hand for the two types that are in both batches; 25 cells a batch give 10 neighbours."""
    rates = []
    for label in ("a", "b"):
        rows = np.flatnonzero(adata.obs["label"] == label)
        x, second = adata.obsm["X_emb"][rows], (adata.obs["batch"].to_numpy()[rows] == "v").astype(int)
        near = np.argsort(((x[:, None] - x[None]) ** 2).sum(axis=2), axis=1)[:, :11]
        observed = np.stack([(second[near] == value).sum(axis=1) for value in (0, 1)], axis=1)
        share = np.array([(second == 0).mean(), (second == 1).mean()]) * 11
        p = chi2.sf(((observed - share) ** 2 / share).sum(axis=1), df=1)
        rates.append((p >= 0.05).mean())
    assert scores["kBET"] == pytest.approx(np.mean(rates), abs=1e-6)
    assert 0.1 < scores["kBET"] < 0.95


def test_labels_of_one_batch_or_of_few_cells_have_no_kbet():
    labels = np.repeat(["small", "single", "mixed"], [11, 40, 400])
    batch = np.where(np.arange(len(labels)) % 2, "u", "v")
    batch[labels == "single"] = "u"
    assert _scib.kbet_neighbours(labels, batch) == {"mixed": 51}


def test_a_perfect_embedding_scores_one():
    """Types far apart, batches by chance within them, none of them isolated."""
    rng = np.random.default_rng(0)
    labels = np.repeat(["a", "b", "c"], 50)
    batch = rng.permuted(np.tile(["u", "v"], 75).reshape(3, 50), axis=1).ravel()
    x = 1e4 * (labels[:, None] == np.array(["a", "b", "c"])) + rng.normal(size=(N, 3))
    x, neighbours = _scib.centred(x), _scib.nearest(x)
    expression = anndata.AnnData((batch == "u")[:, None] + rng.normal(scale=0.1, size=(N, 5)))
    bio = _scib.bio_scores(x, labels, batch, neighbours)
    assert set(bio) == {"label silhouette", "NMI", "ARI", "cLISI"}  # no label is isolated
    assert bio["label silhouette"] == pytest.approx(1, abs=1e-3)
    assert bio["cLISI"] == pytest.approx(1, abs=1e-3)
    assert bio["ARI"] == pytest.approx(1)
    assert bio["NMI"] == pytest.approx(1)
    before = _scib.principal_components(expression, batch)
    mixed = _scib.batch_scores(x, batch, labels, neighbours, before)
    assert mixed["graph connectivity"] == 1
    assert mixed.pop("BRAS") > 0.8  # it counts chance differences of single cells
    assert min(mixed.values()) > 0.9


def test_batches_that_are_apart_are_not_mixed():
    whole = cells(shift=100.0)
    scores = scores_of(whole)
    assert scores["iLISI"] == pytest.approx(0, abs=0.05)
    assert scores["kBET"] == 0
    assert scores["BRAS"] < 0.5
    assert scores["PCR comparison"] == 0


def test_one_point_scores_nothing(adata):
    labels, batch = adata.obs["label"].to_numpy(str), adata.obs["batch"].to_numpy(str)
    x = _scib.centred(np.full((N, 4), 0.1, dtype=np.float32))
    neighbours, before = _scib.nearest(x), _scib.principal_components(adata, batch)
    scores = _scib.bio_scores(x, labels, batch, neighbours) | _scib.batch_scores(x, batch, labels, neighbours, before)
    assert len(scores) == 10
    assert set(scores.values()) == {0.0}


def test_rounding_is_no_spread():
    rng = np.random.default_rng(0)
    weights = rng.random((50, 20)).astype(np.float32)
    same = (weights @ np.full((20, 3), 0.7, np.float32)) / weights.sum(axis=1, keepdims=True)
    assert len(np.unique(same)) > 1  # float32 makes it look like an embedding
    assert not _scib.centred(same).any()
    x = 100 + rng.normal(scale=0.1, size=(50, 3))
    np.testing.assert_allclose(_scib.centred(x), x - x.mean(axis=0))


def test_without_labels_all_cells_are_one_type(adata):
    x, batch = adata.obsm["X_emb"], adata.obs["batch"].to_numpy(str)
    neighbours, before = _scib.nearest(x), _scib.principal_components(adata, batch)
    without = _scib.batch_scores(x, batch, None, neighbours, before)
    one = _scib.batch_scores(x, batch, np.full(N, "one"), neighbours, before)
    assert set(one) - set(without) == {"graph connectivity"}
    assert without == {metric: one[metric] for metric in without}


def test_neighbours_are_exact_and_hold_the_cell_itself(adata):
    x = adata.obsm["X_emb"]
    found = _scib.nearest(x, 5)
    distances = np.sqrt(((x[:, None] - x[None]) ** 2).sum(axis=2))
    np.testing.assert_array_equal(found.indices, np.argsort(distances, axis=1)[:, :5])
    np.testing.assert_array_equal(found.indices[:, 0], np.arange(N))
    np.testing.assert_allclose(found.distances, np.sort(distances, axis=1)[:, :5], rtol=1e-6, atol=1e-6)


def test_equal_cells_get_equal_scores(adata, scores):
    assert scores_of(adata) == scores
