import datetime as dt

import anndata
import dask.array
import h5py
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from bftembed.errors import DataError
from bftembed.expression import check_writable, write_anndata

pytestmark = [
    pytest.mark.filterwarnings(f"ignore:{message}")
    for message in ("zarr v3 autosharding", "Writing zarr v2 data", "Consolidated metadata is currently not part")
]


@pytest.fixture
def adata():
    made = anndata.AnnData(sparse.csr_matrix(np.array([[1, 0], [0, 2], [3, 0]], dtype=np.float32)))
    made.obs_names, made.var_names = list("abc"), ["TP53", "MYC"]
    made.obs["n"] = [1, 2, 3]
    made.layers["counts"] = made.X.copy()
    made.obsm["X_pca"] = np.ones((3, 2))
    made.raw = made.copy()
    made.uns["nested"] = {"deep": {"text": "x"}}
    return made


def column(values):
    return lambda a: a.obs.__setitem__("m", pd.Series(values, index=a.obs_names))


SPOILED = {
    "mixed": (column(np.array([1, "a", None], dtype=object)), "obs['m']"),
    "dates": (column(pd.to_datetime(["2020-01-01"] * 3)), "obs['m']"),
    "lists": (column(np.array([[1], [2], [3, 4]], dtype=object)), "obs['m']"),
    "NUL": (column(["a\x00b", "c", "d"]), "obs['m']"),
    "half a pair": (column(["a\ud800", "c", "d"]), "obs['m']"),
    "column of a number": (lambda a: a.obs.__setitem__(1, [1, 2, 3]), "obs"),
    "name of the index": (
        lambda a: (a.var.__setitem__("id", ["E1", "E2"]), setattr(a.var.index, "name", "id")),
        "var.index.name",
    ),
    "index": (lambda a: setattr(a, "obs_names", ["a\x00", "b", "c"]), "obs.index"),
    "no name": (lambda a: a.uns.__setitem__("", 1), "uns['']"),
    "column without a name": (lambda a: a.obs.__setitem__("", 1), "obs['']"),
    "two columns of a name": (lambda a: setattr(a, "obs", pd.concat([a.obs, a.obs], axis=1)), "obs"),
    "set": (lambda a: a.uns["nested"]["deep"].__setitem__("s", {1}), "uns['nested']['deep']['s']"),
    "date": (lambda a: a.uns.__setitem__("when", dt.date(2020, 1, 1)), "uns['when']"),
    "series": (lambda a: a.uns.__setitem__("s", pd.Series([1])), "uns['s']"),
    "number as key": (lambda a: a.uns.__setitem__(7, 1), "uns[7]"),
    "objects": (lambda a: a.uns.__setitem__("o", np.array([1, None], dtype=object)), "uns['o']"),
    "frame in obsm": (
        lambda a: a.obsm.__setitem__("t", pd.DataFrame({"x": [{1}, {2}, {3}]}, index=a.obs_names)),
        "obsm['t']['x']",
    ),
    "raw": (lambda a: a.raw.var.__setitem__("m", np.array([1, "a"], dtype=object)), "raw.var['m']"),
}
REPLACED = (
    "Call `adata.obs['m'] = adata.obs['m'].astype(str).str.replace(r'[\\x00\\ud800-\\udfff]', '?', regex=True)`, or "
    "`del adata.obs['m']`, first."
)
ONLY_H5AD = {"NUL", "index", "mixed", "lists", "objects", "frame in obsm", "raw"}  # in a .zarr they become texts


@pytest.mark.parametrize("suffix", [".h5ad", ".zarr"])
@pytest.mark.parametrize("kind", SPOILED)
def test_what_cannot_be_written_is_named(kind, suffix, adata, tmp_path):
    spoil, name = SPOILED[kind]
    spoil(adata)
    if suffix == ".zarr" and kind in ONLY_H5AD:
        check_writable(adata, tmp_path / "x.zarr")
        return
    with pytest.raises(DataError) as error:
        check_writable(adata, tmp_path / f"x{suffix}")
    assert str(error.value).startswith(f"`{name}` is of a kind that anndata cannot write (")
    assert not list(tmp_path.iterdir())
    if kind not in {"half a pair", "no name", "column without a name"}:
        write = adata.write_h5ad if suffix == ".h5ad" else adata.write_zarr
        with pytest.raises(Exception, match=r".") as theirs:
            write(tmp_path / f"y{suffix}")
        assert not isinstance(theirs.value, DataError)


