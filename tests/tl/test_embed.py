import anndata
import numpy as np
import pandas as pd
import pytest

import bftembed as bft
from bftembed import datasets
from bftembed.errors import BftembedWarning, InputError

TEXTS = {"TP53": "Guards the genome.", "CD3E": "Part of the T cell receptor.", "ALB": "Carries molecules in blood."}


def test_rows_are_the_names_in_their_order():
    adata = bft.embed(["CD3E", "TP53"], profiles=TEXTS, facts="none")
    assert adata.obs_names.tolist() == ["CD3E", "TP53"]
    assert adata.shape == (2, 384)
    np.testing.assert_array_equal(adata.X, adata.obsm["X_bft"])
    assert adata.obs["X_bft_text"].tolist() == [TEXTS["CD3E"], TEXTS["TP53"]]
    assert bft.get.provenance(adata)["entities"]["kind"] == "gene"


def test_aliases_become_symbols_and_facts_are_used(mirror, tmp_path):
    with pytest.warns(BftembedWarning, match=r"1 of 3 names are not the name of one known gene.*NOT-A-GENE"):
        adata = bft.embed(["p53", "TP53", "NOT-A-GENE"], engine="annotation", store=tmp_path / "s.sqlite")
    assert adata.obs["bft_gene"].tolist()[1] == "TP53"
    assert np.isnan(adata.X[2]).all()
    texts = bft.get.profiles(adata)
    assert "tumor protein p53" in texts.loc["TP53", "text"]
    assert texts.loc["NOT-A-GENE", "status"] == "empty"


def test_drugs_with_what_the_repurposing_table_knows(mirror, tmp_path):
    options = {"kind": "drug", "engine": "annotation", "store": tmp_path / "s.sqlite"}
    with pytest.warns(BftembedWarning, match="no drugs of the Drug Repurposing Hub"):
        adata = bft.embed(["Vorinostat", "no such drug"], **options)
    assert "HDAC inhibitor" in adata.obs["X_bft_text"].iloc[0]
    assert np.isnan(adata.X[1]).all()


def test_gene_sets_carry_their_genes(tmp_path):
    options = {"kind": "gene_set", "engine": "annotation", "store": tmp_path / "s.sqlite"}
    adata = bft.embed({"T cell receptor": ["CD3E", "CD3D"]}, facts="none", **options)
    assert adata.obs["X_bft_text"].iloc[0] == "T cell receptor. CD3E, CD3D."


def test_annotation_of_a_gene_set_has_names_and_processes_of_its_genes(mirror, tmp_path):
    options = {"kind": "gene_set", "engine": "annotation", "store": tmp_path / "s.sqlite"}
    text = bft.embed({"SET": ["CD3D", "CD3E"]}, **options).obs["X_bft_text"].iloc[0]
    assert "CD3D (CD3d molecule, delta (CD3-TCR complex))" in text
    assert "part of the T-cell receptor/CD3 complex" in text


def test_types_of_cells(tmp_path):
    texts = {"CD4 T cell": "Helps.", "monocyte": "Eats."}
    adata = bft.embed(list(texts), kind="cell", profiles=texts)
    assert adata.obs["X_bft_text"].to_dict() == texts
    with pytest.raises(InputError, match="choose another engine"):
        bft.embed(list(texts), kind="cell", engine="annotation", store=tmp_path / "s.sqlite")


@pytest.mark.parametrize("kind", ["array", "index", "column", "generator"])
def test_names_may_be_a_list_of_any_kind(kind, tmp_path):
    given = ["B cell", "T cell"]
    lists = {"array": np.array, "index": pd.Index, "column": pd.Series, "generator": iter}
    texts = pd.DataFrame({"name": given, "text": ["Makes antibodies.", "Kills infected cells."]})
    made = bft.embed(lists[kind](given), kind="cell", profiles=texts, encoder="none")
    assert made.obs_names.tolist() == given


def test_perturbations_by_name(tmp_path):
    texts = {"TP53": "Cells grow.", "KLF1+TP53": "Both."}
    names = ["TP53", "non_targeting", "TP53+KLF1", "KLF1+TP53"]
    adata = bft.embed(names, kind="perturbation", facts="none", profiles=texts, how="knockout", cell_line="K562")
    assert adata.obs_names.tolist() == [f"{name} | K562" for name in names]
    assert adata.obs["X_bft_text"].tolist() == ["Cells grow.", "", "Both.", "Both."]
    assert adata.obs["how"].tolist() == ["knockout", "", "knockout", "knockout"]
    assert np.isnan(adata.X).all(axis=1).tolist() == [False, True, False, False]
    np.testing.assert_array_equal(adata.X[2], adata.X[3])
    assert bft.get.profiles(adata)["text"].isna().tolist() == [False, True, False, False]


