import copy

import anndata
import numpy as np
import pandas as pd
import pytest

import bftembed as bft
from bftembed.browse.rows import read_parts, rows_of
from bftembed.errors import InputError

RNG = np.random.default_rng(0)


@pytest.fixture
def cells(genes):
    """Two cells, and six genes with vectors."""
    adata = anndata.AnnData(RNG.poisson(2, (2, 6)).astype(np.float32) + 1)
    adata.obs_names, adata.var_names = ["one", "two"], genes.obs_names
    adata.varm["X_bft"] = genes.X
    adata.var["X_bft_text"] = genes.obs["X_bft_text"].to_numpy()
    adata.uns["bft"] = {"X_bft": {"genes": copy.deepcopy(genes.uns["bft"]["X_bft"]["entities"])}}
    bft.tl.embed_cells(adata, weights="log1p", values="counts")
    return adata


def test_rows_of_names(genes):
    rows = rows_of(genes, use_rep="X_bft")
    assert (rows.noun, rows.n_total, rows.weighted, rows.without) == ("genes", 6, False, "")
    assert rows.names == genes.obs_names.tolist()
    assert rows.text == genes.obs["X_bft_text"].tolist()
    assert list(rows.frame) == ["bft_gene", "lineage", "level"]
    assert rows.known.all()


def test_genes_and_cells_of_one_adata(cells):
    assert rows_of(cells, use_rep="X_bft").noun == "genes"
    assert rows_of(cells, use_rep="X_bft").text[0].startswith("A subunit")
    rows = rows_of(cells, use_rep="X_bft", among="cells")
    assert (rows.names, rows.texts, rows.weighted) == (["one", "two"], None, True)
    assert "weighted sums" in rows.without
    with pytest.raises(InputError, match="cell"):
        rows_of(cells, use_rep="X_bft", among="cell")
    with pytest.raises(InputError, match="embeddings there: X_bft"):
        rows_of(cells, use_rep="X_other")


def test_conditions_of_perturbed_cells(words):
    adata = anndata.AnnData(obs=pd.DataFrame({"perturbation": ["KLF1", "control", "KLF1"]}, index=list("abc")))
    bft.tl.embed_perturbations(adata, facts="none", profiles={"KLF1": "Erythroid genes fall."}, encoder=words)
    rows = rows_of(adata, use_rep="X_bft")
    assert (rows.noun, rows.names, rows.text) == ("perturbations", ["KLF1"], ["Erythroid genes fall."])


def test_texts_that_are_nowhere(genes):
    del genes.obs["X_bft_text"]
    rows = rows_of(genes, use_rep="X_bft")
    assert rows.texts is None
    assert "were not kept" in rows.without
    assert rows.text == [""] * 6


def test_vectors_that_are_none(tricky):
    rows = rows_of(tricky, use_rep="X_bft")
    assert [name for name, known in zip(rows.names, rows.known, strict=True) if not known] == ["NOVECTOR", "ZERO"]
    assert rows.noun == "drugs"


def test_a_sample_keeps_rows_together(tricky):
    rows = rows_of(tricky, use_rep="X_bft")
    part = rows.sampled(4, seed=1)
    assert (len(part.names), part.n_total) == (4, len(rows.names))
    assert rows.sampled(9, seed=1) is rows
    of = {text: i for i, text in enumerate(rows.text)}
    for i, text in enumerate(part.text):
        np.testing.assert_array_equal(part.vectors[i], rows.vectors[of[text]])
        np.testing.assert_array_equal(part.held["X_umap"][i], rows.held["X_umap"][of[text]])
    assert part.text == rows.sampled(4, seed=1).text


@pytest.mark.parametrize("suffix", [".h5ad", ".zarr"])
def test_files_are_read_without_their_matrices(cells, tmp_path, suffix):
    path = tmp_path / f"cells{suffix}"
    cells.obsm["X_umap"] = np.zeros((2, 2))
    cells.obsm["X_other"] = np.zeros((2, 2))
    cells.write_h5ad(path) if suffix == ".h5ad" else cells.write_zarr(path)
    read = read_parts(path, ["X_bft", "X_umap"])
    assert read.X is None
    assert (list(read.obsm), list(read.varm)) == (["X_bft", "X_umap"], ["X_bft"])
    for among in ("genes", "cells"):
        made, kept = (rows_of(each, use_rep="X_bft", among=among) for each in (read, cells))
        np.testing.assert_array_equal(made.vectors, kept.vectors)
        assert made.text == kept.text
    with pytest.raises(InputError, match="no file"):
        read_parts(tmp_path / "none.h5ad", [])
