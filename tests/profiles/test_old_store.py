"""A store, a cache of vectors and embeddings written by commit 250848a: nothing of them is generated or encoded again.

`store_250848a/` holds a language model, an adapter and an encoder of a few thousand random weights, and what that
commit made with them: texts of four genes by the model (drawn, and greedy), by the model with its adapter, and
annotation.
"""

import json
import shutil
from pathlib import Path

import anndata
import numpy as np
import pytest

import bftembed as bft
from bftembed.encoders import encode_cached, get_encoder
from bftembed.engines import AnnotationEngine, Sampling, TransformersEngine
from bftembed.errors import InputError
from bftembed.profiles import Entity, ProfileStore, Recipe, load_template, plan_profiles, write_profiles

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


def test_texts_are_found_when_directories_were_renamed_reports_added_and_versions_changed(old, monkeypatch):
    monkeypatch.setattr("bftembed.engines.transformers.version", lambda package: "99.9")
    model = (old / "model").rename(old / "another name")
    adapter = (old / "adapter").rename(old / "tuned")
    (adapter / "bft_report.json").write_text('{"date": "2031-01-01"}')
    (adapter / "training_args.bin").write_bytes(b"arguments")
    engine = TransformersEngine(str(model), adapter=str(adapter))
    for _ in range(2):
        result = written(old, GENES, engine, DRAWN)
        assert result.counts["generated"] == 0
        assert result.texts == [texts_of(old)["2256", gene.id] for gene in GENES]


def test_texts_made_now_are_found_after_the_same_changes(old, monkeypatch):
    first = written(old, GENES, TransformersEngine(str(old / "model")), Sampling(max_new_tokens=8, temperature=1.0))
    assert first.counts["generated"] == 4
    monkeypatch.setattr("bftembed.engines.transformers.version", lambda package: "99.9")
    model = (old / "model").rename(old / "another name")
    (model / "trainer_state.json").write_text("{}")
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps({**config, "transformers_version": "99.9"}))
    again = written(old, GENES, TransformersEngine(str(model)), Sampling(max_new_tokens=8, temperature=1.0))
    assert again.counts["generated"] == 0
    assert again.texts == first.texts


@pytest.mark.parametrize("change", ["weights", "chat template", "tokenizer"])
def test_another_model_takes_no_text_of_it(old, change):
    file = {"weights": "model.safetensors", "chat template": "chat_template.jinja", "tokenizer": "tokenizer.json"}[
        change
    ]
    if change == "weights":
        import torch
        from safetensors.torch import load_file, save_file

        tensors = load_file(old / "model" / file)
        save_file(
            {name: torch.flip(each, [0]) for name, each in tensors.items()}, old / "model" / file, {"format": "pt"}
        )
    else:
        text = (old / "model" / file).read_text()
        (old / "model" / file).write_text(text + "{# other #}" if change == "chat template" else text + "\n")
    engine = TransformersEngine(str(old / "model"))
    with ProfileStore(old / "profiles.sqlite") as store:
        assert len(plan_profiles(GENES, engine, store=store, sampling=DRAWN).missing) == 4


def test_a_snapshot_of_the_hub_is_known_by_its_commit(old):
    commit = "0123456789abcdef0123456789abcdef01234567"
    snapshot = (old / "model").rename(old / commit)
    import sqlite3

    connection = sqlite3.connect(old / "profiles.sqlite")
    [info] = connection.execute("SELECT info FROM recipes WHERE recipe LIKE 'ba17%'").fetchone()
    known = json.loads(info)
    known["engine"] |= {"model": "some/model", "revision": commit}
    connection.execute("UPDATE recipes SET info = ? WHERE recipe LIKE 'ba17%'", (json.dumps(known),))
    connection.execute("DELETE FROM recipes WHERE recipe LIKE '676b%'")
    connection.commit()
    connection.close()
    engine = TransformersEngine(str(snapshot))
    with ProfileStore(old / "profiles.sqlite") as store:
        digests = store.former_recipes(Recipe.by(engine, load_template("gene"), DRAWN), engine)
    assert [digest[:4] for digest in digests] == ["ba17"]


def test_what_is_missing_names_near_recipes_and_what_differs(old, caplog):
    engine = TransformersEngine(str(old / "model"), dtype="bfloat16")
    with caplog.at_level("INFO", logger="bftembed"):
        written(old, GENES, engine, DRAWN)
    [first, second, third] = [line for line in caplog.messages if "missing names" in line]
    assert "texts of 4 of 4 missing names by recipe ba178b2d, with dtype float32 (here bfloat16). To take" in first
    assert "profiles.sqlite', recipe='ba178b2d'" in first
    assert "adapter 850bcf25bb6c (here none), dtype" in second + third
    assert "max_new_tokens 512 (here 24), temperature 0.0 (here 1.0)" in second + third


def test_other_facts_are_named_as_what_differs(old, caplog):
    with caplog.at_level("INFO", logger="bftembed"):
        written(old, [Entity("gene", "TP53", {"summary": "Other."})], AnnotationEngine())
    assert "by recipe 7e3a7ae2, with other facts, or another name, in the prompt" in caplog.text


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


def test_an_embedding_answers_queries_by_the_encoder_that_made_it(old, monkeypatch):
    monkeypatch.chdir(old)
    adata = anndata.read_h5ad("genes.h5ad")
    found = bft.get.nearest(adata, "p53 guards the genome", among="genes", query_type="text")
    assert sorted(found["name"]) == ["BRCA1", "CD3E", "HBB", "TP53"]
    with pytest.raises(InputError, match="is not the one that made"):
        bft.get.nearest(adata, "p53 guards the genome", among="genes", query_type="text", encoder="default")


@pytest.mark.parametrize("name", ["genes.h5ad", "sets.h5ad"])
def test_an_embedding_finds_its_texts(old, name):
    adata = anndata.read_h5ad(old / name)
    texts = bft.get.profiles(adata, store=old / "profiles.sqlite")["text"]
    expected = texts_of(old, "gene" if name == "genes.h5ad" else "gene_set")
    assert set(texts) <= set(expected.values())
    assert texts.notna().all()
