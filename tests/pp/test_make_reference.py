import warnings
from pathlib import Path

import anndata
import dask.array
import numpy as np
import pandas as pd
import pytest
import scanpy
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

import bftembed as bft
from bftembed.errors import InputError
from bftembed.expression import parts_of
from bftembed.pp._make_reference import streamed_reference

pytestmark = [
    pytest.mark.filterwarnings("ignore:zarr v3 autosharding:UserWarning"),
    pytest.mark.filterwarnings("ignore:Writing zarr v2 data:UserWarning"),
    pytest.mark.filterwarnings("ignore:Consolidated metadata is currently not part"),
]


def cells(n=120, genes=60, seed=0):
    rng = np.random.default_rng(seed)
    counts = rng.negative_binomial(1, 0.4, (n, genes)) * (rng.random((n, genes)) < rng.random(genes))
    counts[:, 0] += 1
    counts[:, 5] = 0
    adata = anndata.AnnData(sparse.csr_matrix(counts.astype(np.float32)))
    adata.var_names, adata.obs_names = [f"g{i}" for i in range(genes)], [f"c{i}" for i in range(n)]
    adata.obs["batch"] = pd.Categorical(np.where(rng.random(n) < 0.3, "a/1", "b"))
    return adata


def logged(adata):
    adata = adata.copy()
    adata.X = adata.X.astype(np.float64)
    scanpy.pp.normalize_total(adata, target_sum=1e4)
    scanpy.pp.log1p(adata)
    return adata


