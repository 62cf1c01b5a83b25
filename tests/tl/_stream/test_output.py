import subprocess
import warnings

import anndata
import h5py
import numpy as np
import pytest
from anndata.io import write_elem
from hypothesis import given, settings
from hypothesis import strategies as st

from bftembed.errors import DataError, InputError
from bftembed.tl._stream import output
from bftembed.tl._stream.output import ArrayOutput, embedding_file, write_piece


def names(directory):
    return [path.name for path in directory.iterdir()]


def read(path):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Consolidated metadata")
        return anndata.io.read_zarr(path) if path.suffix == ".zarr" else anndata.read_h5ad(path)


def write(path, rows, cuts, *, key="X_bft", **how):
    with embedding_file(path, key, rows.shape, **how) as file:
        for start, stop in zip([0, *cuts], [*cuts, len(rows)], strict=True):
            block = file.block(start, stop)
            block[:] = rows[start:stop]
            file.commit(start, block)
        with file.filling() as root:
            for name in ("obs", "var"):
                write_elem(root, name, anndata.AnnData(np.zeros((len(rows), 2))).obs)


@pytest.fixture
def rows():
    return np.random.default_rng(0).standard_normal((100, 3)).astype(np.float32)


@pytest.mark.parametrize("how", [{"zarr_format": 2}, {"zarr_format": 3}])
@pytest.mark.parametrize("suffix", [".h5ad", ".zarr"])
@pytest.mark.parametrize("cuts", [[], [1], [7, 50, 64, 65, 99], list(range(1, 100))])
@pytest.mark.parametrize("piece", [1, 10, 64, 1000])
def test_what_was_committed_is_read_by_anndata(suffix, how, cuts, piece, rows, tmp_path, monkeypatch):
    monkeypatch.setattr(output, "WRITE_BYTES", piece * 12)
    path = tmp_path / f"out{suffix}"
    write(path, rows, cuts, **how)
    np.testing.assert_array_equal(read(path).obsm["X_bft"], rows)
    assert names(tmp_path) == [path.name]


@settings(max_examples=25)
@given(st.sets(st.integers(1, 99)), st.integers(1, 120))
def test_any_cuts_and_pieces(tmp_path_factory, cuts, piece):
    rows = np.arange(300, dtype=np.float32).reshape(100, 3)
    path = tmp_path_factory.mktemp("out") / "x.h5ad"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(output, "WRITE_BYTES", piece * 12)
        write(path, rows, sorted(cuts))
    with h5py.File(path) as file:
        np.testing.assert_array_equal(file["obsm/X_bft"][:], rows)
        assert dict(file["obsm/X_bft"].attrs) == {"encoding-type": "array", "encoding-version": "0.2.0"}


def test_the_file_has_the_attributes_that_anndata_writes(rows, tmp_path):
    write(tmp_path / "ours.h5ad", rows, [])
    adata = anndata.AnnData(np.zeros((100, 2)), obsm={"X_bft": rows})
    adata.write_h5ad(tmp_path / "theirs.h5ad")
    with h5py.File(tmp_path / "ours.h5ad") as ours, h5py.File(tmp_path / "theirs.h5ad") as theirs:
        for name in ("/", "obsm", "obsm/X_bft"):
            assert dict(ours[name].attrs) == dict(theirs[name].attrs)
        assert ours["obsm/X_bft"].dtype == theirs["obsm/X_bft"].dtype


def commit_half(file):
    block = file.block(0, 50)
    block[:] = -1
    file.commit(0, block)


@pytest.mark.parametrize("suffix", [".h5ad", ".zarr"])
def test_leaving_early_keeps_the_old_file_and_no_rest(suffix, rows, tmp_path):
    path = tmp_path / f"out{suffix}"
    write(path, rows, [50])
    msg = "stopped in the middle"
    with pytest.raises(RuntimeError, match=msg), embedding_file(path, "X_bft", (100, 3)) as file:
        raise RuntimeError(commit_half(file) or msg)
    np.testing.assert_array_equal(read(path).obsm["X_bft"], rows)
    assert names(tmp_path) == [path.name]


@pytest.mark.parametrize("suffix", [".h5ad", ".zarr"])
def test_a_complete_file_replaces_the_old_one(suffix, rows, tmp_path):
    path = tmp_path / f"out{suffix}"
    write(path, rows, [50])
    write(path, rows + 1, [10], key="other")
    assert list(read(path).obsm) == ["other"]
    np.testing.assert_array_equal(read(path).obsm["other"], rows + 1)
    assert names(tmp_path) == [path.name]


