import anndata as ad
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from bftembed.pp._column_sums import column_sums

COLUMNS = np.array([0, 3, 4])
KINDS = {
    "dense": np.asarray,
    "csr": sp.csr_matrix,
    "csc": sp.csc_matrix,
    "csr_array": sp.csr_array,
    "csc_array": sp.csc_array,
}


@pytest.fixture
def counts():
    return np.random.default_rng(0).poisson(0.4, size=(53, 6)).astype(np.float32)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rows", [1, 7, 53, 1000])
def test_in_memory(counts, kind, rows, monkeypatch):
    matrix = KINDS[kind](counts)
    if kind != "dense":
        monkeypatch.setattr(type(matrix), "toarray", lambda self: pytest.fail("made dense"))
    np.testing.assert_allclose(column_sums(matrix, COLUMNS, chunk_size=rows), counts.sum(axis=0)[COLUMNS])


@pytest.mark.parametrize("kind", ["dense", "csr", "csc"])
def test_backed(counts, kind, tmp_path):
    ad.AnnData(KINDS[kind](counts)).write_h5ad(tmp_path / "x.h5ad")
    adata = ad.read_h5ad(tmp_path / "x.h5ad", backed="r")
    np.testing.assert_allclose(column_sums(adata.X, COLUMNS, chunk_size=7), counts.sum(axis=0)[COLUMNS])
    adata.file.close()


@pytest.mark.parametrize("kind", ["dense", "csr", "csc"])
def test_lazy(counts, kind, tmp_path):
    da = pytest.importorskip("dask.array")
    matrix = KINDS[kind](counts)
    chunks = (53, 2) if kind == "csc" else (10, 6)
    blocks = [
        [matrix[i : i + chunks[0], j : j + chunks[1]] for j in range(0, 6, chunks[1])] for i in range(0, 53, chunks[0])
    ]
    if kind == "dense":
        lazy = da.block([[da.from_array(block) for block in row] for row in blocks])
    else:
        lazy = da.concatenate(
            [da.concatenate([da.from_array(b, chunks=-1, asarray=False) for b in row], axis=1) for row in blocks]
        )
    np.testing.assert_allclose(column_sums(lazy, COLUMNS), counts.sum(axis=0)[COLUMNS])


def test_small_integers_do_not_overflow():
    assert column_sums(np.full((40, 2), 200, dtype=np.uint8), np.array([1])).tolist() == [8000]


@given(st.integers(1, 20), st.integers(1, 8), st.integers(1, 25), st.integers(0, 99))
def test_chunks_do_not_matter(n_obs, n_vars, rows, seed):
    rng = np.random.default_rng(seed)
    matrix = sp.random_array((n_obs, n_vars), density=0.5, format="csr", rng=rng)
    columns = np.flatnonzero(rng.random(n_vars) < 0.5)
    expected = matrix.sum(axis=0)[columns]
    np.testing.assert_allclose(column_sums(matrix, columns, chunk_size=rows), expected)
