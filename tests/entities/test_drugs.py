import pytest

from bftembed.entities import drug_entities
from bftembed.errors import BftembedWarning


def test_drugs_are_found_in_any_case(mirror):
    with pytest.warns(BftembedWarning, match=r"1 of 2 names are no drugs .* describes them: no such drug"):
        entities, used = drug_entities(["Vorinostat", "no such drug"], facts="auto")
    assert entities[0].id == "Vorinostat"
    assert "HDAC" in entities[0].facts["mechanism of action"]
    assert not entities[1].facts
    assert used.startswith("1 of 2 drugs from Broad Drug Repurposing Hub")


def test_bare_names_on_request():
    entities, used = drug_entities(["Vorinostat"], facts="none")
    assert (dict(entities[0].facts), used) == ({}, "none")


def test_the_nearest_drug_is_named(mirror):
    with pytest.warns(BftembedWarning, match=r"asprin \(Did you mean `aspirin`\?\)"):
        drug_entities(["asprin"], facts="auto")