def test_a_store_that_cannot_take_its_place_leaves_the_old_one(rows, tmp_path, monkeypatch):
    path = tmp_path / "out.zarr"
    write(path, rows, [50])
    rename = type(path).rename

    def refuse(self, target):
        if self.name.endswith(".out.zarr"):
            msg = "no"
            raise PermissionError(msg)
        return rename(self, target)

    monkeypatch.setattr(type(path), "rename", refuse)
    with pytest.raises(DataError, match=r"out.zarr' cannot be written \(no\)"):
        write(path, rows + 1, [50])
    np.testing.assert_array_equal(read(path).obsm["X_bft"], rows)
    assert names(tmp_path) == [path.name]


@pytest.fixture
def tiny_disk(tmp_path):
    """A file system of 1 MB."""
    place = tmp_path / "tiny"
    place.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", place], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"a small tmpfs cannot be mounted here: {done.stderr.strip()}")
    yield place
    subprocess.run(["umount", place], check=True)


@pytest.mark.parametrize("suffix", [".h5ad", ".zarr"])
def test_a_full_disk_leaves_the_old_file(suffix, rows, tiny_disk):
    path = tiny_disk / f"out{suffix}"
    write(path, rows, [])
    large = np.ones((100_000, 10), dtype=np.float32)
    with pytest.raises(DataError, match=r"No space left on device.*is unchanged"):
        write(path, large, list(range(1000, 100_000, 1000)))
    assert names(tiny_disk) == [path.name]
    np.testing.assert_array_equal(read(path).obsm["X_bft"], rows)
    with pytest.raises(DataError, match="was not made"):
        write(tiny_disk / f"new{suffix}", large, [50_000])
    assert names(tiny_disk) == [path.name]


def test_a_target_that_cannot_be_is_refused(rows, tmp_path):
    (tmp_path / "x.h5ad").mkdir()
    with pytest.raises(InputError, match="choose another name"), embedding_file(tmp_path / "x.h5ad", "X", rows.shape):
        pass


def test_an_error_of_what_the_block_reads_stays_what_it_is(rows, tmp_path):
    with pytest.raises(FileNotFoundError), embedding_file(tmp_path / "x.h5ad", "X_bft", rows.shape):
        (tmp_path / "none").read_bytes()
    assert not names(tmp_path)


def test_the_array_in_memory_hands_out_its_own_rows():
    sink = ArrayOutput((4, 2))
    for start in (0, 2):
        block = sink.block(start, start + 2)
        block[:] = start
        sink.commit(start, block)
    np.testing.assert_array_equal(sink.array, [[0, 0], [0, 0], [2, 2], [2, 2]])
    assert sink.array.dtype == np.float32


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_pieces_written_by_others_in_any_order(rows, zarr_format, tmp_path):
    path = tmp_path / "out.zarr"
    with embedding_file(path, "X_bft", rows.shape, zarr_format=zarr_format, piece_rows=30) as file:
        for start in (90, 0, 60, 30):
            write_piece(rows[start : start + 30], start, file.array_path, path)
        (file.array_path / "0.0.ffff.partial").write_bytes(b"of one that was killed")
        with file.filling() as root:
            for name in ("obs", "var"):
                write_elem(root, name, anndata.AnnData(np.zeros((len(rows), 2))).obs)
    np.testing.assert_array_equal(read(path).obsm["X_bft"], rows)
    assert not list(path.rglob("*.partial"))


def test_a_piece_on_a_full_disk_and_of_a_file_that_is_not_there(tiny_disk, tmp_path):
    path, large = tiny_disk / "out.zarr", np.ones((100_000, 10), dtype=np.float32)
    with (
        pytest.raises(DataError, match=r"No space left on device.*was not made"),
        embedding_file(path, "X_bft", large.shape, piece_rows=len(large)) as file,
    ):
        write_piece(large, 0, file.array_path, path)
    with pytest.raises(DataError, match=r"does not see .*choose an output= in a directory that all machines share"):
        write_piece(large, 0, tmp_path / "none" / "X_bft", tmp_path / "none")
    assert not names(tiny_disk)
    assert names(tmp_path) == ["tiny"]
