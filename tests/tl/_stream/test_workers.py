import os
import signal
import warnings
from pathlib import Path

import anndata
import dask
import dask.array
import numpy as np
import pytest
from scipy import sparse

import bftembed as bft
from bftembed.errors import DataError, InputError

N, GENES, DIM, BLOCK = 170, 60, 19, 40
pytestmark = [
    pytest.mark.filterwarnings("ignore:zarr v3 autosharding:UserWarning"),
    pytest.mark.filterwarnings("ignore:Consolidated metadata is currently not part"),
]


def cells(*, logged=False):
    rng = np.random.default_rng(0)
    counts = rng.negative_binomial(1, 0.4, (N, GENES)) * (rng.random((N, GENES)) < np.linspace(0.1, 0.9, GENES))
    counts[:, 1] += 1
    x = sparse.csr_matrix(counts.astype(np.float32))
    if logged:
        x = sparse.csr_matrix(np.log1p(1e4 * counts / counts.sum(axis=1, keepdims=True)).astype(np.float32))
    adata = anndata.AnnData(x)
    adata.obs_names, adata.var_names = [f"c{i}" for i in range(N)], [f"g{i}" for i in range(GENES)]
    adata.obs["batch"] = np.where(rng.random(N) < 0.4, "a", "b")
    adata.varm["X_bft"] = 3 + rng.standard_normal((GENES, DIM)).astype(np.float32)
    adata.varm["X_bft"][[0, 7]] = np.nan
    return adata


def lazily(adata, chunks=(BLOCK, -1), *, make=sparse.csr_matrix, dtype=None):
    """The same with a Dask array as `X`; `make` is called of each dense block."""
    x = dask.array.from_array(adata.X.toarray().astype(dtype or adata.X.dtype), chunks=chunks)
    if make is not None:
        x = x.map_blocks(make, meta=sparse.csr_matrix((0, 0), dtype=x.dtype))
    return anndata.AnnData(x, adata.obs, adata.var, varm=dict(adata.varm))


def read(path):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Consolidated metadata")
        return anndata.io.read_zarr(path) if path.suffix == ".zarr" else anndata.read_h5ad(path)


WAYS = {
    "contrast": {},
    "zscore of batches": {"weights": "zscore", "batch_key": "batch"},
    "mean of length one": {"weights": "log1p", "normalize": True},
    "binary": {"weights": "binary"},
}
BLOCKS = {
    "sparse": {},
    "dense": {"make": None},
    "float64": {"dtype": np.float64},
    "cut by columns": {"chunks": (BLOCK, 25)},
    "of unequal length": {"chunks": ((50, 0, 70, 20, 30), -1)},
}


@pytest.mark.parametrize("logged", [False, True])
@pytest.mark.parametrize("way", WAYS)
def test_the_same_bits_as_in_one_process(way, logged, client):
    adata, how = cells(logged=logged), dict(WAYS[way])
    if how.get("weights") not in {"log1p", "binary"}:
        how["reference"] = bft.pp.reference(adata, batch_key=how.get("batch_key"))
    bft.tl.embed_cells(adata, **how)
    other = lazily(adata)
    bft.tl.embed_cells(other, **how)
    np.testing.assert_array_equal(other.obsm["X_bft"], adata.obsm["X_bft"])
    mine, theirs = (a.uns["bft"]["X_bft"]["cells"] for a in (other, adata))
    assert {**mine, "date": ""} == {**theirs, "date": ""}
    assert client is not None


@pytest.mark.parametrize("output", [None, "x.zarr", "x.h5ad"])
@pytest.mark.parametrize("blocks", BLOCKS)
def test_any_blocks_into_memory_and_into_files(blocks, output, client, tmp_path):
    adata = cells()
    how = {"reference": bft.pp.reference(adata)}
    bft.tl.embed_cells(adata, **how)
    other = lazily(adata, **BLOCKS[blocks])
    bft.tl.embed_cells(other, output=output and tmp_path / output, keep_x=False, **how)
    found = other if output is None else read(tmp_path / output)
    np.testing.assert_array_equal(found.obsm["X_bft"], adata.obsm["X_bft"])
    assert found.obs_names.tolist() == adata.obs_names.tolist()
    assert [path.name for path in tmp_path.iterdir()] == ([output] if output else [])
    assert client is not None


@pytest.mark.parametrize("batch_key", [None, "batch"])
def test_a_reference_is_made_on_the_workers(batch_key, client):
    adata = cells()
    expected = bft.pp.reference(adata, batch_key=batch_key, n_top_genes=20)
    found = bft.pp.reference(lazily(adata, ((50, 0, 70, 20, 30), -1)), batch_key=batch_key, n_top_genes=20)
    for name in ("mean", "sd", "detection", "level"):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), rtol=1e-9, atol=1e-12)
    assert found.batches == expected.batches
    np.testing.assert_array_equal(found.highly_variable, expected.highly_variable)
    assert client is not None


def noting(path):
    """A block that leaves a line with its process and its length; nested, and so sent as it is."""

    def make(block):
        from scipy import sparse

        if block.shape[0]:
            with open(path, "a") as file:  # noqa: PTH123 (runs on a worker)
                file.write(f"{os.getpid()} {block.shape[0]}\n")
        return sparse.csr_matrix(block)

    return make


