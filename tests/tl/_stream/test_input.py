import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from bftembed.errors import InputError
from bftembed.expression import opened
from bftembed.tl._stream.input import choose


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


def pick(source, *, use_rep="X_bft", layer=None, use_raw=False):
    with opened(source) as parts:
        cells = choose(parts, use_rep=use_rep, layer=layer, use_raw=use_raw)
        return dense(cells.matrix.x), cells.vectors


def test_the_matrix_and_its_vectors_come_from_any_kind_of_anndata(source, adata):
    x, vectors = pick(source)
    np.testing.assert_array_equal(x, adata.X.toarray())
    np.testing.assert_array_equal(vectors, adata.varm["X_bft"])
    assert vectors.dtype == np.float32


def test_genes_of_raw_get_their_vectors_by_name(source, adata):
    x, vectors = pick(source, use_raw=True)
    np.testing.assert_array_equal(x, adata.raw.X.toarray())
    np.testing.assert_array_equal(vectors[[3, 1, 0]], adata.varm["X_bft"])
    assert np.isnan(vectors[[2, 4]]).all()


def test_vectors_of_raw_itself_are_preferred(adata):
    own = np.ones((5, 2), dtype=np.float32)
    adata.raw.varm["X_bft"] = own
    np.testing.assert_array_equal(pick(adata, use_raw=True)[1], own)


def test_a_data_frame_of_vectors_is_taken(adata, tmp_path):
    adata.varm["X_bft"] = pd.DataFrame(adata.varm["X_bft"], index=adata.var_names, columns=["a", "b"])
    adata.write_h5ad(tmp_path / "x.h5ad")
    np.testing.assert_array_equal(pick(adata)[1], pick(tmp_path / "x.h5ad")[1])


@pytest.mark.parametrize(
    ("change", "how", "message"),
    [
        (lambda a: a, {"use_rep": "X_no"}, r"embed_genes\(adata\) first"),
        (lambda a: a.varm["X_bft"].fill(np.nan), {}, "No gene has a vector"),
        (lambda a: a.varm["X_bft"].__setitem__((1, 1), np.nan), {}, "1 rows .* beside numbers .*row 1"),
        (lambda a: a.varm["X_bft"].__setitem__((2, 0), np.inf), {}, "row 2"),
        (lambda a: a.varm.__setitem__("X_bft", np.zeros((3, 0))), {}, "must be numbers, a row for each gene"),
        (lambda a: a.varm.__setitem__("X_bft", np.zeros((3, 2, 2))), {}, "must be numbers, a row for each gene"),
        (lambda a: setattr(a, "var_names", ["x", "y", "z"]), {"use_raw": True}, "None of the genes of `.raw`"),
        (lambda a: setattr(a, "var_names", ["x", "y", "x"]), {"use_raw": True}, r"occur more than once \(\['x'\]\)"),
    ],
)
def test_what_is_missing_is_named_with_the_remedy(change, how, message, adata):
    change(adata)
    with pytest.raises(InputError, match=message):
        pick(adata, **how)
