import pytest
from hypothesis import given
from hypothesis import strategies as st

from bftembed._unicode import writable
from bftembed.errors import TemplateError
from bftembed.profiles import Entity, load_template
from bftembed.profiles.entity import KINDS
from bftembed.profiles.template import parse_template


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_has_a_template(name):
    template = load_template(name)
    bare = template.render(Entity(name, "THING"))
    known = template.render(Entity(name, "THING", {"full_name": "a thing"}))
    assert ("THING" in bare.user) == (name not in {"cell", "cluster"})  # what was measured has no telling name
    assert "a thing" in known.user
    assert "a thing" not in bare.user
    assert "$" not in bare.user + known.user + bare.system
    assert "2000 characters" in template.system


def test_gene_template_asks_for_what_a_profile_should_hold_and_for_no_references():
    template = load_template("gene")
    for word in ("function", "pathways", "located", "express", "interaction", "diseases"):
        assert word in template.user
    assert "Do not list references" in template.system


def test_annotation_template_is_facts_alone_and_empty_without_them():
    template = load_template("annotation")
    request = template.render(Entity("gene", "TP53", {"full_name": "tumor protein p53", "summary": "It acts."}))
    assert request.user == "TP53. tumor protein p53. It acts."
    assert template.render(Entity("gene", "TP53")).user == ""


@given(value=st.text(st.characters(exclude_categories=[]), min_size=1))
def test_values_are_never_parsed_as_placeholders(value):
    template = parse_template("[user]\nAbout $id.$facts\n\n[facts]\n: $items", name="t")
    user = template.render(Entity("gene", "A$facts", {"x": value})).user
    assert user.startswith("About A$facts.")
    assert f"- x: {writable(value)}" in user


def test_items_are_lines_with_readable_names():
    template = parse_template("[user]\n$id$facts\n[facts]\n\n$items", name="t")
    user = template.render(Entity("gene", "A", {"full_name": "b", "locus": "1p"})).user
    assert user.splitlines() == ["A", "- full name: b", "- locus: 1p"]


def test_own_file_and_its_digest(tmp_path):
    path = tmp_path / "mine.txt"
    path.write_text("[user]\nWhat is $id? It costs $$5 {braces}.\n")
    template = load_template(path)
    assert template.render(Entity("gene", "TP53")).user == "What is TP53? It costs $5 {braces}."
    path.write_text("[user]\nWhat is $id?\n")
    assert load_template(path).digest != template.digest


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hello\n[user]\n$id", "before the first section"),
        ("[usr]\n$id", "unknown section"),
        ("[user]\n$id $gene", "bad placeholder.*gene"),
        ("[user]\n$id costs $5", "bad placeholder"),
        ("[user]\nthe same for all", "neither"),
        ("[system]\nonly", "neither"),
    ],
)
def test_malformed_templates_say_what_is_wrong(text, message):
    with pytest.raises(TemplateError, match=message):
        parse_template(text, name="t")


def test_a_template_that_is_no_text_is_named(tmp_path):
    (tmp_path / "t.txt").write_bytes(b"\xff\xfe\x00[user]")
    with pytest.raises(TemplateError, match="UTF-8"):
        load_template(tmp_path / "t.txt")


def test_missing_template_lists_the_shipped_ones(tmp_path):
    with pytest.raises(TemplateError, match="annotation, annotation_of_genes, cell, cell_type, cluster, drug, gene"):
        load_template(tmp_path / "nothing.txt")
