from types import SimpleNamespace

import pandas as pd
import pytest

from bftembed import data, datasets
from bftembed.engines import AnnotationEngine, Sampling
from bftembed.profiles import Entity, Recipe, load_template
from bftembed.sharing.facts import fact_sources

FACTS = {"full_name": "tumor protein p53", "summary": "It guards.", "cellular_component": "nucleus; cytosol"}


def prompts(kind="gene", **facts):
    """A gene with and one without facts."""
    template = load_template("gene")
    recipe = Recipe.by(AnnotationEngine(), template, Sampling())
    rows = [(name, template.render(Entity("gene", name, told)).user) for name, told in (("TP53", facts), ("ALB", {}))]
    return pd.DataFrame(rows, columns=["entity", "prompt"]).assign(kind=kind), kind, recipe


@pytest.fixture
def tables(monkeypatch):
    monkeypatch.setattr(datasets, "gene_facts", lambda **_: SimpleNamespace(of={"TP53": FACTS, "ALB": {}}.get))
    monkeypatch.setattr(data, "available", lambda _: False)


def test_each_source_whose_facts_stand_in_a_prompt_is_named_with_its_licence(tables):
    sentences, sources = fact_sources(*prompts(**FACTS))
    assert sentences[0] == "1 of 2 prompts held facts beside the name."
    assert len(sentences) == 4
    assert len(sources) == 4, "HGNC named the genes"
    assert all("Licence: " in source for source in sources)


def test_a_fact_of_another_version_is_not_ascribed(tables):
    sentences, sources = fact_sources(*prompts(full_name="another name", summary="It guards."))
    assert [source.split(" (")[0] for source in sources] == ["HGNC gene symbols", "RefSeq gene summaries"]
    sentences, sources = fact_sources(*prompts(summary="Other words."))
    assert sources == []
    assert "cannot be told" in sentences[1]


def test_bare_names_have_no_sources(tables):
    assert fact_sources(*prompts()) == (["No facts stood in the prompts: the model was asked by the bare name."], [])
