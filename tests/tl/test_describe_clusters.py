import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import bftembed as bft
from bftembed.errors import InputError
from bftembed.profiles import ProfileStore
from bftembed.tl._describe_clusters import _by_genes

GENES = ["CD3E", "CD3D", "MS4A1", "CD79A", "LYZ", "ACTB"]
TEXTS = {"secret-a": "T cells.", "secret-b": "B cells.", "secret-c": "Monocytes."}


@pytest.fixture
def cells():
    """Counts of three clusters, each with genes of its own; the names of the clusters say nothing that genes could."""
    draw = np.random.default_rng(0)
    level = np.array([[9, 7, 1, 1, 1, 9], [1, 1, 9, 6, 1, 9], [1, 1, 1, 1, 9, 9]]).repeat(20, axis=0)
    obs = pd.DataFrame({"label": np.repeat(list(TEXTS), 20)}, index=[f"c{i}" for i in range(60)])
    return anndata.AnnData(sparse.csr_matrix(draw.poisson(level).astype(np.float32)), obs, pd.DataFrame(index=GENES))


def describe(adata, groupby="label", **options):
    return bft.tl.describe_clusters(adata, groupby, facts="none", **{"profiles": TEXTS} | options)


def test_a_row_and_a_text_for_each_cluster(cells):
    before = cells.copy()
    found = describe(cells, n_top=1)
    assert found.obs_names.tolist() == list(TEXTS)
    assert found.obs["X_bft_text"].tolist() == list(TEXTS.values())
    assert found.obs["n_cells"].tolist() == [20, 20, 20]
    assert found.obs["genes"].tolist() == ["CD3E", "MS4A1", "LYZ"]
    assert found.X.shape == (3, 384)
    info = bft.get.provenance(found)["entities"]
    assert (info["kind"], info["groupby"], info["n_top"]) == ("cluster", "label", 1)
    assert "bft" not in cells.uns
    assert cells.obs.equals(before.obs)


def test_sparse_dense_and_backed_cells_give_the_same(cells, tmp_path):
    cells.write_h5ad(tmp_path / "cells.h5ad")
    dense = anndata.AnnData(cells.X.toarray(), cells.obs, cells.var)
    expected = describe(cells).obs["genes"].tolist()
    assert describe(dense).obs["genes"].tolist() == expected
    assert describe(anndata.read_h5ad(tmp_path / "cells.h5ad", backed="r")).obs["genes"].tolist() == expected


@pytest.mark.parametrize("template", [None, "cluster"])
def test_the_name_of_a_cluster_is_in_no_prompt_and_no_text(cells, template, tmp_path):
    options = {"profiles": None, "engine": "annotation", "template": template, "encoder": "none"}
    found = describe(cells, store=tmp_path / "s.sqlite", **options)
    with ProfileStore(tmp_path / "s.sqlite") as store:
        prompts = [profile.prompt for profile in store.get(found.obs["X_bft_text_key"]).values()]
    assert len(prompts) == 3
    assert not any("secret" in text for text in [*prompts, *found.obs["X_bft_text"]])
    assert any("LYZ" in prompt for prompt in prompts)


def test_real_clusters_are_told_by_what_is_known_of_their_genes(mirror, tmp_path):
    pbmc = bft.datasets.pbmc68k_reduced()
    options = {"use_raw": True, "engine": "annotation", "encoder": "none", "store": tmp_path / "s.sqlite"}
    found = bft.tl.describe_clusters(pbmc, "bulk_labels", **options)
    b_cells = found.obs.loc["CD19+ B"]
    assert {"CD79A", "CD74"} <= set(b_cells["genes"].split(", "))
    assert "B lymphocyte antigen receptor" in b_cells["X_bft_text"]
    assert not any(label in text for label, text in found.obs["X_bft_text"].items())


