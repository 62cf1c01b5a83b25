"""``bftembed vectors``."""

import anndata
import numpy as np
import pytest
from typer.testing import CliRunner

import bftembed as bft
from bftembed.cli.main import app
from bftembed.errors import BftembedError, InputError


def invoke(*arguments):
    result = CliRunner().invoke(app, ["vectors", *map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture
def source(tmp_path):
    adata = anndata.AnnData(np.ones((2, 3), dtype=np.float32))
    adata.var_names, adata.obs_names = ["TP53", "NA", "ALB"], ["c1", "c2"]
    adata.varm["X_bft"] = np.array([[0, 1], [np.nan, np.nan], [2, 3]], dtype=np.float32)
    adata.obsm["X_bft"] = np.array([[0.5, 1], [2, 3]], dtype=np.float32)
    adata.write_h5ad(tmp_path / "a.h5ad")
    return tmp_path / "a.h5ad"


@pytest.mark.parametrize("suffix", ["csv", "parquet", "npz", "vec"])
def test_genes_and_cells_of_a_file_in_every_form(source, tmp_path, suffix):
    for among, names in (("genes", ["TP53", "ALB"]), ("cells", ["c1", "c2"])):
        invoke(source, "-o", tmp_path / f"{among}.{suffix}", "--among", among)
        read = bft.read_vectors(tmp_path / f"{among}.{suffix}")
        assert read.obs_names.tolist() == names
        assert read.X.shape == (2, 2)
    invoke(tmp_path / f"cells.{suffix}", "-o", tmp_path / "again.parquet")
    np.testing.assert_array_equal(bft.read_vectors(tmp_path / "again.parquet").X, [[0.5, 1], [2, 3]])


@pytest.mark.parametrize("first", ["csv", "parquet", "npz", "vec", "safetensors"])
def test_every_bit_comes_back_from_every_form(source, tmp_path, first):
    bits = np.random.default_rng(0).integers(0, 2**32, (60, 7), dtype=np.uint32).view(np.float32)
    bits[~np.isfinite(bits)] = 1e-45
    bits[0, :4] = [-0.0, 1e-45, np.finfo(np.float32).max, np.finfo(np.float32).tiny]
    adata = anndata.AnnData(np.zeros((1, 60), dtype=np.float32))
    adata.var_names = ["=1+1", "NA", "-2", "a,b", 'a"b', "β", *(f"G{i}" for i in range(54))]
    adata.varm["X_bft"] = bits
    adata.write_h5ad(tmp_path / "BITS.H5AD")
    made = [tmp_path / f"a.{first}", *(tmp_path / f"b.{suffix}" for suffix in ("csv", "npz", "vec", "parquet"))]
    for start, end in zip([tmp_path / "BITS.H5AD", *made], made, strict=False):
        invoke(start, "-o", end)
        read = bft.read_vectors(end)
        assert read.obs_names.tolist() == adata.var_names.tolist()
        np.testing.assert_array_equal(read.X.view(np.uint32), bits.view(np.uint32))


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (np.full((3, 2), np.nan), "no vectors to write"),
        (np.zeros((3, 0)), "no vectors to write"),
        (np.full((3, 2), 1e300), "too large for float32"),
        (np.ones((3, 2, 2)), "no table of numbers"),
        (np.array([["a"]] * 3), "no table of numbers"),
    ],
)
def test_what_is_no_vector(source, tmp_path, values, told):
    adata = anndata.read_h5ad(source)
    adata.varm["X_bft"] = values
    adata.write_h5ad(source)
    with pytest.raises(InputError, match=told):
        invoke(source, "-o", tmp_path / "x.csv")
    assert not (tmp_path / "x.csv").exists()


def test_bad_input(source, tmp_path):
    for arguments, told in (
        ((source, "-o", source.with_suffix(".xlsx")), "must end in"),
        ((source, "-o", tmp_path / "no" / "x.csv"), "no directory"),
        ((tmp_path / "gone.h5ad", "-o", tmp_path / "x.csv"), "no file"),
        ((source, "-o", tmp_path / "x.csv", "--use-rep", "X_pca"), "no `X_pca`"),
        ((source.with_stem(source.stem + "s"), "-o", tmp_path / "x.csv"), f"Did you mean `{source}`"),
    ):
        with pytest.raises(InputError, match=told):
            invoke(*arguments)
    invoke(source, "-o", tmp_path / "x.csv")
    with pytest.raises(InputError, match="is the file that is read"):
        invoke(tmp_path / "x.csv", "-o", tmp_path / "x.csv")
    with pytest.raises(InputError, match="is a table"):
        invoke(tmp_path / "x.csv", "-o", tmp_path / "y.csv", "--among", "genes")
    invoke(tmp_path / "x.csv", "-o", tmp_path / "z.csv", "--use-rep", "mine")
    (tmp_path / "bad.h5ad").write_text("no")
    with pytest.raises(BftembedError):
        invoke(tmp_path / "bad.h5ad", "-o", tmp_path / "y.csv")
