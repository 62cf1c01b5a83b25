"""Neighbour graphs and maps by scanpy."""

import warnings

import anndata
import numpy as np
import pytest

from bftembed import _scanpy
from bftembed._scanpy import neighbors, umap

sc = pytest.importorskip("scanpy", reason="scanpy is not installed")
pytestmark = pytest.mark.filterwarnings("ignore:.*n_jobs value.*:UserWarning")


def cells(n, d=3):
    return anndata.AnnData(obsm={"X": np.random.default_rng(0).normal(size=(n, d)).astype(np.float32)}, shape=(n, 0))


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_the_graph_is_that_of_scanpy(metric):
    ours, theirs = cells(200), cells(200)
    neighbors(ours, use_rep="X", metric=metric, n_neighbors=9, seed=1, key_added="mine")
    sc.pp.neighbors(theirs, use_rep="X", metric=metric, n_neighbors=9, random_state=1)
    assert (ours.obsp["mine_connectivities"] != theirs.obsp["connectivities"]).nnz == 0
    assert (ours.obsp["mine_distances"] != theirs.obsp["distances"]).nnz == 0


@pytest.mark.filterwarnings("ignore::scipy.sparse.SparseEfficiencyWarning")
@pytest.mark.parametrize(("n", "metric"), [(4200, "cosine"), (8300, "euclidean")])
def test_so_many_rows_that_scanpy_would_ask_another_library(n, metric):
    many = cells(n)
    neighbors(many, use_rep="X", metric=metric, n_neighbors=4)
    assert (many.obsp["distances"].getnnz(axis=1) == 3).all()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_approximate_neighbours_are_mostly_the_exact_ones(monkeypatch):
    exact, approximate = cells(600), cells(600)
    neighbors(exact, use_rep="X")
    monkeypatch.setattr(_scanpy, "_EXACT", 500)
    neighbors(approximate, use_rep="X")
    common = (exact.obsp["distances"] > 0).multiply(approximate.obsp["distances"] > 0).nnz
    assert common > 0.95 * exact.obsp["distances"].nnz


def test_a_map_is_made_once(monkeypatch):
    vectors = cells(30).obsm["X"]
    first = umap(vectors, metric="cosine")
    monkeypatch.setattr(sc.tl, "umap", lambda *_, **__: pytest.fail("it was made again"))
    np.testing.assert_array_equal(umap(vectors.copy(), metric="cosine"), first)
    for changed in ({"metric": "euclidean"}, {"metric": "cosine", "n_neighbors": 5}, {"metric": "cosine", "seed": 1}):
        with pytest.raises(pytest.fail.Exception), warnings.catch_warnings():
            umap(vectors, **changed)
