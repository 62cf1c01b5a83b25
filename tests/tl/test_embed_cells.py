import fcntl
import functools
import gc
import os
import subprocess
import sys
import warnings
from pathlib import Path

import anndata
import dask.array
import h5py
import numpy as np
import pandas as pd
import pytest
import scanpy
from scipy import sparse

from bftembed import _files
from bftembed.errors import DataError, InputError
from bftembed.tl import _embed_cells

#: What these tests ask of the mean holds of contrasts as well: see `_stream/test_contrast.py`.
embed_cells = functools.partial(_embed_cells.embed_cells, weights="log1p")

N, GENES, DIM = 150, 40, 17
QUIET = (
    "ignore:zarr v3 autosharding:UserWarning",
    "ignore:Writing zarr v2 data:UserWarning",
    "ignore:Consolidated metadata is currently not part",
    "ignore:The data type",
)
pytestmark = [pytest.mark.filterwarnings(line) for line in QUIET]


def expected(x, vectors):
    """counts-per-10k log1p means, by the formula, in float64."""
    x, known = np.asarray(x, dtype=np.float64), ~np.isnan(vectors[:, 0])
    weights = np.log1p(1e4 * x / x.sum(axis=1, keepdims=True))[:, known]
    return weights @ vectors[known].astype(np.float64) / weights.sum(axis=1, keepdims=True)


@pytest.fixture
def adata():
    rng = np.random.default_rng(0)
    counts = ((rng.random((N, GENES)) < 0.3) * rng.integers(1, 30, (N, GENES))).astype(np.float32)
    counts[:, 1] += 1
    adata = anndata.AnnData(sparse.csr_matrix(counts))
    adata.obs_names, adata.var_names = [f"c{i}" for i in range(N)], [f"g{i}" for i in range(GENES)]
    adata.obs["batch"] = np.repeat(["a", "b"], N // 2)
    adata.varm["X_bft"] = rng.standard_normal((GENES, DIM)).astype(np.float32)
    adata.varm["X_bft"][[0, 7]] = np.nan
    adata.uns["bft"] = {"X_bft": {"genes": {"encoder": "e", "n": 3}}, "other": {"cells": {"n": 1}}}
    adata.uns["colors"] = np.array(["red", "blue"])
    adata.layers["counts"] = adata.X.copy()
    adata.obsm["X_pca"] = rng.standard_normal((N, 2))
    adata.raw = adata.copy()
    return adata


def saved(adata, tmp_path, kind):
    # A new name each time: a lazy or backed AnnData keeps its file open.
    path = tmp_path / f"in{len(names(tmp_path))}.{kind}"
    adata.write_h5ad(path) if kind == "h5ad" else adata.write_zarr(path)
    return path


def names(directory):
    return [path.name for path in directory.iterdir()]


def read(path):
    return anndata.io.read_zarr(path) if Path(path).suffix == ".zarr" else anndata.read_h5ad(path)


CONTAINERS = {
    "csr": lambda a, _: a,
    "csr_array": lambda a, _: anndata.AnnData(sparse.csr_array(a.X), a.obs, a.var, varm=a.varm),
    "csc": lambda a, _: anndata.AnnData(a.X.tocsc(), a.obs, a.var, varm=a.varm),
    "dense": lambda a, _: anndata.AnnData(a.X.toarray(), a.obs, a.var, varm=a.varm),
    "float64": lambda a, _: anndata.AnnData(a.X.astype(np.float64), a.obs, a.var, varm=a.varm),
    "int": lambda a, _: anndata.AnnData(a.X.astype(np.int64), a.obs, a.var, varm=a.varm),
    "view": lambda a, _: a[:, :],
    "dask": lambda a, _: anndata.AnnData(
        dask.array.from_array(a.X.toarray(), chunks=(31, -1)), a.obs, a.var, varm=a.varm
    ),
    "backed csr": lambda a, p: anndata.read_h5ad(saved(a, p, "h5ad"), backed="r"),
    "backed csc": lambda a, p: anndata.read_h5ad(saved(CONTAINERS["csc"](a, p), p, "h5ad"), backed="r"),
    "backed dense": lambda a, p: anndata.read_h5ad(saved(CONTAINERS["dense"](a, p), p, "h5ad"), backed="r"),
    "zarr": lambda a, p: read(saved(a, p, "zarr")),
    "lazy h5ad": lambda a, p: anndata.experimental.read_lazy(saved(a, p, "h5ad")),
    "lazy zarr": lambda a, p: anndata.experimental.read_lazy(saved(a, p, "zarr")),
    "lazy zarr csc": lambda a, p: anndata.experimental.read_lazy(saved(CONTAINERS["csc"](a, p), p, "zarr")),
}


@pytest.mark.parametrize("kind", CONTAINERS)
def test_the_same_bits_from_every_container_and_chunk_size(kind, adata, tmp_path):
    embed_cells(adata)
    reference = adata.obsm.pop("X_bft")
    np.testing.assert_allclose(reference, expected(adata.X.toarray(), adata.varm["X_bft"]), rtol=1e-4, atol=1e-5)
    for chunk_size in (None, 1, 13, N):
        other = CONTAINERS[kind](adata, tmp_path)
        embed_cells(other, chunk_size=chunk_size)
        found = other.obsm["X_bft"]
        assert isinstance(found, np.ndarray)
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, reference)
        if other.isbacked:
            other.file.close()


