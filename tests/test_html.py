"""Results in notebooks."""

import ast
import importlib
import inspect
import re
from dataclasses import dataclass
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

import bftembed as bft
from bftembed._html import Shown, as_html
from bftembed.errors import MissingExtraError

WRONG = '<script>alert("1")</script> & </td>'
#: What does something, and is not looked at; what a task is made of.
ACTS = {"Encoder", "Engine", "LanguageProblem", "Problem", "Source"}
#: Large tables of facts.
TABLES = {"GeneFacts", "GeneTable"}
#: Values that code goes on with.
VALUES = {"ClosedQuestion", "CleanedText", "GeneSet", "ObjectiveKind", "PromptTemplate", "Published", "TokenLogprobs"}


class Page(HTMLParser):
    """Which elements there are, what is said, and whether each is closed in turn."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.said = [], set(), []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        self.tags.add(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.said.append(data)


def told(text):
    """Text of a page, without anything that is markup."""
    page = Page(text)
    assert page.tags <= {"div", "b", "table", "thead", "tbody", "tr", "th", "td", "span", "p"}
    return "".join(page.said)


@dataclass
class Inner:
    score: float
    missing: None = None


@dataclass
class Outer(Shown):
    name: str
    inner: Inner
    several: tuple
    table: pd.DataFrame
    known: dict


def test_all_that_is_known_is_told_and_nothing_is_markup():
    table = pd.DataFrame({"gene <b>": [WRONG, "x"], "value": [0.123456, np.nan]})
    made = Outer(WRONG, Inner(0.5), ({"a": 1}, {"a": WRONG}), table, {WRONG: np.arange(20), "path": "~"})
    text = made._repr_html_()
    said = told(text)
    assert said.count(WRONG) == 4
    for part in ("Outer", "score", "0.5", "gene <b>", "0.1235", "2 rows", "10, 11 … (20)"):
        assert part in said


def test_long_texts_and_tables_are_cut_and_it_is_said():
    said = told(as_html("long", {"text": "x" * 3000, "table": pd.DataFrame({"a": range(1000)}), "none": None}))
    assert "(3,000 characters)" in said
    assert said.count("x") < 2100
    assert "1000 rows" in said
    assert len(said) < 5000


def test_colours_are_those_of_the_page_around_it():
    text = as_html("t", {"a": {"b": 1}})
    assert not re.search(r"(?<!-)color\s*:|#[0-9a-f]{3,6}\b|<style|class=", text)


def named(function):
    """Classes of this package that stand in what a function says it returns."""
    module = inspect.getmodule(function)
    imported = {
        alias.name: node.module
        for node in ast.walk(ast.parse(inspect.getsource(module)))
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    for word in re.findall(r"\w+", str(function.__annotations__.get("return", ""))):
        home = importlib.import_module(imported[word]) if imported.get(word, "").startswith("bftembed") else module
        each = getattr(home, word, None)
        if inspect.isclass(each) and each.__module__.startswith("bftembed"):
            yield each


def returned():
    """Classes that public functions give back, by name."""
    found = {}
    for package in bft.__all__:
        module = getattr(bft, package)
        for name in getattr(module, "__all__", ()):
            try:
                made = getattr(module, name)
            except MissingExtraError:
                continue
            if inspect.isfunction(made):
                found |= {each.__name__: each for each in named(made)}
    return found


def test_what_public_functions_give_back_is_shown():
    classes = returned()
    assert {"Diagnosis", "Overlap", "ProfileChecks", "Provenance", "Reference", "Results", "TuneResult"} <= set(classes)
    unseen = {name for name, each in classes.items() if not hasattr(each, "_repr_html_")}
    assert unseen <= ACTS | TABLES | VALUES, unseen - ACTS - TABLES - VALUES


@pytest.fixture
def genes():
    return bft.embed(["TP53"], facts="none", profiles={"TP53": f"Guards the genome. {WRONG}"})


def test_provenance_and_settings(genes):
    said = told(bft.get.provenance(genes)._repr_html_())
    for part in ("Provenance", "entities", "n_embedded", "encoder"):
        assert part in said
    assert "verbosity" in told(bft.settings._repr_html_())


def test_a_result_has_its_scores(genes):
    task = bft.bench.find_tasks(names=["gene_property.dosage"])[0]
    assert "main_score" in told(task._repr_html_())
    score = {"method": "logistic", "metric": "auroc", "mean": 0.75, "values": [[0.7, 0.8]]}
    score |= {"interval_items": (0.6, 0.9), "interval_folds": None}
    given = {"key": "k", "task": task.info, "embedding": WRONG, "spec": "", "description": {}, "subset": "own"}
    good = bft.bench.Result(**given, status="ok", n_items=9, scores=[score], notes=["Few items."])
    failed = bft.bench.Result(**given, status="failed", reason="No vectors.")
    results = bft.bench.Results([good, failed])
    table = results.table()
    assert table["score"].tolist()[0] == 0.75
    assert (table["low"][0], table["high"][0], table["reason"][1]) == (0.6, 0.9, "No vectors.")
    assert pd.isna(table["score"][1])
    assert WRONG in told(good._repr_html_())
    for part in (WRONG, "0.75", "No vectors."):
        assert part in told(results._repr_html_())
    assert bft.bench.Results([]).table().empty
