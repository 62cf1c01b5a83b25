"""Texts by name: which text is a gene's, and data that are not available."""

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
