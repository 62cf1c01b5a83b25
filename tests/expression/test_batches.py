import anndata
import h5py
import numpy as np
import pandas as pd
import pytest

from bftembed.errors import InputError
from bftembed.expression import cell_batches, opened, parts_of


@pytest.mark.parametrize("kind", [list, pd.Categorical, np.array])
def test_batches_are_numbered_in_order_of_their_names(kind, tmp_path):
    adata = anndata.AnnData(np.eye(4), obs=pd.DataFrame({"b": kind(["y", "x", "y", "z"])}, index=list("abcd")))
    adata.write_h5ad(tmp_path / "a.h5ad")
    with opened(tmp_path / "a.h5ad") as parts:
        for one in (parts, parts_of(adata)):
            codes, names = cell_batches(one, "b")
            assert (codes.tolist(), names) == ([1, 0, 1, 2], ["x", "y", "z"])
        with pytest.raises(InputError, match="has no column `c`; it has b"):
            cell_batches(parts, "c")


@pytest.mark.parametrize("missing", [None, np.nan, ""])
def test_cells_without_a_batch_are_named(missing):
    adata = anndata.AnnData(np.eye(2), obs=pd.DataFrame({"b": ["x", missing]}, index=["one", "two"]))
    with pytest.raises(InputError, match=r"1 of 2 cells have no entry in `adata.obs\['b'\]` \(first: 'two'\)"):
        cell_batches(parts_of(adata), "b")


def test_numbers_are_names():
    adata = anndata.AnnData(np.eye(3), obs=pd.DataFrame({"b": [10, 2, 10]}, index=list("abc")))
    assert cell_batches(parts_of(adata), "b")[1] == ["10", "2"]


@pytest.mark.filterwarnings("ignore:Element .* was written without encoding metadata")
def test_categories_as_anndata_wrote_them_before_08(tmp_path):
    adata = anndata.AnnData(np.eye(3), obs=pd.DataFrame({"b": ["y", "x", "y"]}, index=list("abc")))
    adata.write_h5ad(tmp_path / "a.h5ad")
    with h5py.File(tmp_path / "a.h5ad", "r+") as file:
        obs = file["obs"]
        del obs["b"]
        obs["b"] = np.array([1, 0, 1], dtype=np.int8)
        obs["__categories/b"] = np.array(["x", "y"], dtype=object)
        obs["b"].attrs["categories"] = obs["__categories/b"].ref
        obs.attrs["encoding-version"] = "0.1.0"
    with opened(tmp_path / "a.h5ad") as parts:
        codes, names = cell_batches(parts, "b")
    assert (codes.tolist(), names) == ([1, 0, 1], ["x", "y"])


def test_names_that_differ_by_nul_are_two_batches():
    adata = anndata.AnnData(np.ones((3, 1), dtype=np.float32))
    adata.obs["batch"] = ["a\0", "a", "b"]
    codes, names = cell_batches(parts_of(adata), "batch")
    assert (codes.tolist(), names) == ([1, 0, 2], ["a", "a\0", "b"])
