"""A store, a cache of vectors and embeddings written by commit 250848a: nothing of them is generated or encoded again.

`store_250848a/` holds a language model, an adapter and an encoder of a few thousand random weights, and what that
commit made with them: texts of four genes by the model (drawn, and greedy), by the model with its adapter, and
annotation.
"""

import shutil
from pathlib import Path

import anndata
import numpy as np
import pytest

import bftembed as bft
from bftembed.encoders import encode_cached, get_encoder
from bftembed.engines import AnnotationEngine, Sampling, TransformersEngine
from bftembed.profiles import Entity, ProfileStore, write_profiles

OLD = Path(__file__).parent / "store_250848a"
GENES = [Entity("gene", name) for name in ("TP53", "BRCA1", "CD3E", "HBB")]
DRAWN = Sampling(max_new_tokens=24, temperature=1.0)


@pytest.fixture
def old(tmp_path):
    """A copy of the old files."""
    return Path(shutil.copytree(OLD, tmp_path / "old"))


def texts_of(old, kind="gene"):
    """Texts by recipe and entity, read without the package."""
    import sqlite3

    connection = sqlite3.connect(old / "profiles.sqlite")
    rows = connection.execute(
        "SELECT p.recipe, e.entity, p.text FROM entities e JOIN profiles p USING (key) WHERE e.kind = ?", (kind,)
    ).fetchall()
    connection.close()
    return {(recipe[:4], entity): text for recipe, entity, text in rows}


def written(old, entities, engine, sampling=None):
    with ProfileStore(old / "profiles.sqlite") as store:
        return write_profiles(entities, engine, store=store, sampling=sampling)


@pytest.mark.parametrize(
    ("recipe", "adapter", "sampling"),
    [("ba17", None, DRAWN), ("676b", None, Sampling()), ("2256", "adapter", DRAWN)],
)
def test_texts_of_a_model_are_found(old, recipe, adapter, sampling):
    engine = TransformersEngine(str(old / "model"), adapter=adapter and str(old / adapter))
    result = written(old, GENES, engine, sampling)
    assert result.counts["generated"] == 0
    assert result.texts == [texts_of(old)[recipe, gene.id] for gene in GENES]


def test_annotation_is_found(old):
    entity = Entity("gene", "TP53", {"full_name": "tumor protein p53", "summary": "It acts."})
    result = written(old, [entity], AnnotationEngine())
    assert result.counts["generated"] == 0
    assert result.texts == ["TP53. tumor protein p53. It acts."]


def test_vectors_are_found(old, monkeypatch):
    adata = anndata.read_h5ad(old / "genes.h5ad")
    monkeypatch.chdir(old)
    encoder = get_encoder("sentence-transformers:encoder")
    monkeypatch.setattr(encoder, "_encode", None)  # encoding would fail
    texts = bft.get.profiles(adata)["text"].tolist()
    vectors, _ = encode_cached(texts, encoder, cache=old / "vectors.sqlite")
    np.testing.assert_array_equal(vectors, adata.varm["X_bft"])


@pytest.mark.parametrize("name", ["genes.h5ad", "sets.h5ad"])
def test_an_embedding_finds_its_texts(old, name):
    adata = anndata.read_h5ad(old / name)
    texts = bft.get.profiles(adata, store=old / "profiles.sqlite")["text"]
    expected = texts_of(old, "gene" if name == "genes.h5ad" else "gene_set")
    assert set(texts) <= set(expected.values())
    assert texts.notna().all()
