import pytest

import bftembed as bft
from bftembed.errors import InputError

TEXTS = {"TP53": "Guards the genome.", "CD3E": "Part of the T cell receptor."}


def test_provenance_of_an_unknown_key_lists_the_known_ones():
    adata = bft.embed(list(TEXTS), facts="none", profiles=TEXTS, key_added="X_mine")
    assert bft.get.provenance(adata, "X_mine")["entities"]["n_embedded"] == 2
    with pytest.raises(InputError, match="embeddings there: X_mine"):
        bft.get.provenance(adata)


def test_given_texts_are_found_where_they_were_kept():
    adata = bft.embed([*TEXTS, "NONE"], facts="none", profiles=TEXTS)
    assert bft.get.profiles(adata)["text"].dropna().to_dict() == TEXTS
    del adata.obs["bft_profile"]
    with pytest.raises(InputError, match="add_profiles=True"):
        bft.get.profiles(adata)


def test_texts_of_perturbations_are_found_by_their_keys(tmp_path):
    options = {"facts": "none", "engine": "annotation", "template": "perturbation", "store": tmp_path / "s.sqlite"}
    adata = bft.tl.embed_perturbations(["KLF1", "KLF1+MAP2K6"], how="activation", **options)
    texts = bft.get.profiles(adata)["text"]
    assert texts.index.tolist() == ["KLF1", "KLF1+MAP2K6"]
    assert "of KLF1 and MAP2K6 together" in texts["KLF1+MAP2K6"]


def test_an_embedding_that_was_not_made_from_texts_says_so():
    adata = bft.embed(list(TEXTS), facts="none", profiles=TEXTS)
    adata.uns["bft"] = {"X_bft": {"cells": {"method": "weighted"}}}
    with pytest.raises(InputError, match="not made from texts"):
        bft.get.profiles(adata)
