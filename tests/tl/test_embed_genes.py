import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

import bftembed as bft
from bftembed.errors import BftembedWarning, InputError

TEXTS = {"TP53": "Guards the genome.", "CD3E": "Part of the T cell receptor.", "ALB": "Carries molecules in blood."}


@pytest.fixture
def adata(monkeypatch, tmp_path):
    # No gene tables in the cache: names pass through as they are.
    monkeypatch.setenv("BFTEMBED_CACHE", str(tmp_path))
    monkeypatch.delenv("BFTEMBED_MIRROR", raising=False)
    made = anndata.AnnData(sp.csr_matrix(np.arange(8.0).reshape(2, 4)))
    made.var_names = ["TP53", "CD3E", "ALB", "XYZ"]
    made.var["chosen"] = [True, True, False, False]
    return made


def test_varm_holds_vectors_and_nan_rows_and_uns_says_how(adata):
    with (
        pytest.warns(BftembedWarning, match="bftembed data fetch"),
        pytest.warns(BftembedWarning, match="1 of 4 names have no text in `profiles`, and no vector: XYZ"),
    ):
        bft.tl.embed_genes(adata, profiles=TEXTS, add_profiles=True)
    vectors = adata.varm["X_bft"]
    assert vectors.dtype == np.float32
    assert vectors.shape == (4, 384)
    assert np.isnan(vectors[3]).all()
    assert np.isfinite(vectors[:3]).all()
    assert adata.var["X_bft_text"].tolist() == [*TEXTS.values(), ""]
    info = bft.get.provenance(adata)["genes"]
    assert info["n_embedded"] == 3
    assert info["encoder"]["spec"] == "default"
    assert info["facts"] == "none"


@pytest.mark.filterwarnings("ignore::bftembed.errors.BftembedWarning")
@pytest.mark.parametrize("mask", ["chosen", [True, True, False, False], np.array([True, True, False, False])])
def test_mask_var_chooses_genes(adata, mask):
    bft.tl.embed_genes(adata, mask_var=mask, profiles=TEXTS, key_added="X_two")
    assert np.isfinite(adata.varm["X_two"]).all(axis=1).tolist() == [True, True, False, False]


@pytest.mark.filterwarnings("ignore::bftembed.errors.BftembedWarning")
@pytest.mark.parametrize(
    "mask",
    [
        pd.array([True, False, None, True], dtype="boolean"),
        np.array([True, False, None, True], dtype=object),
        np.array([True, False, np.nan, True], dtype=object),
    ],
)
def test_missing_values_in_a_mask_are_named_with_the_remedy(adata, mask):
    adata.var["hv"] = mask
    remedy = r"`adata.var\['hv'\] = adata.var\['hv'\].fillna\(False\).astype\(bool\)`"
    with pytest.raises(InputError, match=r"`adata.var\['hv'\]` holds 1 missing values .*" + remedy):
        bft.tl.embed_genes(adata, mask_var="hv", profiles=TEXTS)
    with pytest.raises(InputError, match="`mask_var` holds 1 missing values"):
        bft.tl.embed_genes(adata, mask_var=mask, profiles=TEXTS)
    adata.var["whole"] = pd.array([True, False, False, False], dtype="boolean")
    bft.tl.embed_genes(adata, mask_var="whole", profiles=TEXTS)
    assert np.isfinite(adata.varm["X_bft"]).all(axis=1).tolist() == [True, False, False, False]


@pytest.mark.filterwarnings("ignore::bftembed.errors.BftembedWarning")
def test_a_view_becomes_an_anndata_of_its_own_without_a_warning(adata):
    view = adata[:, :]
    bft.tl.embed_genes(view, profiles=TEXTS)
    assert not view.is_view
    assert "X_bft" in view.varm
    assert "X_bft" not in adata.varm


@pytest.mark.filterwarnings("ignore::bftembed.errors.BftembedWarning")
def test_names_may_be_in_a_column(adata, caplog):
    adata.var["symbol"] = adata.var_names
    adata.var_names = ["ENSG00000141510", "ENSG00000198851", "ENSG00000163631", "x"]
    with caplog.at_level("INFO", "bftembed"):
        bft.tl.embed_genes(adata, gene_symbols="symbol", profiles=TEXTS)
    assert np.isfinite(adata.varm["X_bft"]).all(axis=1).tolist() == [True, True, True, False]
    assert adata.var["bft_gene"].tolist() == ["TP53", "CD3E", "ALB", "XYZ"]
    assert "4 names (gene), 0 with facts, 3 texts (given), 384 dimensions -> varm['X_bft']" in caplog.messages
    with pytest.raises(InputError, match="no column `name`"):
        bft.tl.embed_genes(adata, gene_symbols="name", profiles=TEXTS)


@pytest.mark.filterwarnings("ignore::bftembed.errors.BftembedWarning")
def test_bad_masks_and_facts_are_refused(adata):
    with pytest.raises(InputError, match="no column `hvg`; it has chosen"):
        bft.tl.embed_genes(adata, mask_var="hvg", profiles=TEXTS)
    with pytest.raises(InputError, match="4 booleans"):
        bft.tl.embed_genes(adata, mask_var=[True], profiles=TEXTS)
    with pytest.raises(InputError, match="None of the 0 chosen genes"):
        bft.tl.embed_genes(adata, mask_var=[False] * 4, profiles=TEXTS)
    with pytest.raises(InputError, match=r"'auto\+tissues' or 'none'"):
        bft.tl.embed_genes(adata, facts="some", profiles=TEXTS)
    with pytest.raises(InputError, match="annotation engine needs facts"):
        bft.tl.embed_genes(adata, engine="annotation")
    assert "X_bft" not in adata.varm


