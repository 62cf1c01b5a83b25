import itertools

import anndata
import numpy as np
import pytest
import scanpy
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from bftembed.pp._moments import Moments, dispersions


@given(st.integers(2, 30), st.integers(1, 6), st.lists(st.integers(0, 30), max_size=4), st.integers(0, 99))
def test_pieces_give_mean_and_variance(n, columns, cuts, seed):
    x = sparse.random_array((n, columns), density=0.5, format="csr", rng=np.random.default_rng(seed))
    moments = Moments(columns)
    ends = [0, *sorted(min(cut, n) for cut in cuts), n]
    for start, stop in itertools.pairwise(ends):
        moments.add(sparse.csr_matrix(x[start:stop]))
    assert moments.n == n
    np.testing.assert_allclose(moments.mean, x.toarray().mean(axis=0), atol=1e-14)
    np.testing.assert_allclose(moments.variance, x.toarray().var(axis=0, ddof=1), atol=1e-14)


def test_a_small_variance_beside_a_large_mean_keeps_its_digits():
    x = 1e6 + np.random.default_rng(0).normal(0, 1e-3, (4000, 3))
    moments = Moments(3)
    for rows in np.array_split(x, 7):
        moments.add(sparse.csr_matrix(rows))
    np.testing.assert_allclose(moments.variance, x.var(axis=0, ddof=1), rtol=1e-6)
    naive = (x**2).mean(axis=0) - x.mean(axis=0) ** 2  # what is lost otherwise
    assert not np.allclose(naive, x.var(axis=0), rtol=0.1)


def test_all_of_another():
    x = np.random.default_rng(1).random((9, 2))
    one, other = Moments(2), Moments(2)
    one.add(sparse.csr_matrix(x[:4]))
    other.add(sparse.csr_matrix(x[4:]))
    one.include(other)
    one.include(Moments(2))
    np.testing.assert_allclose(one.variance, x.var(axis=0, ddof=1))


@pytest.mark.parametrize("genes", [12, 400])
def test_dispersions_are_those_of_scanpy(genes):
    rng = np.random.default_rng(2)
    x = np.log1p(rng.negative_binomial(0.5, 0.3, (200, genes)) * rng.gamma(0.3, 2, genes))
    x[:, 3] = 0
    frame = scanpy.pp.highly_variable_genes(anndata.AnnData(x), n_top_genes=5, inplace=False)
    counts = np.expm1(x)
    found = dispersions(counts.mean(axis=0), counts.var(axis=0, ddof=1))
    np.testing.assert_allclose(found, frame["dispersions_norm"], rtol=1e-6)
    assert np.isnan(found[3])


def test_equal_values_have_no_variance_whatever_their_rounding():
    moments = Moments(1)
    for n in (3, 7, 11):
        moments.add(sparse.csr_matrix(np.full((n, 1), 0.1)))
    assert moments.variance == 0
