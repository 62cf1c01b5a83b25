import anndata
import numpy as np
import pytest

import bftembed as bft
from bftembed.errors import InputError, StoreError

pytestmark = pytest.mark.filterwarnings("ignore:.*no text in .profiles")  # a name without a vector

TEXTS = {"TP53": "Guards the genome.", "CD3E": "Part of the T cell receptor."}
OTHER = {"TP53": "A second opinion.", "CD3E": "Another one."}


@pytest.fixture
def genes():
    adata = anndata.AnnData(np.ones((1, 3), dtype=np.float32))
    adata.var_names = ["TP53", "CD3E", "NONE"]
    adata.var["bft_gene"] = adata.var_names
    return adata


class Echo(bft.engines.Engine):
    """Gives the prompt back."""

    name = "echo"

    def _generate(self, requests, sampling):
        yield [bft.engines.Completion(request.id, request.user, "stop") for request in requests]

    def describe(self):
        return {"engine": "echo"}


def echoed(genes, tmp_path, **options):
    """With texts in a store of their own."""
    bft.tl.embed_genes(genes, engine=Echo(), facts="none", store=tmp_path / "s.sqlite", **options)


def test_each_of_two_embeddings_has_its_own_texts(genes, tmp_path):
    bft.tl.embed_genes(genes, profiles=TEXTS, facts="none", key_added="X_a")
    bft.tl.embed_genes(genes, profiles=OTHER, facts="none", key_added="X_b")
    genes.write_h5ad(tmp_path / "a.h5ad")
    genes.write_zarr(tmp_path / "a.zarr")
    for read in (genes, anndata.read_h5ad(tmp_path / "a.h5ad"), anndata.read_zarr(tmp_path / "a.zarr")):
        assert bft.get.profiles(read, "X_a")["text"].dropna().to_dict() == TEXTS
        assert bft.get.profiles(read, use_rep="X_b")["text"].dropna().to_dict() == OTHER


def test_given_texts_that_were_not_kept(genes):
    bft.tl.embed_genes(genes, profiles=TEXTS, facts="none", key_added="X_a")
    bft.tl.embed_genes(genes, profiles=OTHER, facts="none", key_added="X_a", add_profiles=False)
    with pytest.raises(InputError, match="add_profiles=True"):
        bft.get.profiles(genes, "X_a")


def test_a_shared_file_keeps_its_texts_without_the_store(genes, tmp_path):
    echoed(genes, tmp_path)
    here = bft.get.profiles(genes)
    assert here["status"].tolist() == ["ok"] * 3
    (tmp_path / "s.sqlite").unlink()
    elsewhere = bft.get.profiles(genes)
    assert elsewhere["text"].tolist() == here["text"].tolist()
    assert elsewhere.columns.tolist() == here.columns.tolist()
    assert elsewhere["status"].isna().all()


def test_texts_that_are_in_a_store_elsewhere(genes, tmp_path):
    echoed(genes, tmp_path, add_profiles=False)
    texts = bft.get.profiles(genes)["text"]
    assert "human gene TP53" in texts["TP53"]
    moved = (tmp_path / "s.sqlite").rename(tmp_path / "moved.sqlite")
    for nothing_there in (None, tmp_path / "empty.sqlite"):
        if nothing_there:
            bft.profiles.ProfileStore(nothing_there).close()
        with pytest.raises(InputError, match=r"neither in this AnnData nor .*s\.sqlite.*`store=`.*profiles export"):
            bft.get.profiles(genes, store=nothing_there)
    assert bft.get.profiles(genes, store=moved)["text"].tolist() == texts.tolist()
    with pytest.raises(StoreError):
        bft.get.profiles(genes, store=tmp_path / "no such" / "s.sqlite")


def test_the_store_is_found_after_a_change_of_directory(genes, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    bft.tl.embed_genes(genes, engine=Echo(), facts="none", store="s.sqlite", add_profiles=False)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert "human gene TP53" in bft.get.profiles(genes)["text"]["TP53"]


def test_a_gene_without_a_text_has_none(genes, tmp_path):
    """An empty answer is stored, and is no profile."""

    class Mute(Echo):
        def _generate(self, requests, sampling):
            texts = [request.user if "TP53" in request.user else "" for request in requests]
            yield [bft.engines.Completion(r.id, text, "stop") for r, text in zip(requests, texts, strict=True)]

    for kept in (True, False):
        options = {"facts": "none", "store": tmp_path / "s.sqlite", "add_profiles": kept}
        bft.tl.embed_genes(genes, engine=Mute(), **options)
        found = bft.get.profiles(genes)
        assert found["text"].notna().tolist() == [True, False, False]
        assert found["status"].tolist() == ["ok", "empty", "empty"]


def test_texts_of_perturbations_are_found_by_their_keys(tmp_path):
    options = {"facts": "none", "engine": Echo(), "store": tmp_path / "s.sqlite"}
    adata = bft.embed(["KLF1", "KLF1+MAP2K6"], kind="perturbation", how="activation", **options)
    texts = bft.get.profiles(adata)["text"]
    assert texts.index.tolist() == ["KLF1", "KLF1+MAP2K6"]
    assert "of KLF1 and MAP2K6 together" in texts["KLF1+MAP2K6"]


def test_an_embedding_that_was_not_made_from_texts_says_so():
    adata = bft.embed(list(TEXTS), facts="none", profiles=TEXTS)
    adata.uns["bft"] = {"X_bft": {"cells": {"method": "weighted"}}}
    with pytest.raises(InputError, match="not made from texts"):
        bft.get.profiles(adata)


def as_version_0_1(adata, *keys):
    """The layout of version 0.1: keys of the store in `X_bft_profile`, one column of texts for all embeddings."""
    for key in keys:
        adata.var[f"{key}_profile"] = adata.var.pop(f"{key}_text_key")
        adata.var["bft_profile"] = adata.var.pop(f"{key}_text")
    return adata


def test_files_of_version_0_1_are_read(genes, tmp_path):
    bft.tl.embed_genes(genes, profiles=TEXTS, facts="none")
    as_version_0_1(genes, "X_bft").write_h5ad(tmp_path / "old.h5ad")
    assert bft.get.profiles(anndata.read_h5ad(tmp_path / "old.h5ad"))["text"].dropna().to_dict() == TEXTS


def test_files_of_version_0_1_with_two_embeddings(genes, tmp_path):
    echoed(genes, tmp_path, key_added="X_a")
    expected = bft.get.profiles(genes, "X_a")["text"].tolist()
    bft.tl.embed_genes(genes, profiles=OTHER, facts="none", key_added="X_b")
    as_version_0_1(genes, "X_a", "X_b")
    assert bft.get.profiles(genes, "X_a")["text"].tolist() == expected
    with pytest.raises(InputError, match="does not say of which"):
        bft.get.profiles(genes, "X_b")