def check(reference, x, *, batch=0):
    """Against numpy, in float64; `x` log-normalised."""
    np.testing.assert_allclose(reference.mean[batch], x.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(reference.sd[batch], x.std(axis=0, ddof=1), rtol=1e-6)
    np.testing.assert_allclose(reference.detection[batch], (x > 0).mean(axis=0))
    np.testing.assert_allclose(reference.level[batch], np.expm1(x).mean(axis=0), rtol=1e-6)
    assert reference.n_cells[batch] == len(x)


def test_moments_of_log_normalised_expression_are_those_of_scale():
    adata = cells()
    x = logged(adata)
    reference = bft.pp.reference(adata)
    check(reference, x.X.toarray())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it makes the matrix dense
        scaled = scanpy.pp.scale(x, copy=True)
    np.testing.assert_allclose(scaled.var["mean"], reference.mean[0], rtol=1e-6)
    varying = reference.sd[0] > 0  # scale puts 1 for the others
    np.testing.assert_allclose(scaled.var["std"][varying], reference.sd[0][varying], rtol=1e-6)
    assert reference.genes.tolist() == adata.var_names.tolist()
    check(bft.pp.reference(x), x.X.toarray())


@pytest.mark.parametrize("n_top", [1, 20, 59, 60, 5000])
def test_highly_variable_genes_are_those_of_scanpy(n_top):
    adata = cells()
    adata = adata[:, np.asarray(adata.X.sum(axis=0)).ravel() > 0].copy()
    found = bft.pp.reference(adata, n_top_genes=n_top).highly_variable
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # more than there are
        frame = scanpy.pp.highly_variable_genes(logged(adata), n_top_genes=n_top, inplace=False)
    np.testing.assert_array_equal(found, frame["highly_variable"])
    assert found.sum() == min(n_top, int(frame["dispersions_norm"].notna().sum()))


def test_rarely_expressed_genes_are_not_marked():
    adata = cells()
    found = bft.pp.reference(adata, n_top_genes=20, min_detection=0.31).highly_variable
    kept = np.asarray((adata.X > 0).mean(axis=0)).ravel() > 0.31
    assert 20 < kept.sum() < adata.n_vars
    frame = scanpy.pp.highly_variable_genes(logged(adata)[:, kept].copy(), n_top_genes=20, inplace=False)
    np.testing.assert_array_equal(found[kept], frame["highly_variable"])
    assert not found[~kept].any()
    for share in (-0.1, 1):
        with pytest.raises(InputError, match=f"min_detection={share} is a share of the cells"):
            bft.pp.reference(adata, min_detection=share)


def test_real_cells():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the file that scanpy ships is of an old format
        raw = scanpy.datasets.pbmc68k_reduced().raw.to_adata()
    reference = bft.pp.reference(raw, n_top_genes=300, min_detection=0)
    check(reference, raw.X.toarray().astype(float))
    frame = scanpy.pp.highly_variable_genes(raw, n_top_genes=300, inplace=False)
    np.testing.assert_array_equal(reference.highly_variable, frame["highly_variable"])


def test_a_reference_of_each_batch():
    adata = cells()
    reference = bft.pp.reference(adata, batch_key="batch", n_top_genes=20)
    assert reference.batches == ("a/1", "b")
    for number, name in enumerate(reference.batches):
        check(reference, logged(adata[adata.obs["batch"] == name]).X.toarray(), batch=number)
    whole = bft.pp.reference(adata, n_top_genes=20)
    np.testing.assert_array_equal(reference.highly_variable, whole.highly_variable)
    assert repr(reference) == "Reference(60 genes, 20 highly variable, of 120 cells in 2 batches)"


CONTAINERS = {
    "csr": lambda a, _: a,
    "csc": lambda a, _: anndata.AnnData(a.X.tocsc(), a.obs, a.var),
    "dense": lambda a, _: anndata.AnnData(a.X.toarray(), a.obs, a.var),
    "dask": lambda a, _: anndata.AnnData(dask.array.from_array(a.X.toarray(), chunks=(31, -1)), a.obs, a.var),
    "backed": lambda a, p: anndata.read_h5ad(saved(a, p / "a.h5ad"), backed="r"),
    "lazy": lambda a, p: anndata.experimental.read_lazy(saved(a, p / "a.zarr")),
    "h5ad": lambda a, p: saved(a, p / "a.h5ad"),
    "zarr": lambda a, p: str(saved(a, p / "a.zarr")),
}


def saved(adata, path: Path):
    adata.write_h5ad(path) if path.suffix == ".h5ad" else adata.write_zarr(path)
    return path


@pytest.mark.parametrize("kind", CONTAINERS)
def test_every_container(kind, tmp_path):
    adata = cells()
    adata.var["bft_gene"] = [f"G{i}" for i in range(adata.n_vars)]
    expected = bft.pp.reference(adata, batch_key="batch", n_top_genes=20)
    found = bft.pp.reference(CONTAINERS[kind](adata, tmp_path), batch_key="batch", n_top_genes=20)
    pd.testing.assert_frame_equal(found.table, expected.table, rtol=1e-9)
    assert found.genes[0] == "G0"


@given(st.integers(1, 120), st.integers(0, 20))
def test_chunks_and_the_order_of_cells_do_not_matter(chunk_size, seed):
    adata = cells(seed=3)
    adata = adata[np.random.default_rng(seed).permutation(adata.n_obs)].copy()
    arguments = {"batch_key": "batch", "layer": None, "use_raw": False, "values": "auto", "progress": False}
    found = streamed_reference(parts_of(adata), n_top_genes=20, min_detection=0.005, chunk_size=chunk_size, **arguments)
    expected = bft.pp.reference(cells(seed=3), batch_key="batch", n_top_genes=20)
    pd.testing.assert_frame_equal(found.table, expected.table, rtol=1e-9)


def test_raw_and_layers():
    adata = cells()
    adata.layers["counts"] = adata.X.copy()
    adata.raw = adata.copy()
    adata.var["bft_gene"] = [f"G{i}" if i else None for i in range(adata.n_vars)]
    expected = bft.pp.reference(adata)
    small = adata[:, 3:].copy()
    small.X = small.X.toarray() - 1
    np.testing.assert_array_equal(bft.pp.reference(small, use_raw=True).mean, expected.mean)
    assert bft.pp.reference(small, use_raw=True).genes[:4].tolist() == ["g0", "g1", "g2", "G3"]
    check(bft.pp.reference(small, layer="counts"), logged(cells()[:, 3:]).X.toarray())


def test_a_batch_of_one_cell_is_named():
    adata = cells()
    adata.obs["batch"] = ["alone", *["many"] * (adata.n_obs - 1)]
    with pytest.raises(InputError, match=r"Batch 'alone' of `adata.obs\['batch'\]` is a single cell.*leave it out"):
        bft.pp.reference(adata, batch_key="batch")
    with pytest.raises(InputError, match="The data are a single cell"):
        bft.pp.reference(adata[:1])


def test_cells_that_are_all_the_same_have_no_reference():
    adata = cells()
    adata.X = sparse.csr_matrix(np.tile(adata.X[0].toarray(), (adata.n_obs, 1)))
    with pytest.raises(InputError, match="No gene varies in the data: all s"):
        bft.pp.reference(adata)
    adata.X = sparse.vstack([adata.X[:60], cells().X[60:]], format="csr")
    adata.obs["batch"] = np.repeat(["flat", "other"], 60)
    with pytest.raises(InputError, match="No gene varies in the cells of 'flat'"):
        bft.pp.reference(adata, batch_key="batch")


@pytest.mark.parametrize(
    ("change", "how", "message"),
    [
        (lambda a: a, {"batch_key": "bach"}, r"no column `bach`.*Did you mean `batch`"),
        (lambda a: a[:0], {}, "0 cells"),
        (lambda a: a, {"n_top_genes": 0}, "`n_top_genes` is a whole number"),
        (lambda a: a, {"layer": "no"}, "no layer 'no'"),
        (lambda a: a, {"values": "cpm"}, "`values` is"),
        (lambda a: a, {"values": "lognorm"}, "no logarithm of counts"),
    ],
)
def test_what_cannot_be_is_said(change, how, message):
    adata = cells()
    adata.X[0, 0] = 50
    with pytest.raises(InputError, match=message):
        bft.pp.reference(change(adata), **how)


def test_cells_without_a_batch_are_named():
    adata = cells()
    adata.obs["batch"] = [None, *["b"] * (adata.n_obs - 1)]
    with pytest.raises(InputError, match=r"1 of 120 cells have no entry in `adata.obs\['batch'\]` \(first: 'c0'\)"):
        bft.pp.reference(adata, batch_key="batch")


@pytest.mark.parametrize("n", [50.5, "50", None, 0])
def test_numbers_of_genes_that_are_none_are_named(n):
    adata = anndata.AnnData(np.random.default_rng(0).poisson(2, (20, 5)).astype(np.float32))
    with pytest.raises(InputError, match="`n_top_genes` is a whole number, 1 or more, got"):
        bft.pp.reference(adata, n_top_genes=n)
