import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
import zarr
from scipy import sparse

from bftembed.errors import InputError
from bftembed.tl._cell_input import choose, open_group, opened


@pytest.fixture
def adata():
    rng = np.random.default_rng(0)
    full = anndata.AnnData(sparse.csr_matrix(rng.poisson(2, (6, 5)).astype(np.float32)))
    full.var_names = [f"g{i}" for i in range(5)]
    full.obs_names = [f"c{i}" for i in range(6)]
    part = full[:, [3, 1, 0]].copy()
    part.raw = full
    part.layers["half"] = part.X * 0.5
    part.varm["X_bft"] = np.arange(6, dtype=np.float64).reshape(3, 2)
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


def pick(source, *, gene_key="X_bft", layer=None, use_raw=False):
    with opened(source) as parts:
        cells = choose(parts, gene_key=gene_key, layer=layer, use_raw=use_raw)
        return cells.name, dense(cells.x), cells.vectors, cells.cells(np.array([1, 4]))


def test_the_matrix_its_vectors_and_names_come_from_any_kind_of_anndata(source, adata):
    name, x, vectors, names = pick(source)
    assert (name, names) == ("`.X`", "'c1', 'c4'")
    np.testing.assert_array_equal(x, adata.X.toarray())
    np.testing.assert_array_equal(vectors, adata.varm["X_bft"])
    assert vectors.dtype == np.float32
    name, x, _, _ = pick(source, layer="half")
    assert name == "layer 'half'"
    np.testing.assert_array_equal(x, adata.X.toarray() / 2)


def test_genes_of_raw_get_their_vectors_by_name(source, adata):
    name, x, vectors, _ = pick(source, use_raw=True)
    assert name == "`.raw.X`"
    np.testing.assert_array_equal(x, adata.raw.X.toarray())
    np.testing.assert_array_equal(vectors[[3, 1, 0]], adata.varm["X_bft"])
    assert np.isnan(vectors[[2, 4]]).all()


def test_vectors_of_raw_itself_are_preferred(adata):
    own = np.ones((5, 2), dtype=np.float32)
    adata.raw.varm["X_bft"] = own
    np.testing.assert_array_equal(pick(adata, use_raw=True)[2], own)


def test_a_data_frame_of_vectors_is_taken(adata, tmp_path):
    adata.varm["X_bft"] = pd.DataFrame(adata.varm["X_bft"], index=adata.var_names, columns=["a", "b"])
    adata.write_h5ad(tmp_path / "x.h5ad")
    np.testing.assert_array_equal(pick(adata)[2], pick(tmp_path / "x.h5ad")[2])


@pytest.mark.parametrize(
    ("change", "how", "message"),
    [
        (lambda a: a, {"gene_key": "X_no"}, r"embed_genes\(adata\) first"),
        (lambda a: a, {"layer": "no"}, r"no layer 'no'.*\['half'\]"),
        (lambda a: a, {"layer": "half", "use_raw": True}, "choose one"),
        (lambda a: setattr(a, "raw", None), {"use_raw": True}, "no `.raw`"),
        (lambda a: setattr(a, "X", None), {}, r"`.X` of this AnnData is empty"),
        (lambda a: a.varm["X_bft"].fill(np.nan), {}, "No gene has a vector"),
        (lambda a: a.varm["X_bft"].__setitem__((1, 1), np.nan), {}, "1 rows .* beside numbers .*row 1"),
        (lambda a: a.varm["X_bft"].__setitem__((2, 0), np.inf), {}, "row 2"),
        (lambda a: a.varm.__setitem__("X_bft", np.zeros((3, 0))), {}, r"must be numbers \(n_vars, d\)"),
        (lambda a: a.varm.__setitem__("X_bft", np.zeros((3, 2, 2))), {}, r"must be numbers \(n_vars, d\)"),
        (lambda a: setattr(a, "var_names", ["x", "y", "z"]), {"use_raw": True}, "None of the genes of `.raw`"),
        (lambda a: setattr(a, "var_names", ["x", "y", "x"]), {"use_raw": True}, r"occur more than once \(\['x'\]\)"),
    ],
)
def test_what_is_missing_is_named_with_the_remedy(change, how, message, adata):
    change(adata)
    with pytest.raises(InputError, match=message):
        pick(adata, **how)


@pytest.mark.parametrize("shape", [(0, 3), (6, 0)])
def test_an_empty_anndata_is_refused(shape):
    empty = anndata.AnnData(np.zeros(shape, dtype=np.float32))
    empty.varm["X_bft"] = np.ones((shape[1], 2), dtype=np.float32)
    with pytest.raises(InputError, match=r"nothing to embed|No gene has a vector"):
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


def test_the_file_is_closed_again(adata, tmp_path):
    adata.write_h5ad(tmp_path / "x.h5ad")
    with opened(tmp_path / "x.h5ad") as parts:
        group = parts.x.group
        assert bool(group)
    assert not bool(group)
    open_group(tmp_path / "x.h5ad").close()


def test_a_matrix_of_a_kind_unknown_to_anndata_is_refused(adata, tmp_path):
    adata.write_h5ad(tmp_path / "x.h5ad")
    with h5py.File(tmp_path / "x.h5ad", "r+") as file:
        file["X"].attrs["encoding-type"] = "coo_matrix"
    with pytest.raises(InputError, match="stored as 'coo_matrix'"):
        pick(tmp_path / "x.h5ad")