@pytest.mark.filterwarnings("ignore::bftembed.errors.BftembedWarning")
def test_result_survives_h5ad_and_zarr(adata, tmp_path):
    bft.tl.embed_genes(adata, profiles=TEXTS)
    bft.tl.embed_cells(adata)
    adata.write_h5ad(tmp_path / "a.h5ad")
    adata.write_zarr(tmp_path / "a.zarr")
    for read in (anndata.read_h5ad(tmp_path / "a.h5ad"), anndata.read_zarr(tmp_path / "a.zarr")):
        np.testing.assert_array_equal(read.varm["X_bft"], adata.varm["X_bft"])
        np.testing.assert_array_equal(read.obsm["X_bft"], adata.obsm["X_bft"])
        found, made = bft.get.provenance(read), bft.get.provenance(adata)
        assert found["genes"]["encoder"]["model"] == made["genes"]["encoder"]["model"]
        assert found["genes"]["counts"] == made["genes"]["counts"]
        assert found["cells"]["n_genes_used"] == 3


@pytest.mark.filterwarnings("ignore::bftembed.errors.BftembedWarning")
def test_embedding_twice_keeps_other_provenance(adata):
    adata.uns["bft"] = {"other": {"genes": {"a": 1}}}
    bft.tl.embed_genes(adata, profiles=TEXTS)
    assert adata.uns["bft"]["other"] == {"genes": {"a": 1}}


def test_annotation_of_real_genes_with_facts(mirror, tmp_path):
    adata = anndata.AnnData(np.ones((2, 4), dtype=np.float32))
    adata.var_names = ["ENSG00000141510.5", "p53", "CD3E", "NOT-A-GENE"]
    bft.tl.embed_genes(adata, engine="annotation", store=tmp_path / "s.sqlite", add_profiles=True)
    assert adata.var["bft_gene"].isna().tolist()[3]
    assert adata.var["X_bft_text"].iloc[2].startswith("CD3E. ")
    assert "T-cell receptor" in adata.var["X_bft_text"].iloc[2]
    assert np.isfinite(adata.varm["X_bft"]).all(axis=1).sum() >= 2
    assert bft.get.provenance(adata)["genes"]["facts"].startswith("sha256:")


@pytest.mark.filterwarnings("ignore:Changing the sparsity structure")  # scanpy's neighbours of few cells
def test_real_model_writes_profiles_that_scanpy_uses(model_dir, tmp_path, monkeypatch):
    """The main job on real input, small: profiles, gene vectors, cell vectors, neighbours, Leiden, UMAP."""
    import scanpy as sc

    monkeypatch.setenv("BFTEMBED_CACHE", str(tmp_path))
    monkeypatch.delenv("BFTEMBED_MIRROR", raising=False)
    adata = bft.datasets.pbmc68k_reduced()
    adata.var["few"] = np.arange(adata.n_vars) < 6
    with pytest.warns(BftembedWarning):
        bft.pp.map_genes(adata)
    options = {"mask_var": "few", "store": tmp_path / "s.sqlite", "sampling": bft.engines.Sampling(max_new_tokens=16)}
    bft.tl.embed_genes(adata, engine=f"transformers:{model_dir}", **options)
    first = adata.varm["X_bft"].copy()
    assert np.isfinite(first).all(axis=1).sum() == 6
    bft.tl.embed_genes(adata, engine=f"transformers:{model_dir}", **options)
    assert bft.get.provenance(adata)["genes"]["counts"]["generated"] == 0
    np.testing.assert_array_equal(first, adata.varm["X_bft"])
    bft.tl.embed_cells(adata, use_raw=True, empty="nan")
    adata = adata[np.isfinite(adata.obsm["X_bft"]).all(axis=1)].copy()
    sc.pp.neighbors(adata, use_rep="X_bft")
    sc.tl.leiden(adata, flavor="igraph", n_iterations=2, directed=False)
    assert len(set(adata.obs["leiden"])) > 1
    texts = bft.get.profiles(adata, store=tmp_path / "s.sqlite")
    assert texts["text"].notna().sum() == 6
    assert isinstance(texts.index, pd.Index)


@pytest.mark.filterwarnings("ignore::bftembed.errors.BftembedWarning")
@pytest.mark.parametrize("how", ["backed", "lazy"])
@pytest.mark.parametrize("has_x", [True, False])
def test_an_anndata_that_stays_in_its_file_gets_the_same(adata, tmp_path, how, has_x):
    if not has_x:
        adata.X = None
    path = tmp_path / "genes.h5ad"
    adata.write_h5ad(path)
    held = anndata.read_h5ad(path, backed="r") if how == "backed" else anndata.experimental.read_lazy(path)
    for one in (adata, held):
        bft.tl.embed_genes(one, profiles=TEXTS, mask_var="chosen")
    np.testing.assert_array_equal(held.varm["X_bft"], adata.varm["X_bft"])
    assert bft.get.profiles(held)["text"].tolist() == bft.get.profiles(adata)["text"].tolist()
    with pytest.raises(InputError, match=r"is a path: read it first, e.g. `anndata.read_h5ad\('.*genes.h5ad'"):
        bft.tl.embed_genes(path, profiles=TEXTS)


@pytest.mark.parametrize("wrong", [{"mask_var": "choosen"}, {"facts": "some"}, {"encoder": "none at all"}])
def test_a_call_that_is_refused_leaves_nothing_behind(adata, wrong):
    with pytest.raises(InputError):
        bft.tl.embed_genes(adata, **wrong)
    assert list(adata.var) == ["chosen"]
    assert "bft" not in adata.uns