@pytest.mark.parametrize(
    ("kind", "remedy"),
    [
        ("mixed", "Call `adata.obs['m'] = adata.obs['m'].astype(str)`, or `del adata.obs['m']`, first."),
        ("name of the index", "Call `adata.var.index.name = None` first."),
        ("NUL", REPLACED),
        ("half a pair", REPLACED),
        ("set", "Change it, or `del adata.uns['nested']['deep']['s']`, first."),
    ],
)
def test_the_remedy_works(kind, remedy, adata, tmp_path):
    SPOILED[kind][0](adata)
    with pytest.raises(DataError) as error:
        check_writable(adata, tmp_path / "x.h5ad")
    assert str(error.value).endswith(remedy)
    exec(remedy.split("`")[1], {"adata": adata})
    check_writable(adata, tmp_path / "x.h5ad")


def decorated(adata):
    """Everything of odd but writable kinds."""
    adata.obs["missing text"] = np.array(["x", np.nan, None], dtype=object)
    adata.obs["text"] = ["p", "q", "p"]
    adata.obs["category"] = pd.Categorical(["u", None, "u"])
    adata.obs["nullable"] = pd.array([True, None, False], dtype="boolean")
    adata.obs["string"] = pd.array(["s", None, "t"], dtype="string")
    adata.obs.index = adata.obs.index.astype("string")
    adata.uns["mixed"] = {"none": None, "list": ["a", "b"], "empty": {}, "records": np.array([(1, 2.0)], "i4,f4")}
    adata.obsm["frame"] = pd.DataFrame({"a": [1, 2, 3]}, index=adata.obs_names)
    return adata


def saved(adata, path):
    with anndata.settings.override(allow_write_nullable_strings=True):
        adata.write_h5ad(path)
    return path


SOURCES = {
    "memory": lambda a, _: a,
    "view": lambda a, _: a[:, :],
    "backed": lambda a, p: anndata.read_h5ad(saved(a, p), backed="r"),
    "lazy": lambda a, p: anndata.experimental.read_lazy(saved(a, p)),
}


@pytest.mark.parametrize("suffix", [".h5ad", ".zarr"])
@pytest.mark.parametrize("source", SOURCES)
def test_what_is_read_again_is_what_was_written(source, suffix, adata, tmp_path):
    given = SOURCES[source](decorated(adata), tmp_path / "in.h5ad")
    target = tmp_path / f"out{suffix}"
    check_writable(given, target)
    write_anndata(given, target)
    found = anndata.read_h5ad(target) if suffix == ".h5ad" else anndata.read_zarr(target)
    assert found.obs_names.tolist() == ["a", "b", "c"]
    assert [value if isinstance(value, str) else None for value in found.obs["missing text"]] == ["x", None, None]
    assert [value if isinstance(value, str) else None for value in found.obs["string"]] == ["s", None, "t"]
    assert found.obs["nullable"].isna().tolist() == [False, True, False]
    assert found.obs["text"].tolist() == ["p", "q", "p"]
    for x in (found.X, found.layers["counts"], found.raw.X):
        np.testing.assert_array_equal(x.toarray(), adata.layers["counts"].toarray())
    assert found.raw.var_names.tolist() == ["TP53", "MYC"]
    assert found.uns["nested"]["deep"]["text"] == "x"
    assert list(found.uns["mixed"]["list"]) == ["a", "b"]
    assert found.obsm["frame"]["a"].tolist() == [1, 2, 3]
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "in.h5ad") == [target.name]


def test_a_backed_anndata_without_x_is_written(adata, tmp_path):
    adata.X = None
    adata.write_h5ad(tmp_path / "in.h5ad")
    write_anndata(anndata.read_h5ad(tmp_path / "in.h5ad", backed="r"), tmp_path / "out.h5ad")
    found = anndata.read_h5ad(tmp_path / "out.h5ad")
    assert found.X is None
    np.testing.assert_array_equal(found.layers["counts"].toarray(), adata.layers["counts"].toarray())


def test_numbers_are_not_written_twice(adata, tmp_path):
    def fail(_):
        pytest.fail("computed")

    adata.obsm["lazy"] = dask.array.from_array(np.ones((3, 2)), chunks=1).map_blocks(
        fail, dtype=float, meta=np.ones((0, 0))
    )
    check_writable(adata, tmp_path / "x.h5ad")


def test_after_an_error_the_old_file_is_there(adata, tmp_path):
    write_anndata(adata, tmp_path / "x.h5ad")
    before = (tmp_path / "x.h5ad").read_bytes()
    adata.uns["s"] = {1}
    with pytest.raises(DataError, match=r"`uns\['s'\]` is of a kind"):
        write_anndata(adata, tmp_path / "x.h5ad")
    assert (tmp_path / "x.h5ad").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["x.h5ad"]


def test_a_disk_that_cannot_be_written_is_said(adata, tmp_path, monkeypatch):
    def full(*_, **__):
        msg = "No space left on device"
        raise OSError(28, msg)

    monkeypatch.setattr(h5py.Group, "create_dataset", full)
    with pytest.raises(DataError, match=r"x.h5ad` cannot be written .*No space left.*Free space"):
        write_anndata(adata, tmp_path / "x.h5ad")
    assert not list(tmp_path.iterdir())
