"""HDF5 files on a full disk: an error, and a process that lives on."""

import subprocess
import sys

import h5py
import numpy as np
import pytest

from bftembed.expression.hdf5 import Hdf5Output

#: Meets a full disk again and again, and keeps some of the errors, which keep what they failed in.
FULL = """
import gc, random, resource, sys, warnings
from pathlib import Path

import anndata, numpy as np, pandas as pd, scipy.sparse as sp

from bftembed.errors import DataError
from bftembed.expression import write_anndata
from bftembed.tl._stream.output import embedding_file

warnings.simplefilter("ignore")
rng, path, kept, failed = random.Random(0), Path(sys.argv[1]), [], [0, 0]
rows = np.random.default_rng(0).random((2000, 20), dtype=np.float32)
adata = anndata.AnnData(sp.random(2000, 100, density=0.2, format="csr", dtype="f4", random_state=0))
adata.obs["text"] = [f"cell {i} of something" for i in range(2000)]
adata.obs["group"] = pd.Categorical(["a", "b"] * 1000)
adata.obsm["X_bft"] = rows
adata.uns["much"] = np.random.default_rng(0).random(20000)
adata.uns["table"] = pd.DataFrame({"number": range(1000), "text": [f"x{i}" for i in range(1000)]})
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
for turn in range(40):
    resource.setrlimit(resource.RLIMIT_FSIZE, (rng.randrange(500, 600_000), hard))
    try:
        if turn % 5:
            write_anndata(adata, path / "a.h5ad")
        else:
            with embedding_file(path / "b.h5ad", "X_bft", rows.shape, piece_rows=100) as file:
                file.commit(0, rows)
                with file.filling() as root:
                    root["more"] = np.ones(30000)
    except DataError as error:
        failed[turn % 5 > 0] += 1
        if rng.random() < 0.6:
            kept.append(error)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    if rng.random() < 0.2:
        kept.clear()
        gc.collect()
print(*failed)
"""


def test_what_is_written_is_an_ordinary_file(tmp_path):
    numbers = np.random.default_rng(0).random((300, 7))
    with Hdf5Output(tmp_path / "a.h5") as root:
        root.create_dataset("chunked", data=numbers, chunks=(10, 7), compression="gzip")
        root["plain"] = numbers
        root["plain"][3] = 0
        root["plain"].attrs["text"] = ["one", "two"]
        np.testing.assert_array_equal(root["chunked"][5:20], numbers[5:20])
    numbers[3] = 0
    with h5py.File(tmp_path / "a.h5") as read:
        np.testing.assert_array_equal(read["plain"][:], numbers)
        assert list(read["plain"].attrs["text"]) == ["one", "two"]


def test_the_first_error_is_told_by_check_and_at_the_end(tmp_path, small_files):
    with (
        pytest.raises(OSError, match="File too large") as caught,
        Hdf5Output(tmp_path / "a.h5") as root,
        small_files(9000),
    ):
        root.update({"much": np.ones(5000), "more": np.ones(5000)})
    assert caught.value.errno
    output = Hdf5Output(tmp_path / "b.h5")
    output.check()
    with small_files(9000):
        output.root["much"] = np.ones(5000)
    for tell in (output.check, output.close):
        with pytest.raises(OSError, match="File too large"):
            tell()


def test_an_error_of_the_writer_stays_what_it_is(tmp_path):
    with pytest.raises(ZeroDivisionError), Hdf5Output(tmp_path / "a.h5"):
        1 / 0  # noqa: B018
    with pytest.raises(FileNotFoundError):
        Hdf5Output(tmp_path / "none" / "a.h5")


def test_a_process_lives_on_after_full_disks(tmp_path):
    pytest.importorskip("resource", reason="this system has no limit of the size of files")
    done = subprocess.run([sys.executable, "-c", FULL, tmp_path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert min(map(int, done.stdout.split())) > 4
    assert not done.stderr
