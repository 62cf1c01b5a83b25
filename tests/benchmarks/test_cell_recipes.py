"""Numerics of benchmarks/cell_recipes.py, which stands outside of the package."""

import anndata
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from scipy.sparse import csr_matrix
from sklearn.metrics import adjusted_rand_score, balanced_accuracy_score, normalized_mutual_info_score

import bftembed as bft


@pytest.fixture
def labels(rng):
    types = np.repeat([0, 1, 2], [40, 25, 10])
    return types, np.where(rng.random(75) < 0.6, types, rng.integers(0, 4, 75))


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_agreement_is_scikit_learns(script, labels, rng):
    types, clusters = labels
    some = rng.random((5, 75)) < 0.7
    found = script.agreement(types, clusters, np.vstack([np.ones(75), some]))
    for i, kept in enumerate([np.ones(75, dtype=bool), *some]):
        assert found["ARI"][i] == pytest.approx(adjusted_rand_score(types[kept], clusters[kept]))
        assert found["NMI"][i] == pytest.approx(normalized_mutual_info_score(types[kept], clusters[kept]))


def test_a_cell_drawn_twice_does_not_agree_with_itself(script, labels, rng):
    types, clusters = labels
    drawn = rng.multinomial(75, np.full(75, 1 / 75), size=2000)
    clusters = rng.permutation(clusters)
    own = adjusted_rand_score(types, clusters)
    naive = np.mean([adjusted_rand_score(np.repeat(types, d), np.repeat(clusters, d)) for d in drawn[:300]])
    mean = script.agreement(types, clusters, drawn.astype(float))["ARI"].mean()
    assert abs(mean - own) < abs(naive - own) / 3


def test_balanced_accuracy_is_scikit_learns(script, labels, rng):
    types, guess = labels
    guess = np.minimum(guess, 2)
    drawn = np.vstack([np.ones(75), rng.multinomial(75, np.full(75, 1 / 75), size=3)])
    expected = [balanced_accuracy_score(types, guess, sample_weight=one) for one in drawn]
    assert script.balanced_accuracy(types, guess, drawn) == pytest.approx(expected)


def test_whitened_vectors_have_unit_covariance(script, rng):
    table = rng.standard_normal((300, 6)) @ rng.standard_normal((6, 6)) + 3
    mean, matrix = script.whitening(table, script.Recipe(alpha=1.0, components=4))
    assert np.cov(((table - mean) @ matrix).T, bias=True) == pytest.approx(np.eye(4), abs=1e-8)
    mean, matrix = script.whitening(table, script.Recipe(alpha=0.0))
    centred = table - table.mean(axis=0)
    assert ((table - mean) @ matrix) @ ((table - mean) @ matrix).T == pytest.approx(centred @ centred.T)


def test_departure_is_scanpys_scale(script, rng):
    adata = anndata.AnnData(csr_matrix(rng.poisson(0.4, (80, 12)).astype(np.float32)))
    known = script.reference_of(adata)
    found = script.departure(adata.X.toarray(), known, script.Recipe(clip=2.0))
    adata.X = adata.X.toarray()
    sc.pp.scale(adata, max_value=2.0)
    assert found == pytest.approx(np.asarray(adata.X), abs=1e-5)


def test_a_cell_depends_on_itself_the_table_and_the_reference(script, rng):
    names = [f"g{i}" for i in range(30)]
    adata = anndata.AnnData(csr_matrix(np.log1p(rng.poisson(0.6, (60, 30))).astype(np.float32)))
    adata.var_names = names
    vectors = pd.DataFrame(rng.standard_normal((40, 8)), [*names[:25], *(f"other{i}" for i in range(15))])
    for recipe in (script.Recipe(alpha=0.5, genes=20), script.Recipe(scale="floor", unit=True, shrink="oas")):
        whole = script.embed(adata, adata, vectors, recipe)
        assert script.embed(adata[7:9].copy(), adata, vectors, recipe) == pytest.approx(whole[7:9])
        assert whole.shape == (60, 8)
    assert np.linalg.norm(whole, axis=1) == pytest.approx(np.ones(60))
    assert script.embed(adata, adata, vectors, script.OLD).shape == (60, 8)


def test_the_library_does_what_was_scored(script, rng):
    counts = rng.poisson(rng.gamma(1, 1, 40), (60, 40)) * (rng.random((60, 40)) < np.linspace(0.02, 1, 40))
    adata = anndata.AnnData(csr_matrix(counts.astype(np.float32)), obs=pd.DataFrame(index=[f"c{i}" for i in range(60)]))
    adata.var_names = [f"g{i}" for i in range(40)]
    sc.pp.normalize_total(adata, target_sum=1e4)
    sc.pp.log1p(adata)
    vectors = pd.DataFrame(rng.standard_normal((90, 8)) + 1, [f"g{i}" for i in range(90)]).drop(["g3", "g4"])
    chosen = script.Recipe(scale="centred", clip=None, alpha=1.0, shrink="ledoit_wolf")
    expected = script.embed(adata, adata[:30].copy(), vectors, chosen)
    found = script.embed(adata, adata[:30].copy(), vectors, script.Recipe(scale="library"))
    ratio = np.linalg.norm(expected) / np.linalg.norm(found)  # it divides by the number of genes
    assert ratio * ratio * found @ found.T == pytest.approx(expected @ expected.T, rel=1e-4, abs=1e-3)
    old = script.embed(adata, adata, vectors, script.OLD)
    cells = anndata.AnnData(adata.X, obs=adata.obs, var=pd.DataFrame(index=adata.var_names))
    cells.varm["genes"] = vectors.reindex(adata.var_names).to_numpy(dtype=np.float32)
    bft.tl.embed_cells(cells, use_rep="genes", weights="log1p", values="lognorm", progress=False)
    assert cells.obsm["X_bft"] == pytest.approx(old, rel=1e-4, abs=1e-5)


def test_the_simplest_value_within_one_standard_error_is_taken(script, rng):
    noise = rng.normal(0, 0.01, 200)
    best = np.concatenate([[0.60], 0.60 + noise])
    close = np.concatenate([[0.595], 0.595 + rng.normal(0, 0.01, 200)])
    paired = np.concatenate([[0.595], 0.595 + noise])  # below the best one in every draw
    assert script.one_standard_error([close, best], [0, 1]) == 0
    assert script.one_standard_error([paired, best], [0, 1]) == 1
    assert script.one_standard_error([close, best, best], [1, 2]) == 1
