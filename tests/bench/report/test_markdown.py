import re
from pathlib import Path

import pytest

from bftembed.bench import Published
from bftembed.bench.report.markdown import escape, markdown_text
from bftembed.bench.report.tables import collect


def render(results, **options):
    return markdown_text(collect(results, **options))


def tables_of(text):
    """Tables as lists of rows of cells, by the heading that they stand under."""
    tables, heading = {}, ""
    for line in text.splitlines():
        if line.startswith("#"):
            heading = line.lstrip("# ")
        elif line.startswith("|"):
            cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            tables.setdefault(heading, []).append(cells)
    return tables


def test_tables_parse_back(mixed):
    tables = tables_of(render(mixed))
    for rows in tables.values():
        assert len({len(row) for row in rows}) == 1
    more = ["best trivial baseline", "smallest visible difference", "n"]
    assert tables["Scores"][0] == ["task", "score", "a", "b", "c", *more]
    by_task = {row[0]: row[2:] for row in tables["Scores"]}
    assert by_task["toy.parity"] == [
        "0.800 [0.770, 0.830]",
        "0.620\u2020 [0.590, 0.650]",
        "0.900\u2021 [0.870, 0.930]",
        "0.600 spelling",
        by_task["toy.parity"][4],  # of random replicates
        "60 to 95",
    ]
    assert by_task["toy.error"][2] == "failed"
    assert by_task["atlas.cells"][1] == "\u2013"
    assert "toy.old (superseded by toy.parity)" in by_task
    same = {row[0]: row[2:] for row in tables["On the same items"]}
    assert same["toy.parity"][0] == "0.700 [0.670, 0.730]"
    assert ["toy.error", "c", "own", "disk full"] in tables["Failed"]
    rows = {(row[0], row[1], row[2]): row for row in tables["Comparisons"]}
    assert rows["a", "c", "toy.parity"][3] == "shared"


def test_names_are_no_markup(result, without):
    text = render([result(embedding="<script>|*x*"), without("toy.two", "<script>|*x*", reason="a|b\nc")])
    assert "<script>" not in text.replace("\\<script", "")
    assert tables_of(text)["Failed"][2] == ["toy.two", r"\<script\>\|\*x\*", "own", r"a\|b c"]


@pytest.mark.parametrize(
    ("plain", "escaped"), [("gene_property.tf", "gene_property.tf"), ("_x_", r"\_x\_"), ("[a](b)", r"\[a\](b)")]
)
def test_escape(plain, escaped):
    assert escape(plain) == escaped


def test_published_figures_are_no_measurements(result, info):
    figure = Published(model="GenePT", metric="auroc", value=0.9, spread=0.02, source="paper")
    tables = tables_of(render([result(info=info(published=(figure,)))]))
    heading = "Published elsewhere, not measured here"
    assert tables[heading][2] == ["toy.parity", "GenePT", "auroc", "0.900 \u00b1 0.020", "paper"]


def test_warnings_are_said(result):
    text = render([result(fast=True), result("toy.two", versions={"numpy": "2.1"})], stale=["x is old."])
    assert "**Fast subset: not for publication** (1 of 2 results)." in text
    assert "- numpy differs between results" in text
    assert "- x is old." in text


def test_nothing_and_failures_alone(without):
    assert "There are no results." in render([])
    assert "1 failed" in render([without()])


def test_order_does_not_matter(mixed):
    assert render(mixed) == render(mixed[::-1])


def test_equal_items_are_said_and_ranked(result):
    text = render([result(embedding="a", mean=0.8), result(embedding="b", mean=0.7)])
    assert "All embeddings were scored on the same items in every task" in text
    assert tables_of(text)["Mean rank"][2:] == [["a", "1.00"], ["b", "2.00"]]
    assert "On the same items" not in render([result()])


def test_language_models_have_tables_by_mode_with_presets_and_figures_of_others(school):
    """As it stands in `language.md` beside this file, which people read."""
    assert render(school) == (Path(__file__).parent / "language.md").read_text(encoding="utf-8")


def test_embeddings_and_language_models_stand_apart(school, mixed):
    text = render([*school, *mixed])
    assert "3 embeddings, 3 language models, 7 tasks, 22 results" in text
    tables = tables_of(text)
    assert tables["Scores"] == tables_of(render(mixed))["Scores"]
    heading = "Options ranked by their log-probabilities"
    assert tables[heading] == tables_of(render(school))[heading]
    assert "## Scores" not in render(school)
    assert "Language models" not in render(mixed)
