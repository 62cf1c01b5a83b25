import dataclasses

import anndata
import numpy as np
import pytest

import bftembed as bft
from bftembed import data
from bftembed.engines import AnnotationEngine
from bftembed.errors import InputError
from bftembed.profiles import Entity, ProfileStore, write_profiles

TEXTS = {"TP53": "Guards the genome.", "CD3E": "Part of the T cell receptor.", "ALB": "Blood plasma."}
ENCODER = {
    "encoder": "sentence-transformers",
    "model": "all-MiniLM-L6-v2",
    "version": "st 5.1",
    "dim": 384,
    "n_split": 2,
}
SIDE = {
    "kind": "gene",
    "n_entities": 765,
    "n_with_facts": 754,
    "n_embedded": 760,
    "encoder": ENCODER,
    "engine": {
        "engine": "transformers",
        "model": "big/model",
        "revision": "abc",
        "dtype": "bfloat16",
        "directory": "/x/y",
    },
    "template": "gene",
    "template_digest": "0",
    "sampling": {"max_new_tokens": np.int64(512), "temperature": np.float64(0.7), "top_p": 1.0, "seed": 3},
    "bftembed_version": "0.1.0",
}


def embedded(**side):
    adata = anndata.AnnData(np.zeros((1, 1), dtype=np.float32))
    adata.uns["bft"] = {"X_bft": {"genes": {**SIDE, **side}}}
    return adata


def test_what_made_texts_vectors_and_cells_is_said(tmp_path):
    used = f"sha256:0 (754 of 765 genes from {data.get_manifest('hgnc_genes')}, {data.get_manifest('go_annotations')})"
    adata = embedded(facts=used)
    cells = {"method": "contrast", "weights": "contrast", "n_cells": 700, "n_genes_used": 500, "values": "lognorm"}
    cells |= {"matrix": "X", "whiten": 1.0, "batch_key": "donor", "reference": "these cells", "n_empty": 1}
    adata.uns["bft"]["X_bft"]["cells"] = {**cells, "bftembed_version": "0.1.0"}
    adata.uns["source"] = "PBMC. Licence: GPL. Somebody 2021."
    adata.write_h5ad(tmp_path / "a.h5ad")
    text = bft.get.methods(anndata.read_h5ad(tmp_path / "a.h5ad"))
    for said in (
        "bftembed 0.1.0.",
        "760 of 765 genes were written by a language model (transformers big/model, bfloat16; template gene; at most",
        "temperature 0.7, seed 3; revision abc)",
        "prompts of 754 of 765.",
        "all-MiniLM-L6-v2 (st 5.1) into 384 dimensions, 2 of them split",
        "700 cells were made of those of 500 genes weighted by the departure of log-normalised",
        "mean of its batch (donor) over these cells (X, lognorm); gene vectors were whitened (power 1)",
        "1 cells expressed none",
        "- Data: PBMC. Licence: GPL. Somebody 2021.",
    ):
        assert said in text
    assert text.count("- Facts: ") == 2
    assert text.count("Licence: ") == 3
    assert "/x/y" not in text


def test_annotation_and_bare_names_are_called_so():
    text = bft.get.methods(embedded(engine={"engine": "annotation"}, facts="none", n_with_facts=0))
    assert "without a language model" in text
    assert "The prompts held no facts" in text
    assert "Sources:" not in text


def test_given_texts_and_no_encoder():
    genes = bft.embed(list(TEXTS), facts="none", profiles=TEXTS, encoder="none")
    text = bft.get.methods(genes)
    assert "Texts of 3 of 3 genes were given." in text
    assert "encoded" not in text


def test_an_unknown_key_and_a_side_that_says_nothing():
    with pytest.raises(InputError, match="embeddings there: X_bft"):
        bft.get.methods(embedded(), "X_mine")
    adata = anndata.AnnData(np.zeros((1, 1), dtype=np.float32))
    for known, told in (
        ({}, "embeddings there: none"),
        ({"X_bft": {"labels": {"n": 3}, "odd": 3}}, "does not say how"),
    ):
        adata.uns["bft"] = known
        with pytest.raises(InputError, match=told):
            bft.get.methods(adata)
    adata.uns["bft"] = {"X_bft": {"cells": {"method": "profile"}, "odd": 3}}
    assert bft.get.methods(adata).startswith("Embeddings were made with bftembed (version not recorded).")


def test_what_former_versions_did_not_record_is_not_made_up():
    adata = embedded(facts="sha256:1 (765 of 765 genes from HGNC gene symbols (2019), Some former table)")
    side = adata.uns["bft"]["X_bft"]["genes"]
    assert "as recorded, HGNC gene symbols (2019), Some former table" in bft.get.methods(adata)
    for name in ("n_with_facts", "facts", "template_digest", "bftembed_version"):
        del side[name]
    text = bft.get.methods(adata)
    assert "Whether facts stood in the prompts is not recorded." in text
    assert "version not recorded" in text
    for name in ("sampling", "kind", "n_embedded", "template"):
        del side[name]
    side["encoder"] = {"encoder": "mine"}
    text = bft.get.methods(adata)
    assert "765 of 765 names were written by a language model (transformers big/model; revision abc)." in text
    assert "They were encoded by mine." in text


def test_no_place_of_this_machine_is_said():
    engine = {"engine": "openai", "model": "/home/me/models/tuned", "server": "http://10.0.0.5:8000/v1"}
    text = bft.get.methods(embedded(engine=engine, encoder={**ENCODER, "model": "/home/me/encoder"}))
    assert "openai tuned, a server" in text
    assert "encoded by encoder" in text
    assert "/home" not in text


def test_given_texts_have_no_facts_of_ours():
    adata = embedded(facts=f"sha256:0 (3 of 3 genes from {data.get_manifest('hgnc_genes')})")
    assert "- Facts: HGNC" in bft.get.methods(adata)
    del adata.uns["bft"]["X_bft"]["genes"]["engine"]  # looked up, and given texts were taken
    assert "Sources" not in bft.get.methods(adata)


def test_texts_of_a_bundle_are_said_to_be_of_it(tmp_path):
    with ProfileStore(tmp_path / "s.sqlite") as store:
        write_profiles([Entity("gene", "TP53", {"summary": "It acts."})], AnnotationEngine(), store=store)
        bundle = bft.sharing.bundle_profiles(store, tmp_path / "b", licence="cc-by-4.0", check=False)
    genes = bft.embed(["TP53"], facts="none", profiles=bundle, encoder="none")
    genes.write_h5ad(tmp_path / "a.h5ad")
    text = bft.get.methods(anndata.read_h5ad(tmp_path / "a.h5ad"))
    assert f"those of the bundle b (sha256 {bundle.sha256}; licence: cc-by-4.0), made by: annotation; template" in text
    sources = dataclasses.replace(bundle, index=bundle.index.model_copy(update={"sources": ["A. Licence: B. C."]}))
    genes = bft.embed(["TP53"], facts="none", profiles=sources, encoder="none")
    assert bft.get.methods(genes).endswith("- Facts: A. Licence: B. C.")