def test_a_cell_does_not_depend_on_its_company(adata):
    embed_cells(adata)
    for cells in ([4], [9, 2, 77], np.arange(N)[::-1]):
        alone = adata[cells].copy()
        embed_cells(alone, key_added="again")
        np.testing.assert_array_equal(alone.obsm["again"], alone.obsm["X_bft"])


def test_unsorted_and_repeated_entries_are_one_value_per_gene(adata):
    embed_cells(adata)
    x = adata.X
    halves = sparse.csr_matrix((N, GENES), dtype=np.float32)
    halves.indptr = (2 * x.indptr).astype(np.int32)
    ones = np.ones_like(x.data)
    parts = [
        (np.r_[ones[a:b], x.data[a:b] - 1], np.r_[x.indices[a:b][::-1], x.indices[a:b]])
        for a, b in zip(x.indptr[:-1], x.indptr[1:], strict=True)
    ]
    halves.data, halves.indices = np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])
    before = halves.indices.copy()
    other = anndata.AnnData(halves, varm=adata.varm)
    embed_cells(other)
    np.testing.assert_array_equal(other.obsm["X_bft"], adata.obsm["X_bft"])
    np.testing.assert_array_equal(other.X.indices, before)


@pytest.mark.parametrize("weights", ["log1p", "raw", "log", "binary"])
def test_weights(weights, adata):
    embed_cells(adata, weights=weights)
    x, known = adata.X.toarray().astype(float), ~np.isnan(adata.varm["X_bft"][:, 0])
    w = {"raw": x, "log": np.log1p(x), "binary": x > 0, "log1p": np.log1p(1e4 * x / x.sum(axis=1, keepdims=True))}[
        weights
    ]
    w = w[:, known].astype(float)
    reference = w @ adata.varm["X_bft"][known].astype(float) / w.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(adata.obsm["X_bft"], reference, rtol=1e-4, atol=1e-5)


def test_logarithms_are_not_logged_again(adata):
    embed_cells(adata)
    logged = adata.copy()
    scanpy.pp.normalize_total(logged, target_sum=1e4)
    scanpy.pp.log1p(logged)
    embed_cells(logged)
    np.testing.assert_allclose(logged.obsm["X_bft"], adata.obsm["X_bft"], rtol=1e-4, atol=1e-5)
    assert logged.uns["bft"]["X_bft"]["cells"]["values"] == "lognorm"
    embed_cells(logged, layer="counts", key_added="counts")
    np.testing.assert_array_equal(logged.obsm["counts"], adata.obsm["X_bft"])
    for values in ("auto", "lognorm"):
        with pytest.raises(InputError, match="twice"):
            embed_cells(logged, weights="log", values=values)