def test_each_block_is_made_once_for_each_pass_and_on_the_workers(client, tmp_path):
    adata = cells()
    for how, passes in (({"reference": bft.pp.reference(adata)}, 1), ({}, 2)):
        path = tmp_path / str(passes)
        bft.tl.embed_cells(lazily(adata, make=noting(path)), **how)
        lines = [line.split() for line in path.read_text().splitlines()]
        assert sorted(int(rows) for _, rows in lines) == sorted([10, *[BLOCK] * 4] * passes)
        assert {int(pid) for pid, _ in lines} <= set(client.run(os.getpid).values())


def sent(client):
    """Bytes that the workers have sent, as Dask counts them: to others and away."""

    def read(dask_worker):
        return dask_worker.transfer_outgoing_bytes_total

    return sum(client.run(read).values())


@pytest.mark.parametrize(("output", "most"), [(None, 2), ("x.zarr", 0.1)])
def test_only_results_travel(output, most, client, tmp_path):
    """Cells of 1.3 kB, vectors of 76 bytes."""
    n, genes = 4_000, 500

    def make(block_info=None):
        rows = np.random.default_rng(block_info[None]["chunk-location"][0]).poisson(1, (1_000, genes))
        return sparse.csr_matrix(rows.astype(np.float32))

    meta = sparse.csr_matrix((0, 0), dtype=np.float32)
    adata = anndata.AnnData(dask.array.map_blocks(make, chunks=((1_000,) * 4, (genes,)), meta=meta))
    adata.varm["X_bft"] = np.random.default_rng(0).standard_normal((genes, DIM)).astype(np.float32)
    before = sent(client)
    bft.tl.embed_cells(adata, weights="log1p", output=output and tmp_path / output, keep_x=False)
    vectors = n * DIM * 4
    assert sent(client) - before < most * vectors + 100_000
    with dask.config.set(scheduler="threads"):
        assert adata.X.compute().data.nbytes > 10 * vectors


@pytest.mark.parametrize("output", [None, "x.zarr"])
def test_workers_that_are_killed_lose_nothing(output, client, tmp_path):
    """Two blocks each kill the process in which they are made for the first time."""
    adata, marks = cells(), tmp_path / "marks"
    marks.mkdir()
    bft.tl.embed_cells(adata, weights="log1p")

    def make(block, block_info=None):
        from scipy import sparse

        if block_info and block_info[0]["chunk-location"][0] in {1, 3}:
            try:
                Path(marks, str(block_info[0]["chunk-location"][0])).touch(exist_ok=False)
            except FileExistsError:
                return sparse.csr_matrix(block)
            os.kill(os.getpid(), signal.SIGKILL)
        return sparse.csr_matrix(block)

    other = lazily(adata, make=make)
    bft.tl.embed_cells(other, weights="log1p", output=output and tmp_path / output, keep_x=False)
    found = other if output is None else read(tmp_path / output)
    np.testing.assert_array_equal(found.obsm["X_bft"], adata.obsm["X_bft"])
    assert sorted(path.name for path in marks.iterdir()) == ["1", "3"]
    client.wait_for_workers(2)


@pytest.mark.parametrize(
    ("row", "value", "message"),
    [
        (150, np.nan, r"1 cells of `.X` hold NaN, infinite or too large values \(first: 'c150'\)"),
        (150, -1, r"`.X` holds negative values \(first in cell 'c150'\)"),
        (150, 0.5, r"`.X` mixes kinds of values: cell 'c0' holds whole numbers only.* and cell 'c150' fractions"),
        (150, 0, r"1 of 170 cells have no counts at all \('c150'\)"),
    ],
)
@pytest.mark.parametrize("output", [None, "x.zarr"])
def test_bad_values_are_refused_in_the_same_words(row, value, message, output, client, tmp_path):
    adata = cells()
    x = adata.X.toarray()
    x[row] = value
    adata.X = sparse.csr_matrix(x)
    with pytest.raises(InputError, match=message):
        bft.tl.embed_cells(adata, weights="log1p")
    with pytest.raises(InputError, match=message):
        bft.tl.embed_cells(lazily(adata), weights="log1p", output=output and tmp_path / output, keep_x=False)
    if value:
        with pytest.raises(InputError, match=message):
            bft.pp.reference(lazily(adata))
    assert not list(tmp_path.iterdir())
    assert client is not None


def test_other_levels_than_those_of_the_reference_are_noticed(client):
    adata = cells()
    reference = bft.pp.reference(adata)
    logged = cells(logged=True)
    logged.X = logged.X * 3
    for each in (logged, lazily(logged)):
        with pytest.raises(InputError, match="normalised otherwise than those of the reference"):
            bft.tl.embed_cells(each, reference=reference)
    assert client is not None


def test_a_file_that_workers_do_not_see_is_said(client, tmp_path):
    """As one in a directory of this machine alone: here it is gone before a worker writes."""

    def make(block):
        import shutil

        for path in tmp_path.glob(".*x.zarr"):
            shutil.rmtree(path, ignore_errors=True)
        return sparse.csr_matrix(block)

    with pytest.raises(DataError, match=r"worker of the cluster does not see .*x.zarr'.* that all machines share"):
        bft.tl.embed_cells(lazily(cells(), make=make), weights="log1p", output=tmp_path / "x.zarr", keep_x=False)
    assert not list(tmp_path.iterdir())
    assert client is not None
