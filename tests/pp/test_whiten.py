import anndata
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.covariance import LedoitWolf

import bftembed as bft
from bftembed.errors import DataError, InputError
from bftembed.vectors import write_vectors


def draws(n=500, d=7, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)) @ rng.normal(size=(d, d)) + 10 * rng.random(d)


def oracle(vectors, table, alpha):
    """By scikit-learn's estimate and the square root of a symmetric matrix."""
    fit = LedoitWolf().fit(table)
    variances, axes = np.linalg.eigh(fit.covariance_)
    return (vectors - fit.location_) @ (axes * variances ** (-alpha / 2)) @ axes.T


@given(st.sampled_from([0.0, 0.25, 1.0, 2.0]), st.integers(3, 60), st.integers(2, 9), st.integers(0, 99))
def test_it_is_the_formula(alpha, n, d, seed):
    table, vectors = draws(n, d, seed), draws(20, d, seed + 1)
    found = bft.pp.whiten(vectors, table=table, alpha=alpha)
    expected = oracle(vectors, table, alpha)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())


def test_alpha_one_gives_all_directions_the_same_variance_and_zero_the_mean_alone():
    table = np.random.default_rng(0).normal(3, [1, 2, 4], (20_000, 3)) @ np.array([[2, 1, 0], [0, 1, 0], [1, 1, 1]])
    np.testing.assert_allclose(np.cov(bft.pp.whiten(table).T), np.eye(3), atol=0.03)
    np.testing.assert_allclose(bft.pp.whiten(table, alpha=0), table - table.mean(axis=0), rtol=1e-4, atol=1e-5)


def test_a_vector_depends_on_the_table_and_not_on_the_vectors_beside_it():
    table, vectors = draws(), draws(30, seed=1)
    together = bft.pp.whiten(vectors, table=table)
    np.testing.assert_allclose(bft.pp.whiten(vectors[4:5], table=table), together[4:5], rtol=1e-5)
    np.testing.assert_allclose(bft.pp.whiten(vectors, table=table[::-1]), together, rtol=1e-4, atol=1e-5)


def test_few_vectors_in_many_dimensions_are_shrunk():
    table = draws(20, 50)
    assert np.isfinite(bft.pp.whiten(table)).all()
    np.testing.assert_allclose(bft.pp.whiten(table), oracle(table, table, 1), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("n_components", [1, 3, 7])
def test_components_are_those_of_largest_variance(n_components):
    table = draws(seed=3)
    found = bft.pp.whiten(table, alpha=0, n_components=n_components)
    _, _, axes = np.linalg.svd(table - table.mean(axis=0), full_matrices=False)
    expected = (table - table.mean(axis=0)) @ axes[:n_components].T
    signs = np.sign((found * expected).sum(axis=0))
    np.testing.assert_allclose(found, expected * signs, rtol=1e-3, atol=1e-4)
    whole = bft.pp.whiten(table)
    turned = bft.pp.whiten(table, n_components=7)
    np.testing.assert_allclose(turned @ turned.T, whole @ whole.T, atol=1e-3)


def test_genes_without_a_vector_stay_so_and_are_not_counted():
    table = draws()
    expected = bft.pp.whiten(table)
    gaps = np.insert(table, [2, 9], np.nan, axis=0)
    found = bft.pp.whiten(gaps)
    assert np.flatnonzero(np.isnan(found).all(axis=1)).tolist() == [2, 10]
    np.testing.assert_allclose(np.delete(found, [2, 10], axis=0), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(bft.pp.whiten(table, table=gaps), expected, rtol=1e-5, atol=1e-6)


def test_a_direction_without_variance_adds_nothing():
    table = np.c_[draws(), np.zeros((500, 1))]
    found = bft.pp.whiten(table)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found[:, 7], 0, atol=1e-6)
    two = draws(2)
    np.testing.assert_allclose(bft.pp.whiten(two, alpha=0), two - two.mean(axis=0), rtol=1e-5)


def test_the_table_comes_in_many_forms(tmp_path):
    table = draws(40, 5).astype(np.float32)
    expected = bft.pp.whiten(table)
    frame = pd.DataFrame(table, index=[f"g{i}" for i in range(40)])
    adata = anndata.AnnData(obs=pd.DataFrame(index=frame.index), obsm={"X_bft": table})
    adata.write_h5ad(tmp_path / "t.h5ad")
    named = anndata.AnnData(obs=adata.obs, obsm={"genes": table})
    beside_cells = anndata.AnnData(np.ones((6, 40)), varm={"X_bft": table}, obsm={"X_bft": np.ones((6, 5))})
    beside_cells.write_h5ad(tmp_path / "cells.h5ad")
    for suffix in ("parquet", "csv", "vec"):
        write_vectors(adata, tmp_path / f"t.{suffix}")
    for form in (
        frame,
        adata,
        named,
        beside_cells,
        tmp_path / "cells.h5ad",
        *(tmp_path / f"t.{suffix}" for suffix in ("h5ad", "parquet", "csv", "vec")),
    ):
        np.testing.assert_allclose(bft.pp.whiten(table, table=form), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(bft.pp.whiten(frame), expected)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"table": np.ones((9, 3))}, "have 7 dimensions and those of `table` 3"),
        ({"table": np.ones((9, 7))}, "All 9 vectors of the table are the same"),
        ({"table": draws()[:1]}, "1 vectors have no covariance"),
        ({"table": np.full((4, 7), np.nan)}, "0 vectors have no covariance"),
        ({"table": "none.h5ad"}, "There is no file"),
        ({"table": anndata.AnnData(np.eye(3))}, r"`table` has no 'X_bft' in varm \(\[\]\)"),
        ({"alpha": -1}, "`alpha` is a number, 0 or more, got -1"),
        ({"alpha": np.nan}, "`alpha` is a number, 0 or more, got nan"),
        ({"n_components": 0}, "`n_components` is a whole number, 1 or more, got 0"),
        ({"n_components": 8}, "n_components=8 must be from 1 to the 7"),
    ],
)
def test_what_cannot_be_is_said(how, message):
    with pytest.raises(InputError, match=message):
        bft.pp.whiten(draws(), **how)


def test_a_file_that_is_not_there():
    with pytest.raises(DataError, match="There is no file"):
        bft.pp.whiten(draws(), table="none.parquet")


def test_what_is_no_table_of_numbers_is_said():
    with pytest.raises(InputError, match="`vectors` must be numbers, a row for each gene"):
        bft.pp.whiten(np.ones(3))


def test_vectors_of_any_size():
    table = draws()
    expected = bft.pp.whiten(table)
    for factor in (1e-30, 1e30):
        np.testing.assert_allclose(bft.pp.whiten(table * factor), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"alpha": "yes"}, "`alpha` is a number, 0 or more, got 'yes'"), ({"n_components": 2.5}, "is a whole number")],
)
def test_arguments_of_another_kind_are_named(arguments, message):
    with pytest.raises(InputError, match=message):
        bft.pp.whiten(np.random.default_rng(0).random((9, 4)), **arguments)


@pytest.mark.parametrize(("held", "told"), [({"X_bft": np.ones((3, 2)), "a": np.ones((3, 2))}, "X_bft"), ({}, "X_bft")])
def test_an_anndata_is_no_array(held, told):
    with pytest.raises(InputError, match=rf"^`vectors` is an AnnData.*pass `adata\.varm\['{told}'\]`"):
        bft.pp.whiten(anndata.AnnData(np.ones((2, 3)), varm=held))
