import logging

import anndata
import dask.array
import h5py
import numpy as np
import pytest
import zarr
from anndata.io import sparse_dataset, write_elem
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from bftembed.errors import InputError
from bftembed.expression import default_chunk_rows, prefetched, row_chunks

N, GENES = 57, 11
KINDS = [
    "numpy", "fortran", "csr_matrix", "csr_array", "csc_matrix", "csc_array", "coo",
    "h5-csr", "h5-csc", "h5-dense", "zarr-csr", "zarr-csc", "zarr-dense",
    "dask-csr", "dask-csc-columns", "dask-dense", "dask-dense-2d",
]  # fmt: skip


@pytest.fixture
def counts():
    rng = np.random.default_rng(0)
    return ((rng.random((N, GENES)) < 0.4) * rng.integers(1, 9, (N, GENES))).astype(np.float32)


@pytest.fixture
def container(counts, tmp_path):
    files = []

    def on_disk(kind):
        if kind.startswith("h5"):
            files.append(h5py.File(tmp_path / "x.h5", "w"))
            root = files[-1]
        else:
            root = zarr.open_group(tmp_path / "x.zarr", mode="w", zarr_format=2)
        form = kind.split("-")[1]
        write_elem(root, "X", counts if form == "dense" else getattr(sparse, f"{form}_matrix")(counts))
        return root["X"] if form == "dense" else sparse_dataset(root["X"])

    def make(kind):
        if kind == "numpy":
            return counts
        if kind == "fortran":
            return np.asfortranarray(counts)
        if kind == "coo":
            return sparse.coo_array(counts)
        if kind.startswith("cs"):
            return getattr(sparse, kind)(counts)
        if not kind.startswith("dask"):
            return on_disk(kind)
        if kind == "dask-csr":
            return dask.array.from_array(counts, chunks=(9, -1)).map_blocks(sparse.csr_matrix)
        if kind == "dask-csc-columns":
            return anndata.experimental.read_elem_lazy(on_disk("zarr-csc").group, chunks=(N, 4))
        return dask.array.from_array(counts, chunks=(9, -1) if kind == "dask-dense" else (9, 4))

    yield make
    for file in files:
        file.close()


@pytest.mark.parametrize("chunk_size", [1, 4, 9, 20, N, 1000])
@pytest.mark.parametrize("kind", KINDS)
def test_chunks_put_together_are_the_matrix(kind, chunk_size, counts, container):
    end = 0
    for start, stop, rows in row_chunks(container(kind), chunk_size):
        assert start == end
        assert 0 < stop - start <= chunk_size
        assert isinstance(rows, sparse.csr_matrix)
        np.testing.assert_array_equal(rows.toarray(), counts[start:stop])
        end = stop
    assert end == N


@pytest.mark.parametrize("dtype", [np.bool_, np.uint8, np.int16, np.int64, np.float16, np.float32, np.float64])
@pytest.mark.parametrize("form", ["csr_matrix", "csc_matrix", "array", "h5", "h5-dense"])
def test_every_real_type_passes(form, dtype, counts, tmp_path):
    values = (counts > 0).astype(dtype)
    if form in {"csr_matrix", "csc_matrix"} and dtype is np.float16:
        pytest.skip("scipy has no sparse float16")
    with h5py.File(tmp_path / "x.h5", "w") as file:
        if form == "h5":
            write_elem(file, "X", sparse.csr_matrix(counts > 0))
            data = file["X/data"][:].astype(dtype)
            del file["X/data"]
            file["X/data"] = data
            x = sparse_dataset(file["X"])
        elif form == "h5-dense":
            x = file.create_dataset("X", data=values)
        else:
            x = values if form == "array" else getattr(sparse, form)(values)
        found = np.vstack([rows.toarray() for _, _, rows in row_chunks(x, 10)])
    np.testing.assert_array_equal(found, counts > 0)


def test_indices_of_other_types_are_read(counts, tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        write_elem(file, "X", sparse.csr_matrix(counts))
        for name, dtype in (("indices", np.uint16), ("indptr", np.int64)):
            values = file["X"][name][:].astype(dtype)
            del file["X"][name]
            file["X"][name] = values
        found = np.vstack([rows.toarray() for _, _, rows in row_chunks(sparse_dataset(file["X"]), 10)])
    np.testing.assert_array_equal(found, counts)


def test_a_block_of_a_dask_array_is_computed_once(counts):
    computed = []

    def note(block, block_info=None):
        computed.append(block_info[0]["chunk-location"][0])
        return sparse.csr_matrix(block)

    lazy = dask.array.from_array(counts, chunks=(19, -1)).map_blocks(
        note, meta=sparse.csr_matrix((0, 0), dtype=counts.dtype)
    )
    computed.clear()
    chunks = [(start, stop) for start, stop, _ in row_chunks(lazy, 7)]
    assert computed == [0, 1, 2]
    assert chunks[:4] == [(0, 7), (7, 14), (14, 19), (19, 26)]


def test_columns_first_is_loaded_with_a_message(container, caplog):
    with caplog.at_level(logging.INFO, logger="bftembed"):
        list(row_chunks(container("h5-csc"), 10))
    assert "CSC" in caplog.text


@pytest.mark.parametrize(
    "x", [np.array([["a", "b"]]), np.ones((2, 2), dtype=complex), np.ones(3), [[1, 2]], None, np.array([[1, None]])]
)
def test_what_is_not_a_matrix_of_real_numbers_is_refused(x):
    with pytest.raises(InputError, match="real numbers"):
        next(row_chunks(x, 10))


def test_a_dask_array_of_unknown_size_is_refused(counts):
    lazy = dask.array.from_array(counts, chunks=(19, -1))
    with pytest.raises(InputError, match="compute_chunk_sizes"):
        next(row_chunks(lazy[lazy[:, 0] >= 0], 10))


@pytest.mark.parametrize("damage", ["decreasing", "short"])
def test_a_damaged_sparse_matrix_on_disk_is_refused(damage, counts, tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        write_elem(file, "X", sparse.csr_matrix(counts))
        if damage == "short":
            file["X/data"].resize((3,))
        else:
            file["X/indptr"][4] = 10**6
        with pytest.raises(InputError, match="damaged"):
            next(row_chunks(sparse_dataset(file["X"]), 10))


@pytest.mark.parametrize("kind", KINDS)
def test_default_chunks_are_within_the_matrix(kind, container):
    assert default_chunk_rows(container(kind), 384) == N


def test_default_chunks_shrink_with_wide_rows_and_long_vectors():
    wide = np.broadcast_to(np.float32(1), (10**6, 30_000))
    lazy = dask.array.zeros((10**6, 30_000), chunks=(1000, -1), dtype=np.float32)
    thin = sparse.csr_matrix((10**6, 30_000), dtype=np.float32)
    assert default_chunk_rows(wide, 384) == default_chunk_rows(lazy, 384) < 100
    assert 10_000 < default_chunk_rows(thin, 384) < 20_000
    assert default_chunk_rows(thin, 3840) < 2_000
    part = lazy.map_blocks(sparse.csr_matrix)
    assert default_chunk_rows(wide, 384) < default_chunk_rows(part, 384) < default_chunk_rows(thin, 384)


@given(st.lists(st.integers()))
def test_prefetching_changes_nothing(items):
    assert list(prefetched(iter(items))) == items


def test_an_error_of_the_reader_arrives_after_what_came_before():
    def read():
        yield 1
        yield 2
        msg = "broken file"
        raise OSError(msg)

    items = prefetched(read())
    assert [next(items), next(items)] == [1, 2]
    with pytest.raises(OSError, match="broken file"):
        next(items)
