import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from typer.testing import CliRunner

import bftembed as bft
from bftembed import datasets
from bftembed.cli.main import app
from bftembed.errors import DataError, InputError
from bftembed.vectors import read_file

pytestmark = pytest.mark.filterwarnings("ignore::bftembed.errors.BftembedWarning")


def invoke(*arguments):
    result = CliRunner().invoke(app, [*map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture(autouse=True)
def no_tables(monkeypatch, tmp_path_factory):
    monkeypatch.setenv("BFTEMBED_CACHE", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.delenv("BFTEMBED_MIRROR", raising=False)


@pytest.fixture
def adata():
    made = anndata.AnnData(sparse.csr_matrix(np.array([[3, 0, 1], [0, 2, 2]], dtype=np.float32)))
    made.obs_names, made.var_names = ["a", "b"], ["TP53", "CD3E", "ALB"]
    return made


@pytest.fixture
def tiny(tiny_model):
    return ("--engine", f"transformers:{tiny_model}", "--max-new-tokens", 3)


def test_layers_without_x(adata, tiny, tmp_path):
    adata.layers["counts"] = adata.X.copy()
    adata.X = None
    adata.write_h5ad(tmp_path / "in.h5ad")
    invoke("embed", tmp_path / "in.h5ad", "-o", tmp_path / "out.h5ad", "--layer", "counts", *tiny)
    assert np.isfinite(anndata.read_h5ad(tmp_path / "out.h5ad").obsm["X_bft"]).all()
    invoke("embed", tmp_path / "in.h5ad", "-o", tmp_path / "genes.h5ad", "--no-cells", *tiny)
    assert "counts" in anndata.read_h5ad(tmp_path / "genes.h5ad").layers
    with pytest.raises(InputError, match=r"pass layer=, one of \['counts'\]"):
        invoke("embed", tmp_path / "in.h5ad", "-o", tmp_path / "out.h5ad", *tiny)


def test_each_summary_is_said_once(adata, tiny, tmp_path, caplog):
    adata.write_h5ad(tmp_path / "in.h5ad")
    invoke("embed", tmp_path / "in.h5ad", "-o", tmp_path / "out.h5ad", "--weights", "log1p", *tiny)
    said = [message for message in caplog.messages if "dimensions" in message]
    assert said == [
        "3 names (gene), 0 with facts, 3 texts (0 stored), 384 dimensions -> varm['X_bft']",
        "2 cells: means of 3 genes, 384 dimensions, 0 without weight",
    ]


def test_cells_by_contrast_to_other_cells(adata, tiny, tmp_path):
    rng = np.random.default_rng(0)
    other = anndata.AnnData(rng.poisson(2, (50, 3)).astype(np.float32), var=adata.var)
    other.obs["batch"] = np.repeat(["x", "y"], 25)
    bft.pp.reference(other, batch_key="batch").write(tmp_path / "r.parquet")
    adata.obs["batch"] = ["x", "y"]
    adata.write_h5ad(tmp_path / "in.h5ad")
    table = anndata.AnnData(obs=pd.DataFrame(index=list("abcdefgh")), obsm={"X_bft": rng.normal(size=(8, 384))})
    table.write_h5ad(tmp_path / "t.h5ad")
    options = ("--weights", "contrast", "--reference", tmp_path / "r.parquet", "--batch-key", "batch", "--whiten", 0.5)
    options += ("--table", tmp_path / "t.h5ad", "--n-components", 4)
    invoke("embed", tmp_path / "in.h5ad", "-o", tmp_path / "out.h5ad", *options, *tiny)
    made = anndata.read_h5ad(tmp_path / "out.h5ad")
    expected = made.copy()
    how = {"reference": bft.pp.Reference.read(tmp_path / "r.parquet"), "table": table, "batch_key": "batch"}
    bft.tl.embed_cells(expected, weights="contrast", whiten=0.5, n_components=4, **how)
    np.testing.assert_allclose(made.obsm["X_bft"], expected.obsm["X_bft"], rtol=1e-4, atol=1e-5)
    with pytest.raises(InputError, match="There is no file `none"):
        invoke("embed", tmp_path / "in.h5ad", "-o", tmp_path / "out.h5ad", "--whiten", 1, "--table", "none.h5ad", *tiny)


@pytest.mark.parametrize("extra", [(), ("--no-cells",)])
def test_nullable_texts_are_written(extra, adata, tiny, tmp_path):
    adata.obs.index, adata.var.index = adata.obs.index.astype("string"), adata.var.index.astype("string")
    adata.obs["note"] = pd.array(["x", None], dtype="string")
    with anndata.settings.override(allow_write_nullable_strings=True):
        adata.write_h5ad(tmp_path / "in.h5ad")
    invoke("embed", tmp_path / "in.h5ad", "-o", tmp_path / "out.h5ad", *extra, *tiny)
    found = anndata.read_h5ad(tmp_path / "out.h5ad")
    assert found.obs["note"].isna().tolist() == [False, True]
    assert np.isfinite(found.varm["X_bft"]).all()


def test_vectors_of_genes_as_a_table(adata, tiny, tmp_path):
    adata.write_h5ad(tmp_path / "in.h5ad")
    with pytest.raises(InputError, match="pass --no-cells"):
        invoke("embed", tmp_path / "in.h5ad", "-o", tmp_path / "g.csv", *tiny)
    adata.var["some"] = [True, False, True]
    adata.write_h5ad(tmp_path / "in.h5ad")
    said = invoke("embed", tmp_path / "in.h5ad", "-o", tmp_path / "g.csv", "--no-cells", "--mask-var", "some", *tiny)
    assert "2 x 384; 1 without a vector" in said
    assert read_file(tmp_path / "g.csv").names == ["TP53", "ALB"]


@pytest.mark.parametrize("suffix", ["csv", "h5ad"])
def test_what_was_written_is_counted_alike_in_every_format(suffix, tmp_path):
    (tmp_path / "names.txt").write_text("TP53\nCD3E\nALB\n")
    (tmp_path / "texts.csv").write_text("gene,text\nTP53,Guards the genome.\nALB,Liver.\n")
    options = (tmp_path / "names.txt", "--profiles", tmp_path / "texts.csv", "-o", tmp_path / f"v.{suffix}")
    assert f"v.{suffix}: 2 x 384; 1 without a vector" in invoke("embed", *options)
    assert f"v.{suffix}: 2 texts; 1 without a text" in invoke("embed", *options, "--encoder", "none")


def test_vectors_of_names_as_a_table(tmp_path):
    (tmp_path / "sets.gmt").write_text("T cells\tx\tCD3D\tCD3E\nB cells\tx\tMS4A1\tCD19\n")
    options = ("--kind", "gene_set", "--engine", "annotation")
    for suffix in ("csv", "parquet", "vec", "h5ad"):
        assert "2 x 384" in invoke("embed", tmp_path / "sets.gmt", "-o", tmp_path / f"v.{suffix}", *options)
    vectors = anndata.read_h5ad(tmp_path / "v.h5ad").obsm["X_bft"]
    for suffix in ("csv", "parquet", "vec"):
        found = bft.read_vectors(tmp_path / f"v.{suffix}")
        assert found.obs_names.tolist() == ["T cells", "B cells"]
        np.testing.assert_array_equal(found.X, vectors)


@pytest.fixture
def no_generation(monkeypatch):
    from bftembed.engines.annotation import AnnotationEngine

    monkeypatch.setattr(AnnotationEngine, "generate", lambda *_, **__: pytest.fail("generated"))
    return ("--engine", "annotation")


def test_what_cannot_be_written_is_found_before_any_text(adata, no_generation, tmp_path, monkeypatch):
    monkeypatch.setattr("bftembed.cli.embed.open_adata", lambda _: adata)
    (tmp_path / "in.h5ad").touch()
    adata.uns["s"] = {1}
    for extra in ((), ("--no-cells",)):
        with pytest.raises(DataError, match=r"`uns\['s'\]` is of a kind that anndata cannot write"):
            invoke("embed", tmp_path / "in.h5ad", "-o", tmp_path / "out.h5ad", *extra, *no_generation)
    (tmp_path / "names.txt").write_text("TP53\nMY\x00C\n")
    with pytest.raises(DataError, match=r"`obs.index` is of a kind .*NULL"):
        invoke("embed", tmp_path / "names.txt", "-o", tmp_path / "out.h5ad", *no_generation)


def test_an_unknown_suffix_is_refused_before_any_text(adata, no_generation, tmp_path):
    (tmp_path / "names.txt").write_text("TP53\n")
    with pytest.raises(InputError, match=r"\.h5ad or \.zarr, \.csv, \.parquet"):
        invoke("embed", tmp_path / "names.txt", "-o", tmp_path / "out.xlsx", *no_generation)


def test_mudata_is_refused_with_the_line_that_reads_one_modality(no_generation, tmp_path):
    import h5py

    with h5py.File(tmp_path / "x.h5mu", "w") as file:
        for name in ("obs", "var", "mod/rna"):
            file.create_group(name)
    with pytest.raises(InputError, match=r"holds MuData.*mod='rna'"):
        invoke("embed", tmp_path / "x.h5mu", "-o", tmp_path / "x.h5ad", *no_generation)


def test_all_genes_from_the_command_line(mirror, monkeypatch, tmp_path):
    monkeypatch.setenv("BFTEMBED_MIRROR", str(mirror))
    every = datasets.protein_coding_genes()
    few = every.loc[["ALB", "TP53"]]
    more = pd.concat([few, every[~every["approved"]].head(1)])
    monkeypatch.setattr("bftembed.datasets.protein_coding_genes", lambda: more)
    store = ("--store", tmp_path / "s.sqlite")
    assert "g.vec: 2 x 384" in invoke("embed", "--all-genes", "human", "-o", tmp_path / "g.vec", *store)
    assert bft.read_vectors(tmp_path / "g.vec").obs["ensembl"].tolist() == few["ensembl"].tolist()
    planned = invoke("embed", "--all-genes", "human", "--dry-run", *store)
    assert "unique prompts    2" in planned
    assert "to generate       0" in planned


def test_all_genes_take_the_place_of_a_file(tmp_path):
    (tmp_path / "names.txt").write_text("TP53\n")
    both = ("-o", tmp_path / "g.vec", "--all-genes")
    with pytest.raises(InputError, match="Give one of the two"):
        invoke("embed", tmp_path / "names.txt", *both, "human")
    with pytest.raises(InputError, match="Give one of the two"):
        invoke("embed", "-o", tmp_path / "g.vec")
    with pytest.raises(InputError, match=r"--all-genes takes `human`.*got 'mouse'"):
        invoke("embed", *both, "mouse")
    with pytest.raises(InputError, match="bftembed data fetch genes"):
        invoke("embed", *both, "human")
    with pytest.raises(InputError, match="leaves texts only"):
        invoke("embed", *both, "human", "--encoder", "none")