def test_centring_and_length_one(adata):
    embed_cells(adata, key_added="plain")
    embed_cells(adata, key_added="centred", center=True)
    mean = np.nanmean(adata.varm["X_bft"], axis=0)
    np.testing.assert_allclose(adata.obsm["centred"], adata.obsm["plain"] - mean, atol=1e-5)
    embed_cells(adata, key_added="unit", normalize=True)
    lengths = np.linalg.norm(adata.obsm["plain"], axis=1, keepdims=True)
    np.testing.assert_allclose(adata.obsm["unit"], adata.obsm["plain"] / lengths, atol=1e-6)


def test_what_was_done_is_noted_beside_what_was_there(adata):
    embed_cells(adata, weights="raw", chunk_size=7)
    bft = adata.uns["bft"]
    assert bft["X_bft"]["genes"] == {"encoder": "e", "n": 3}
    assert bft["other"] == {"cells": {"n": 1}}
    info = bft["X_bft"]["cells"]
    known = {"method": "weighted", "weights": "raw", "values": "counts", "use_rep": "X_bft", "matrix": "`.X`"}
    assert {key: info[key] for key in known} == known
    assert (info["n_genes_used"], info["n_cells"], info["n_empty"]) == (GENES - 2, N, 0)
    assert all(isinstance(value, str | int | bool) for value in info.values())


@pytest.mark.parametrize("suffix", ["h5ad", "zarr"])
def test_the_result_survives_writing_and_scanpy_uses_it(suffix, adata, tmp_path):
    embed_cells(adata)
    again = read(saved(adata, tmp_path, suffix))
    np.testing.assert_array_equal(again.obsm["X_bft"], adata.obsm["X_bft"])
    assert again.uns["bft"]["X_bft"]["cells"] == adata.uns["bft"]["X_bft"]["cells"]
    assert again.uns["bft"]["X_bft"]["genes"] == {"encoder": "e", "n": 3}
    scanpy.pp.neighbors(again, use_rep="X_bft", n_neighbors=5)
    assert again.uns["neighbors"]["params"]["use_rep"] == "X_bft"
    assert again.obsp["connectivities"].nnz > N


def test_cells_without_weight(adata):
    x = adata.X.toarray()
    x[[3, 5]] = 0
    x[8] = 0
    x[8, 7] = 4
    adata.X = sparse.csr_matrix(x)
    before = set(adata.obsm)
    with pytest.raises(
        InputError, match=r"2 of 150 cells have no counts.*'c3', 'c5'.*filter_cells\(adata, min_counts=1\)"
    ) as error:
        embed_cells(adata, chunk_size=4)
    assert "1 of 150 cells have counts, but none on a gene with a vector ('c8')" in str(error.value)
    assert set(adata.obsm) == before
    embed_cells(adata, empty="nan")
    assert np.flatnonzero(np.isnan(adata.obsm["X_bft"]).any(axis=1)).tolist() == [3, 5, 8]
    assert adata.uns["bft"]["X_bft"]["cells"]["n_empty"] == 3
    scanpy.pp.filter_cells(adata, min_counts=1)
    with pytest.raises(InputError, match="none on a gene with a vector"):
        embed_cells(adata)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"weights": "tfidf"}, "`weights` is .* or 'binary', got 'tfidf'"),
        ({"values": "cpm"}, "`values` is 'auto', 'counts' or 'lognorm', got 'cpm'"),
        ({"empty": "drop"}, "`empty` is 'raise' or 'nan', got 'drop'"),
        ({"chunk_size": 0}, "`chunk_size` is a whole number, 1 or more, got 0"),
        ({"use_rep": "X_no"}, "call bft.tl.embed_genes"),
        ({"layer": "no"}, "no layer 'no'"),
        ({"output": "x.csv"}, "must end in"),
    ],
)
def test_arguments_that_cannot_be(how, message, adata):
    with pytest.raises(InputError, match=message):
        embed_cells(adata, **how)
    assert "X_bft" not in adata.obsm


