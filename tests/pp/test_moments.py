import itertools
import weakref
from concurrent.futures import ThreadPoolExecutor

import anndata
import numpy as np
import pytest
import scanpy
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from bftembed.expression.kernels import n_threads
from bftembed.pp._moments import GeneMoments, Moments, add_cells, dispersions


def moments_of(x, pieces, *, batches=None, totals=False):
    rows = sparse.csr_matrix(x)
    batches = np.zeros(len(x), dtype=np.intp) if batches is None else batches
    moments = [GeneMoments(x.shape[1]) for _ in range(batches.max() + 1)]
    with ThreadPoolExecutor(2) as pool:
        for start, stop in itertools.pairwise(pieces):
            sums = np.asarray(x[start:stop].sum(axis=1)) if totals else None
            add_cells(moments, rows[start:stop], sums, batches[start:stop], pool)
    return moments


@settings(max_examples=40)
@given(
    st.integers(2, 30),
    st.integers(1, 6),
    st.lists(st.integers(0, 30), max_size=4),
    st.integers(1, 3),
    st.booleans(),
    st.integers(0, 99),
)
def test_pieces_give_mean_and_variance(n, genes, cuts, n_batches, totals, seed):
    rng = np.random.default_rng(seed)
    x = rng.random((n, genes)) * (rng.random((n, genes)) < 0.6)
    batches = rng.integers(0, n_batches, n)
    moments = moments_of(x, [0, *sorted(min(cut, n) for cut in cuts), n], batches=batches, totals=totals)
    levels, logs = np.expm1(x), x
    if totals:
        sums = x.sum(axis=1, keepdims=True)
        levels = 1e4 * np.divide(x, sums, out=np.zeros_like(x), where=sums > 0)
        logs = np.log1p(levels)
    for batch, found in enumerate(moments):
        for one, values in ((found.logs, logs[batches == batch]), (found.levels, levels[batches == batch])):
            assert one.n == len(values)
            if len(values) > 1:
                np.testing.assert_allclose(one.mean, values.mean(axis=0), rtol=1e-12, atol=1e-14)
                np.testing.assert_allclose(one.variance, values.var(axis=0, ddof=1), rtol=1e-9, atol=1e-14)
                np.testing.assert_allclose(found.detection, (values > 0).mean(axis=0))
    pooled = Moments(genes)
    for found in moments:
        pooled.include(found.logs)
    np.testing.assert_allclose(pooled.variance, logs.var(axis=0, ddof=1), rtol=1e-9, atol=1e-14)


def test_stored_zeros_are_zeros():
    rows = sparse.csr_matrix((np.array([0.0, 0.5, 0.0]), np.array([0, 1, 1]), np.array([0, 1, 2, 3])), shape=(3, 2))
    moments = [GeneMoments(2)]
    with ThreadPoolExecutor(2) as pool:
        add_cells(moments, rows, None, np.zeros(3, dtype=np.intp), pool)
    np.testing.assert_allclose(moments[0].logs.variance, rows.toarray().var(axis=0, ddof=1))
    np.testing.assert_allclose(moments[0].detection, [0, 1 / 3])


def test_a_small_variance_beside_a_large_mean_keeps_its_digits():
    x = 20 + np.random.default_rng(0).normal(0, 1e-7, (4000, 3))
    found = moments_of(x, [0, 100, 2000, 4000])[0].logs
    np.testing.assert_allclose(found.variance, x.var(axis=0, ddof=1), rtol=1e-6)
    naive = (x**2).mean(axis=0) - x.mean(axis=0) ** 2  # what is lost otherwise
    assert not np.allclose(naive, x.var(axis=0), rtol=0.1, atol=0)


def test_equal_values_have_no_variance_whatever_their_rounding():
    assert moments_of(np.full((21, 1), 0.1), [0, 3, 10, 21])[0].logs.variance == 0


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


def test_many_batches_are_summed_without_an_array_for_each_at_a_time(monkeypatch):
    """Of the arrays over all genes, at most one for each thread is there at a time."""
    alive, most = [], []

    class Counted(np.ndarray):
        pass

    zeros = np.zeros

    def counted(*args, **kwargs):
        array = zeros(*args, **kwargs)
        if array.ndim == 2:
            array = array.view(Counted)
            alive.append(weakref.ref(array))
            most.append(sum(one() is not None for one in alive))
        return array

    x = sparse.random_array((400, 5), density=0.5, rng=0).tocsr()
    moments = [GeneMoments(5) for _ in range(200)]
    monkeypatch.setattr(np, "zeros", counted)
    with ThreadPoolExecutor(2) as pool:
        add_cells(moments, sparse.csr_matrix(x), None, np.arange(400) % 200, pool)
    assert len(most) == 200
    assert max(most) <= 2 * n_threads()
