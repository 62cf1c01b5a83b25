import numpy as np
import pytest

import bftembed as bft
from bftembed.errors import InputError

TEXTS = {"TP53": "Guards the genome.", "CD3E": "Part of the T cell receptor.", "ALB": "Carries molecules in blood."}


def test_rows_are_the_names_in_their_order():
    adata = bft.embed(["CD3E", "TP53"], profiles=TEXTS, facts="none")
    assert adata.obs_names.tolist() == ["CD3E", "TP53"]
    assert adata.shape == (2, 384)
    np.testing.assert_array_equal(adata.X, adata.obsm["X_bft"])
    assert adata.obs["X_bft_text"].tolist() == [TEXTS["CD3E"], TEXTS["TP53"]]
    assert bft.get.provenance(adata)["entities"]["kind"] == "gene"


def test_aliases_become_symbols_and_facts_are_used(mirror, tmp_path):
    adata = bft.embed(["p53", "TP53", "NOT-A-GENE"], engine="annotation", store=tmp_path / "s.sqlite")
    assert adata.obs["bft_gene"].tolist()[1] == "TP53"
    assert np.isnan(adata.X[2]).all()
    texts = bft.get.profiles(adata)
    assert "tumor protein p53" in texts.loc["TP53", "text"]
    assert texts.loc["NOT-A-GENE", "status"] == "empty"


def test_drugs_with_what_the_repurposing_table_knows(mirror, tmp_path):
    adata = bft.embed(["Vorinostat", "no such drug"], kind="drug", engine="annotation", store=tmp_path / "s.sqlite")
    assert "HDAC inhibitor" in adata.obs["X_bft_text"].iloc[0]
    assert np.isnan(adata.X[1]).all()


def test_gene_sets_carry_their_genes(tmp_path):
    adata = bft.embed(
        {"T cell receptor": ["CD3E", "CD3D"]}, kind="gene_set", engine="annotation", store=tmp_path / "s.sqlite"
    )
    assert adata.obs["X_bft_text"].iloc[0] == "T cell receptor. CD3E, CD3D."


def test_perturbations_by_name(tmp_path):
    adata = bft.embed(["TP53", "control"], kind="perturbation", facts="none", profiles={"TP53": "Cells grow."})
    assert adata.obs_names.tolist() == ["TP53"]


@pytest.mark.parametrize(
    ("names", "kind", "message"),
    [
        ("TP53", "gene", r"write \['TP53'\]"),
        (["A", "A"], "gene", "repeated: A"),
        ([], "gene", "nothing to embed"),
        (["A"], "cell", "tl.embed_cells"),
        (["A"], "gene_set", "mapping"),
        ([" "], "drug", "empty name"),
        (["A", None], "gene", "strings, got None"),
        (["A", 1], "gene", "strings, got 1"),
    ],
)
def test_bad_names_are_refused(names, kind, message):
    with pytest.raises(InputError, match=message):
        bft.embed(names, kind=kind, facts="none", profiles=TEXTS)