def test_options_of_perturbations_are_not_swallowed_by_other_kinds():
    with pytest.raises(InputError, match=r"\['dose', 'how'\] .*kind=\"perturbation\", how=\"drug\""):
        bft.embed(["vorinostat"], kind="drug", how="drug", dose="1 uM")


def test_one_line_says_what_was_done(caplog):
    with caplog.at_level("INFO", "bftembed"), pytest.warns(BftembedWarning, match="no vector: NONE"):
        bft.embed([*TEXTS, "NONE"], profiles=TEXTS, facts="none", key_added="X_a")
    assert "4 names (gene), 0 with facts, 3 texts (given), 384 dimensions -> obsm['X_a']" in caplog.messages


@pytest.mark.parametrize(
    ("names", "kind", "message"),
    [
        ("TP53", "gene", r"write \['TP53'\]"),
        (["A", "A"], "gene", "repeated: A"),
        ([], "gene", "nothing to embed"),
        (["A"], "cells", "'cell', 'drug'"),
        (["A"], "gene_set", "mapping"),
        ([" "], "drug", "empty name"),
        (["A", None], "gene", "strings, got None"),
        (["A", 1], "gene", "strings, got 1"),
    ],
)
def test_bad_names_are_refused(names, kind, message):
    with pytest.raises(InputError, match=message):
        bft.embed(names, kind=kind, facts="none", profiles=TEXTS)


def test_all_genes_of_human(mirror, monkeypatch, tmp_path):
    every = datasets.protein_coding_genes()
    few = every.loc[["ALB", "MT-CO1", "TP53", every.index[every["approved"] & (every["facts"] == "name only")][0]]]
    more = pd.concat([few, every[~every["approved"]].head(2)])
    monkeypatch.setattr("bftembed.datasets.protein_coding_genes", lambda: more)
    adata = bft.embed("human", store=tmp_path / "s.sqlite")
    assert adata.obs_names.tolist() == few.index.tolist()
    assert np.isfinite(adata.X).all()
    assert adata.obs[["ensembl", "entrez", "approved", "biotype", "facts"]].to_dict("list") == few.to_dict("list")
    assert "tumor protein p53" in adata.obs.loc["TP53", "X_bft_text"]
    info = bft.get.provenance(adata)["entities"]
    assert info["engine"]["engine"] == "annotation"
    assert info["coverage"]["genes"] == 4
    assert info["coverage"]["name only"] == 1
    assert info["coverage"]["left out, not approved by HGNC"] == 2
    assert any(line.startswith("RefSeq gene summaries") and "Licence: MIT" in line for line in info["sources"])
    for suffix in ("h5ad", "parquet", "vec"):
        path = tmp_path / f"genes.{suffix}"
        adata.write_h5ad(path) if suffix == "h5ad" else bft.write_vectors(adata, path)
        found = anndata.read_h5ad(path) if suffix == "h5ad" else bft.read_vectors(path)
        np.testing.assert_array_equal(found.X, adata.X)
        assert found.obs["entrez"].tolist() == few["entrez"].tolist()
        assert found.uns["bft"]["X_bft"]["entities"]["coverage"]["genes"] == 4


def test_all_genes_with_tissues_by_texts_of_the_user(mirror, monkeypatch, tmp_path):
    few = datasets.protein_coding_genes().loc[["ALB", "TP53"]]
    monkeypatch.setattr("bftembed.datasets.protein_coding_genes", lambda: few)
    texts = bft.embed("human", facts="auto+tissues", encoder="none", store=tmp_path / "s.sqlite")
    assert texts.obs["X_bft_text"]["ALB"].endswith("RNA detected in 19 of 37 tissues, elevated in liver.")
    with pytest.warns(BftembedWarning, match="no text in `profiles`"):
        mine = bft.embed("human", profiles={"ALB": "In blood."})
    assert np.isnan(mine.X[1]).all()


def test_all_genes_need_the_tables_and_are_genes(monkeypatch):
    monkeypatch.setattr("bftembed.datasets.protein_coding_genes", lambda: None)
    with pytest.raises(InputError, match="run `bftembed data fetch genes`"):
        bft.embed("human")
    with pytest.raises(InputError, match="are genes, not kind='drug'"):
        bft.embed("human", kind="drug")
    with pytest.raises(InputError, match=r"write \['mouse'\] for one name.*human orthologs"):
        bft.embed("mouse")