def test_what_cannot_be_described_is_said(cells):
    with pytest.raises(InputError, match=r"has no column `labels`.*Did you mean `label`"):
        describe(cells, "labels")
    with pytest.raises(InputError, match="`n_top` is a whole number"):
        describe(cells, n_top=2.5)
    cells.obs["some"] = [np.nan, *cells.obs["label"][1:]]
    with pytest.raises(InputError, match=r"1 of 60 cells have no cluster in `some`: leave them out"):
        describe(cells, "some")
    cells.obs["one"] = "all"
    with pytest.raises(InputError, match="All 60 cells are in one cluster of `one`"):
        describe(cells, "one")
    cells.obs["few"] = ["alone", *["rest"] * 59]
    with pytest.raises(InputError, match="Cluster 'alone' of `few` is one cell"):
        describe(cells, "few")
    flat = anndata.AnnData(np.array([[4, 4], [4, 4.5], [5, 5], [5, 5.5]], dtype=np.float32) / 2)
    flat.obs["label"] = ["low", "low", "high", "high"]
    with pytest.raises(InputError, match="No gene is higher in cluster 'low'"):
        describe(flat, values="lognorm")


def test_a_cluster_goes_by_its_genes_and_in_the_order_of_the_categories(cells, tmp_path, caplog):
    cells.obs["label"] = pd.Categorical(np.repeat(["10", "2", "1"], 20), categories=["10", "unused", "2", "1"])
    options = {"profiles": None, "engine": "annotation", "encoder": "none", "store": tmp_path / "s.sqlite"}
    found = describe(cells, n_top=2, **options)
    assert found.obs_names.tolist() == ["10", "2", "1"]
    assert found.obs["X_bft_text"].tolist() == [f"{genes}." for genes in found.obs["genes"]]
    with ProfileStore(tmp_path / "s.sqlite") as store:
        assert set(store.frame()["entity"]) == set(found.obs["genes"])
    others = cells[:, GENES[::-1]].copy()
    others.var_names = ["ALB", "APOA1", "HBB", "HBA1", "INS", "GCG"]
    caplog.clear()
    with caplog.at_level("INFO", logger="bftembed"):
        describe(others, n_top=2, template="cluster", **options)
    assert "missing names" not in caplog.text  # the texts in the store are of other genes


def test_names_of_many_genes_are_told_apart():
    genes = [f"GENE{i}" for i in range(500)]
    assert _by_genes(genes[:3]) == "GENE0, GENE1, GENE2"
    assert len(_by_genes(genes)) < 300
    assert _by_genes(genes) != _by_genes([*genes[:-1], "ALB"])


def test_ribosomal_genes_have_a_text(cells, mirror, tmp_path):
    names = [*(f"RPS{i}" for i in range(10, 20)), *(f"RPL{i}" for i in range(10, 15)), "LYZ"]
    draw = np.random.default_rng(0)
    level = np.array([[9] * 15 + [1], [3] * 15 + [9]]).repeat(20, axis=0)
    obs = pd.DataFrame({"label": ["ribosomes"] * 20 + ["rest"] * 20}, index=[f"c{i}" for i in range(40)])
    few = anndata.AnnData(draw.poisson(level).astype(np.float32), obs, pd.DataFrame(index=names))
    options = {"engine": "annotation", "encoder": "none", "store": tmp_path / "s.sqlite"}
    text = bft.tl.describe_clusters(few, "label", **options).obs.loc["ribosomes", "X_bft_text"]
    assert text.startswith("RP")
    assert text.count("the organelles that catalyze protein synthesis") == 1


def test_other_names_of_the_clusters_change_no_text(cells, tmp_path):
    cells.obs["other"] = cells.obs["label"].map(dict(zip(TEXTS, "zyx", strict=True)))
    options = {"profiles": None, "engine": "annotation", "encoder": "none", "store": tmp_path / "s.sqlite"}
    found, again = (describe(cells, groupby, **options).obs for groupby in ("label", "other"))
    for column in ("X_bft_text", "X_bft_text_key"):
        assert found[column].tolist() == again[column].tolist()[::-1]
