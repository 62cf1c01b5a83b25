"""Data sets as one AnnData each, on the real files."""

import anndata
import numpy as np
import pytest

from bftembed import data, datasets


@pytest.mark.parametrize(
    ("name", "shape", "columns"),
    [
        ("symphony_pbmc", (1200, 1700), {"cell_type": 9, "cell_type_broad": 7, "batch": 3}),
        ("bremsc_pbmc", (1372, 33000), {"cell_type": 6}),
        ("pbmc_stim", (2000, 9000), {"condition": 2}),
        ("norman", (3000, 490), {"perturbation": 34, "perturbation_type": 1, "cell_type": 1, "dose": 2}),
    ],
)
def test_labels_are_joined_and_names_unique(mirror, name, shape, columns, tmp_path):
    adata = getattr(datasets, name)()
    assert adata.n_obs >= shape[0]
    assert adata.n_vars >= shape[1]
    assert adata.var_names.is_unique
    assert {column: adata.obs[column].nunique() for column in columns} == columns
    assert adata.X.dtype == np.float32
    assert "Licence: " in adata.uns["source"]
    adata.write_h5ad(tmp_path / "a.h5ad")
    assert anndata.read_h5ad(tmp_path / "a.h5ad").shape == adata.shape


def test_counts_are_counts_and_of_names_that_repeat_one_stays(mirror):
    adata = datasets.bremsc_pbmc()
    assert (adata.X.data == np.round(adata.X.data)).all()
    assert adata.obs["cell_type"].isna().sum() == 190
    assert adata.uns["removed"]["columns of a gene that another column means better"] >= 24
    protein = adata.obsm["protein"]
    assert set(protein.columns) == set(adata.uns["protein_genes"]) == set(datasets.PROTEIN_GENES)
    raw = data.load("bremsc_pbmc", "rna")
    gene = adata.var.loc["CD79A", "source_name"]
    np.testing.assert_array_equal(adata[:, "CD79A"].X.toarray().ravel(), raw[:, gene].X.toarray().ravel())


def test_perturbations_of_norman_alone(mirror):
    adata = datasets.norman()
    whole = data.load("norman_perturbench", "cells")
    ours = whole[whole.obs["dataset"] == "norman19"]
    assert (ours.obs["condition"].astype(str) == adata.obs["perturbation"].astype(str)).all()
    assert adata.uns["removed"]["cells of McFaline-Figueroa et al. (noise)"] == whole.n_obs - adata.n_obs > 0
    assert {"control", "KLF1+MAP2K6"} < set(adata.obs["perturbation"])


def test_tissues_keep_the_id_of_the_gene_that_was_kept(mirror):
    adata = datasets.hpa_tissues()
    rows = data.load("hpa_rna_tissue").astype({"Sample": str}).set_index(["Gene", "Sample"])["Value"]
    assert adata.n_obs == 37
    assert adata.var_names.is_unique
    assert adata.var["ensembl"].is_unique
    for gene, ensembl in {"ALB": "ENSG00000163631", "BTBD8": "ENSG00000189195"}.items():  # two rows are called BTBD8
        assert adata.var.loc[gene, "ensembl"] == ensembl
        np.testing.assert_array_equal(adata[:, gene].to_df()[gene], rows[ensembl][adata.obs_names].astype(np.float32))
    assert adata[:, "ALB"].to_df()["ALB"].idxmax() == "liver"
