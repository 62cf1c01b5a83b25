"""Cells from vectors of genes: what each recipe hands on to `embed_cells`."""

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix
from sklearn.covariance import LedoitWolf

from bftembed.bench.sources.of_genes import cells_of_genes
from bftembed.tl import embed_cells

RNG = np.random.default_rng(0)
GENES = 40


def cells(n=90):
    values = RNG.gamma(0.6, 1.0, size=(n, GENES)) * (RNG.random((n, GENES)) < 0.6)
    obs = pd.DataFrame({"batch": np.tile(["x", "y"], n // 2)}, index=[f"c{i}" for i in range(n)])
    values[::2] += 1.0
    return anndata.AnnData(
        csr_matrix(values.astype(np.float32)), obs=obs, var=pd.DataFrame(index=[f"G{i}" for i in range(GENES)])
    )


def vectors_and_table():
    table = (RNG.normal(size=(900, 6)) * [9, 3, 2, 1, 1, 0.5] + 5).astype(np.float32)
    vectors = table[:GENES].copy()
    vectors[::7] = np.nan
    return vectors, table


def whitened(vectors, table):
    fitted = LedoitWolf().fit(table.astype(float))
    variances, axes = np.linalg.eigh(fitted.covariance_)
    return (vectors - fitted.location_) @ (axes / np.sqrt(variances)) @ axes.T


def by_contrast(adata, vectors, **options):
    """What `embed_cells` makes of vectors as they are."""
    var = pd.DataFrame(index=adata.var_names)
    other = anndata.AnnData(adata.X, obs=adata.obs, var=var, varm={"genes": vectors})
    embed_cells(other, use_rep="genes", weights="contrast", whiten=None, values="lognorm", key_added="cells", **options)
    return other.obsm["cells"]


def test_by_contrast_vectors_are_whitened_by_those_of_all_genes():
    adata, (vectors, table) = cells(), vectors_and_table()
    found = cells_of_genes(adata, vectors, table, recipe="contrast")
    np.testing.assert_allclose(found, by_contrast(adata, whitened(vectors, table)), rtol=1e-3, atol=1e-5)
    own = cells_of_genes(adata, vectors, recipe="contrast")
    expected = by_contrast(adata, whitened(vectors, vectors[~np.isnan(vectors[:, 0])]))
    np.testing.assert_allclose(own, expected, rtol=1e-3, atol=1e-5)
    assert not np.allclose(own, found, atol=1e-2)


def test_batchwise_cells_are_compared_with_their_batch():
    adata, (vectors, table) = cells(), vectors_and_table()
    found = cells_of_genes(adata, vectors, table, recipe="batchwise")
    expected = by_contrast(adata, whitened(vectors, table), batch_key="batch")
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5)
    pooled = cells_of_genes(adata, vectors, table, recipe="contrast")
    first = (adata.obs["batch"] == "x").to_numpy()
    apart = [np.linalg.norm(each[first].mean(axis=0) - each[~first].mean(axis=0)) for each in (found, pooled)]
    assert apart[0] < 0.01 * apart[1]


def test_a_mean_is_weighted_by_the_values_of_a_cell():
    adata, (vectors, _) = cells(), vectors_and_table()
    values = adata.X.toarray()
    values[3] = 0
    adata.X = csr_matrix(values)
    found = cells_of_genes(adata, vectors, recipe="mean")
    known = ~np.isnan(vectors[:, 0])
    weights = values[:, known].astype(float)
    rows = np.arange(90) != 3
    expected = weights[rows] @ vectors[known] / weights[rows].sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found[rows], expected, rtol=1e-5, atol=1e-6)
    assert np.isnan(found[3]).all()


@pytest.mark.parametrize("recipe", ["contrast", "batchwise", "mean"])
def test_the_cells_that_are_given_stay_as_they_are(recipe):
    adata, (vectors, table) = cells(), vectors_and_table()
    before = adata.X.toarray()
    cells_of_genes(adata, vectors, table, recipe=recipe)
    np.testing.assert_array_equal(adata.X.toarray(), before)
    assert not adata.obsm
    assert not adata.varm
    assert not adata.uns


@pytest.mark.parametrize("recipe", ["contrast", "batchwise"])
def test_equal_vectors_make_one_point_of_all_cells(recipe):
    adata, (vectors, table) = cells(), vectors_and_table()
    vectors[~np.isnan(vectors)] = 0.3
    found = [
        cells_of_genes(adata, vectors, recipe=recipe),
        cells_of_genes(adata, vectors, table * 0 + 2, recipe=recipe),
    ]
    assert all((each == 0).all() for each in found)
