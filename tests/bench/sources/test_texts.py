"""Texts by name: which text is a gene's, and data that are not available."""

import numpy as np
import pytest

from bftembed.bench import get_source
from bftembed.engines import AnnotationEngine
from bftembed.errors import InputError
from bftembed.profiles import Entity, ProfileStore, write_profiles


def test_facts_of_drugs_that_are_not_at_hand_say_what_to_fetch(monkeypatch):
    monkeypatch.setattr("bftembed.datasets.drug_facts", lambda: None)
    with pytest.raises(InputError, match="run `bftembed data fetch broad_repurposing`"):
        get_source("text:refseq").drugs(["aspirin"])


def profiles(path, *entities):
    with ProfileStore(path) as store:
        write_profiles(
            [Entity(kind, name, {"summary": text}) for kind, name, text in entities], AnnotationEngine(), store=store
        )
    return get_source(f"mine=profiles:{path}")


def test_the_approved_symbol_wins_over_aliases_and_the_first_text_over_later_ones(tmp_path, mirror, caplog):
    source = profiles(
        tmp_path / "p.sqlite",
        ("gene", "TP53", "Approved."),
        ("gene", "p53", "Alias."),
        ("gene", "ENSG00000180096", "First: the store sorts them."),
        ("gene", "SEPT1", "Second."),
    )
    with caplog.at_level("INFO", logger="bftembed"):
        texts = source._texts("gene")
        assert source._texts("gene") == texts
    assert texts == {"TP53": "TP53. Approved.", "SEPTIN1": "ENSG00000180096. First: the store sorts them."}
    assert caplog.text.count("`mine`: 2 rows are left out") == 1


def test_a_store_of_drugs_alone(tmp_path):
    source = profiles(tmp_path / "p.sqlite", ("drug", "Aspirin", "A drug."))
    assert source._texts("gene") == {}
    assert list(source._texts("drug")) == ["aspirin"]


def test_free_texts_lie_beside_the_genes_that_they_are_about(mirror):
    source = get_source("tfidf")
    genes = source.genes(["CD3E", "ALB"])
    texts = source.texts(["T-cell receptor complex", "plasma albumin of serum"])
    cosine = (texts / np.linalg.norm(texts, axis=1, keepdims=True)) @ (genes / np.linalg.norm(genes, axis=1)[:, None]).T
    assert cosine.argmax(axis=1).tolist() == [0, 1]


def test_free_texts_are_encoded_as_queries(tmp_path):
    source = profiles(tmp_path / "p.sqlite", ("gene", "TP53", "A tumour suppressor."))
    vectors = source.texts(["A tumour suppressor."])
    np.testing.assert_allclose(vectors, source.encoder.encode(["A tumour suppressor."], query=True)[0], atol=1e-6)


def test_annotation_has_all_facts(mirror):
    texts = get_source("text:annotation")._texts("gene")
    assert texts["CD3E"].startswith("CD3E. CD3e molecule")
    assert "T cell receptor complex" in texts["CD3E"]
    assert len(texts) > len(get_source("text:refseq")._texts("gene"))
    assert get_source("text:annotation").describe() != get_source("text:refseq").describe()


def test_a_fast_run_encodes_no_more_genes_than_the_cells_have(tmp_path):
    source = profiles(tmp_path / "p.sqlite", ("gene", "TP53", "A tumour suppressor."), ("gene", "KRAS", "An oncogene."))
    assert len(source.all_genes()) == 2
    within = get_source("mean:random")
    within.source, within.fast = source, True
    assert within.all_genes() is None