@pytest.mark.parametrize("bad", [np.nan, np.inf, -1])
def test_a_bad_value_in_a_late_chunk_leaves_everything_as_it_was(bad, adata, tmp_path):
    adata.X[N - 2, 3] = bad
    path = saved(adata, tmp_path, "h5ad")
    before = path.read_bytes()
    uns = dict(adata.uns["bft"])
    for source, how in (
        (adata, {}),
        (path, {"output": path}),
        (path, {"output": tmp_path / "new.zarr", "keep_x": False}),
    ):
        with pytest.raises(InputError, match=f"'c{N - 2}'"):
            embed_cells(source, chunk_size=10, **how)
    assert "X_bft" not in adata.obsm
    assert adata.uns["bft"] == uns
    assert path.read_bytes() == before
    assert names(tmp_path) == [path.name]


def test_scaled_data_are_sent_to_raw_and_raw_works():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the file that scanpy ships is of an old format
        pbmc = scanpy.datasets.pbmc68k_reduced()
    rng = np.random.default_rng(0)
    pbmc.varm["X_bft"] = rng.standard_normal((pbmc.n_vars, 8)).astype(np.float32)
    with pytest.raises(InputError, match=r"negative values .* pass use_raw=True"):
        embed_cells(pbmc)
    embed_cells(pbmc, use_raw=True)
    info = pbmc.uns["bft"]["X_bft"]["cells"]
    assert (info["values"], info["n_cells"], info["matrix"]) == ("lognorm", 700, "`.raw.X`")
    x = pbmc.raw.X.toarray().astype(float)
    reference = x @ pbmc.varm["X_bft"].astype(float) / x.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(pbmc.obsm["X_bft"], reference, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("keep_x", [True, False])
@pytest.mark.parametrize("suffix", ["h5ad", "zarr"])
@pytest.mark.parametrize("kind", ["path", "memory", "backed", "lazy"])
def test_a_new_file_holds_the_result_and_all_else(kind, suffix, keep_x, adata, tmp_path):
    path = saved(adata, tmp_path, suffix)
    if kind == "backed":
        path = saved(adata, tmp_path, "h5ad")
    source = {
        "path": lambda: str(path),
        "memory": lambda: adata,
        "backed": lambda: anndata.read_h5ad(path, backed="r"),
        "lazy": lambda: anndata.experimental.read_lazy(path),
    }[kind]()
    output = tmp_path / f"out.{suffix}"
    if kind == "backed" and suffix == "zarr" and keep_x:
        with pytest.raises(InputError, match="pass keep_x=False"):
            embed_cells(source, output=output)
        return
    embed_cells(source, output=output, keep_x=keep_x, chunk_size=20)
    result = read(output)
    np.testing.assert_allclose(
        result.obsm["X_bft"], expected(adata.X.toarray(), adata.varm["X_bft"]), rtol=1e-4, atol=1e-5
    )
    assert result.obs["batch"].tolist() == adata.obs["batch"].tolist()
    assert result.obs_names.tolist() == adata.obs_names.tolist()
    assert result.var_names.tolist() == adata.var_names.tolist()
    np.testing.assert_array_equal(result.obsm["X_pca"], adata.obsm["X_pca"])
    np.testing.assert_array_equal(result.varm["X_bft"], adata.varm["X_bft"])
    assert result.uns["colors"].tolist() == ["red", "blue"]
    assert result.uns["bft"]["X_bft"]["genes"] == {"encoder": "e", "n": 3}
    assert result.uns["bft"]["X_bft"]["cells"]["n_cells"] == N
    if keep_x:
        for x in (result.X, result.layers["counts"], result.raw.X):
            np.testing.assert_array_equal(x.toarray(), adata.X.toarray())
    else:
        assert result.X is None
        assert result.raw is None
        assert not result.layers
    assert "X_bft" not in adata.obsm
    assert not [name for name in names(tmp_path) if name.startswith(".")]


@pytest.mark.parametrize("suffix", ["h5ad", "zarr"])
def test_a_file_can_be_embedded_in_place_and_again(suffix, adata, tmp_path):
    path = saved(adata, tmp_path, suffix)
    embed_cells(path, output=path)
    embed_cells(path, output=path, weights="binary")
    result = read(path)
    embed_cells(adata, weights="binary")
    np.testing.assert_array_equal(result.obsm["X_bft"], adata.obsm["X_bft"])
    np.testing.assert_array_equal(result.X.toarray(), adata.X.toarray())
    assert names(tmp_path) == [path.name]


def test_paths_of_the_home_directory(adata, tmp_path, monkeypatch):
    saved(adata, tmp_path, "h5ad").rename(tmp_path / "in.h5ad")
    monkeypatch.setenv("HOME", str(tmp_path))
    embed_cells("~/in.h5ad", output="~/out.h5ad")
    assert set(names(tmp_path)) == {"in.h5ad", "out.h5ad"}
    assert read(tmp_path / "out.h5ad").obsm["X_bft"].shape[0] == adata.n_obs


@pytest.mark.parametrize(("source", "target"), [("h5ad", "zarr"), ("zarr", "h5ad")])
def test_another_format_without_the_matrix(source, target, adata, tmp_path):
    path = saved(adata, tmp_path, source)
    with pytest.raises(InputError, match="pass keep_x=False"):
        embed_cells(path, output=tmp_path / f"out.{target}")
    embed_cells(path, output=tmp_path / f"out.{target}", keep_x=False)
    embed_cells(adata)
    np.testing.assert_array_equal(read(tmp_path / f"out.{target}").obsm["X_bft"], adata.obsm["X_bft"])


def test_a_file_without_uns_gets_one(adata, tmp_path):
    path = saved(adata, tmp_path, "h5ad")
    with h5py.File(path, "r+") as file:
        del file["uns"]
    embed_cells(path, output=path)
    assert read(path).uns["bft"]["X_bft"]["cells"]["n_cells"] == N


def test_a_path_needs_an_output_and_a_backed_view_memory(adata, tmp_path):
    path = saved(adata, tmp_path, "h5ad")
    with pytest.raises(InputError, match="pass output="):
        embed_cells(path)
    backed = anndata.read_h5ad(path, backed="r")
    with pytest.raises(InputError, match=r"to_memory\(\)"):
        embed_cells(backed[:5])
    backed.file.close()


def test_what_cannot_be_written_is_said_and_the_old_file_stays(adata, tmp_path, monkeypatch):
    path = saved(adata, tmp_path, "h5ad")
    before = path.read_bytes()

    def full(*_):
        msg = "No space left on device"
        raise OSError(28, msg)

    monkeypatch.setattr("bftembed.tl._stream.output.os.fsync", full)
    with pytest.raises(DataError, match=r"No space left.*is unchanged"):
        embed_cells(path, output=path)
    assert path.read_bytes() == before
    assert names(tmp_path) == [path.name]


def test_the_function_can_be_imported_without_numba_and_anndata():
    code = "import sys, bftembed.tl._embed_cells; print({'numba', 'anndata', 'torch'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_the_cell_stage_does_not_load_torch(adata, tmp_path):
    path = saved(adata, tmp_path, "h5ad")
    code = (
        "import sys; from bftembed.tl._embed_cells import embed_cells; "
        f"embed_cells({str(path)!r}, output={str(path)!r}); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def open_files():
    gc.collect()  # what other tests left
    return h5py.h5f.get_obj_count(h5py.h5f.OBJ_ALL, h5py.h5f.OBJ_FILE)


def test_no_file_is_open_when_the_result_takes_its_place_and_none_afterwards(adata, tmp_path, monkeypatch):
    path = saved(adata, tmp_path, "h5ad")
    before, seen = open_files(), []
    move = _files._move

    def noting(made, target):
        seen.append(open_files())
        move(made, target)

    monkeypatch.setattr(_files, "_move", noting)
    embed_cells(path, output=path)
    assert [*seen, open_files()] == [before, before]


@pytest.mark.parametrize("suffix", ["h5ad", "zarr"])
def test_without_the_calls_of_one_platform(suffix, adata, tmp_path, monkeypatch):
    path = saved(adata, tmp_path, suffix)
    for name in ("posix_fadvise", "POSIX_FADV_DONTNEED", "sched_getaffinity", "fork", "getuid"):
        monkeypatch.delattr(os, name, raising=False)
    embed_cells(path, output=path)
    embed_cells(adata)
    np.testing.assert_array_equal(read(path).obsm["X_bft"], adata.obsm["X_bft"])


def test_files_are_brought_to_the_disk_by_handles_that_may_write(adata, tmp_path, monkeypatch):
    path, synced = saved(adata, tmp_path, "h5ad"), []
    fsync = os.fsync

    def noting(descriptor):
        synced.append(fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE)
        fsync(descriptor)

    monkeypatch.setattr("bftembed.tl._stream.output.os.fsync", noting)
    embed_cells(path, output=path)
    assert set(synced) == {os.O_RDWR}


@pytest.mark.parametrize("suffix", ["h5ad", "zarr"])
def test_what_cannot_be_written_is_found_before_any_work(suffix, adata, tmp_path, monkeypatch):
    adata.uns["s"] = {1}
    monkeypatch.setattr("bftembed.tl._stream.run._run", lambda *_: pytest.fail("worked"))
    with pytest.raises(DataError, match=r"`uns\['s'\]` is of a kind that anndata cannot write"):
        embed_cells(adata, output=tmp_path / f"x.{suffix}")
    del adata.uns["s"]
    adata.raw.var["m"] = pd.date_range("2020", periods=GENES)
    with pytest.raises(DataError, match=r"`raw.var\['m'\]`"):
        embed_cells(adata, output=tmp_path / f"x.{suffix}")
    assert not names(tmp_path)


@pytest.mark.parametrize("kind", ["memory", "backed", "path"])
def test_nullable_texts_and_texts_with_missing_ones_are_written(kind, adata, tmp_path):
    adata.obs.index = adata.obs.index.astype("string")
    adata.obs["string"] = pd.array(["a", None] * (N // 2), dtype="string")
    path = tmp_path / "in.h5ad"
    with anndata.settings.override(allow_write_nullable_strings=True):
        adata.write_h5ad(path)
    adata.obs["text"] = np.array(["a", None] * (N // 2), dtype=object)
    source = {"memory": adata, "backed": anndata.read_h5ad(path, backed="r"), "path": path}[kind]
    embed_cells(source, output=tmp_path / "out.h5ad")
    found = read(tmp_path / "out.h5ad")
    assert found.obs_names.tolist() == adata.obs_names.tolist()
    for name in ("string", "text") if kind == "memory" else ("string",):
        assert found.obs[name].isna().tolist() == [False, True] * (N // 2)


@pytest.mark.parametrize("output", [None, "out.h5ad"])
def test_layers_without_x_however_they_are_passed(output, adata, tmp_path):
    embed_cells(adata, layer="counts")
    expected = adata.obsm.pop("X_bft")
    adata.X = None
    path = saved(adata, tmp_path, "h5ad")
    sources = [adata, anndata.read_h5ad(path, backed="r")] + ([path] if output else [])
    for source in sources:
        embed_cells(source, layer="counts", output=output and tmp_path / output)
        found = read(tmp_path / output) if output else source
        np.testing.assert_array_equal(found.obsm["X_bft"], expected)
        with pytest.raises(
            InputError, match=r"`.X` of this AnnData is empty \(None\); pass layer=, one of \['counts'\]"
        ):
            embed_cells(source, output=output and tmp_path / "none.h5ad")


@pytest.mark.parametrize("keep_x", [True, False])
def test_a_full_disk_is_said_where_elements_are_copied(adata, tmp_path, keep_x, small_files):
    """HDF5 raises errors of two kinds there."""
    adata.uns["much"] = np.random.default_rng(0).random(50_000)
    path = saved(adata, tmp_path, "h5ad")
    with pytest.raises(DataError, match=r"out.h5ad' cannot be written .*Free space"), small_files(60_000):
        embed_cells(path, output=tmp_path / "out.h5ad", keep_x=keep_x)
    assert names(tmp_path) == [path.name]
