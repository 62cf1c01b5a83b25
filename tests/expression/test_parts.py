from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
import scanpy
import zarr
from scipy import sparse

from bftembed.errors import InputError
from bftembed.expression import check_columns, chosen_matrix, opened


@pytest.fixture
def adata():
    rng = np.random.default_rng(0)
    full = anndata.AnnData(sparse.csr_matrix(rng.poisson(2, (6, 5)).astype(np.float32)))
    full.var_names = [f"g{i}" for i in range(5)]
    full.obs_names = [f"c{i}" for i in range(6)]
    part = full[:, [3, 1, 0]].copy()
    part.raw = full
    part.layers["half"] = part.X * 0.5
    return part


@pytest.fixture(params=["memory", "h5ad", "zarr", "backed", "lazy"])
def source(request, adata, tmp_path):
    if request.param == "memory":
        return adata
    if request.param == "zarr":
        anndata.settings.zarr_write_format = 2
        with pytest.warns(UserWarning, match="zarr v2"):
            adata.write_zarr(tmp_path / "x.zarr")
        return tmp_path / "x.zarr"
    path = tmp_path / "x.h5ad"
    adata.write_h5ad(path)
    if request.param == "backed":
        return anndata.read_h5ad(path, backed="r")
    return anndata.experimental.read_lazy(path) if request.param == "lazy" else str(path)


def dense(x):
    x = x.compute() if hasattr(x, "compute") else x.to_memory() if hasattr(x, "group") else x[:]
    return x.toarray() if hasattr(x, "toarray") else np.asarray(x)


def pick(source, *, layer=None, use_raw=False):
    with opened(source) as parts:
        matrix = chosen_matrix(parts, layer=layer, use_raw=use_raw)
        return matrix.name, dense(matrix.x), matrix.cells([1, 4])


def test_the_matrix_and_names_come_from_any_kind_of_anndata(source, adata):
    name, x, names = pick(source)
    assert (name, names) == ("`.X`", "'c1', 'c4'")
    np.testing.assert_array_equal(x, adata.X.toarray())
    name, x, _ = pick(source, layer="half")
    assert name == "layer 'half'"
    np.testing.assert_array_equal(x, adata.X.toarray() / 2)
    name, x, _ = pick(source, use_raw=True)
    assert name == "`.raw.X`"
    np.testing.assert_array_equal(x, adata.raw.X.toarray())


@pytest.mark.parametrize(
    ("change", "how", "message"),
    [
        (lambda a: a, {"layer": "no"}, r"no layer 'no'.*\['half'\]"),
        (lambda a: a, {"layer": "half", "use_raw": True}, "choose one"),
        (lambda a: setattr(a, "raw", None), {"use_raw": True}, "no `.raw`"),
        (lambda a: setattr(a, "X", None), {}, r"`.X` of this AnnData is empty"),
    ],
)
def test_what_is_missing_is_named_with_the_remedy(change, how, message, adata):
    change(adata)
    with pytest.raises(InputError, match=message):
        pick(adata, **how)


@pytest.mark.parametrize("shape", [(0, 3), (6, 0)])
def test_an_empty_anndata_is_refused(shape):
    empty = anndata.AnnData(np.zeros(shape, dtype=np.float32))
    with pytest.raises(InputError, match="nothing to embed"):
        pick(empty)


def test_what_is_no_anndata_is_refused(tmp_path):
    with pytest.raises(InputError, match="There is no file"):
        pick(tmp_path / "none.h5ad")
    (tmp_path / "table.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match="cannot be read as an AnnData"):
        pick(tmp_path / "table.csv")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["matrix"] = 1
    with pytest.raises(InputError, match=r"holds \['matrix'\], not the `obs` and `var`"):
        pick(tmp_path / "other.h5")
    (tmp_path / "directory").mkdir()
    with pytest.raises(InputError, match="cannot be read as an AnnData"):
        pick(tmp_path / "directory")
    zarr.open_group(tmp_path / "other.zarr", mode="w", zarr_format=2)
    with pytest.raises(InputError, match="not the `obs` and `var`"):
        pick(tmp_path / "other.zarr")
    with pytest.raises(InputError, match="`adata` is a ndarray"):
        pick(np.ones((2, 2)))


def test_names_of_a_very_old_file_are_refused_with_the_remedy(adata, tmp_path):
    adata.write_h5ad(tmp_path / "x.h5ad")
    with h5py.File(tmp_path / "x.h5ad", "r+") as file:
        del file["obs"].attrs["_index"]
    with pytest.raises(InputError, match=r"before 0\.7"):
        pick(tmp_path / "x.h5ad")
    shipped = Path(scanpy.__file__).parent / "datasets" / "10x_pbmc68k_reduced.h5ad"
    with pytest.raises(InputError, match=r"10x_pbmc68k_reduced.h5ad was written by anndata before 0\.7"):
        pick(shipped)


def test_the_file_is_closed_again(adata, tmp_path):
    adata.write_h5ad(tmp_path / "x.h5ad")
    with opened(tmp_path / "x.h5ad") as parts:
        group = parts.x.group
        assert bool(group)
    assert not bool(group)


def test_a_matrix_of_a_kind_unknown_to_anndata_is_refused(adata, tmp_path):
    adata.write_h5ad(tmp_path / "x.h5ad")
    with h5py.File(tmp_path / "x.h5ad", "r+") as file:
        file["X"].attrs["encoding-type"] = "coo_matrix"
    with pytest.raises(InputError, match="stored as 'coo_matrix'"):
        pick(tmp_path / "x.h5ad")


def test_a_backed_anndata_without_x_has_its_layers(adata, tmp_path):
    adata.X = None
    adata.write_h5ad(tmp_path / "x.h5ad")
    for source in (adata, tmp_path / "x.h5ad", anndata.read_h5ad(tmp_path / "x.h5ad", backed="r")):
        assert pick(source, layer="half")[0] == "layer 'half'"
        with pytest.raises(InputError, match=r"`.X` of this AnnData is empty \(None\); pass layer=, one of \['half'\]"):
            pick(source)


class MuData:
    """As mudata has it: the modalities in `mod`, and names of all of them together."""

    def __init__(self, **modalities):
        self.mod = modalities
        self.obs_names = self.var_names = []
        self.varm, self.obsm, self.uns = {}, {}, {}


def test_of_mudata_one_modality_is_asked_for(adata, tmp_path):
    message = r"MuData, of the modalities \['prot', 'rna'\]; pass the AnnData of one of them: "
    with pytest.raises(InputError, match=message + r"mdata\['rna'\]"):
        pick(MuData(prot=adata, rna=adata))
    with h5py.File(tmp_path / "x.h5mu", "w") as file:
        for name in ("obs", "var", "mod/rna", "mod/prot"):
            file.create_group(name)
    with pytest.raises(InputError, match=message + r"mudata.read_h5ad\('.*x.h5mu', mod='rna'\)"):
        pick(tmp_path / "x.h5mu")


def test_a_column_that_is_missing_is_named_with_the_nearest():
    frame = pd.DataFrame({"symbol": ["TP53"], "chosen": [True]})
    check_columns(frame, "adata.var", ["symbol", "chosen"])
    with pytest.raises(InputError, match=r"`adata\.var` has no column `symbols`; it has symbol, chosen\. Did you mean"):
        check_columns(frame, "adata.var", ["chosen", "symbols"])
    with pytest.raises(InputError, match=r"it has none\. Pass condition="):
        check_columns(pd.DataFrame(), "adata.obs", ["guide"], remedy=" Pass condition= with the one to use.")
