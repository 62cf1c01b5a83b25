import re

import pytest

from bftembed.bench import Published
from bftembed.bench.report.html import html_text
from bftembed.bench.report.tables import collect

NASTY = "<script>alert(1)</script>\"'&"


def render(results, **options):
    return html_text(collect(results, **options))


def test_it_is_well_formed_and_links_lead_somewhere(mixed, page):
    parsed = page(render(mixed, stale=["x is old."]))
    assert parsed.problems == []
    ids = [attrs["id"] for _, attrs in parsed.elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    for attrs in parsed.all("a"):
        assert attrs["href"].removeprefix("#") in ids
    assert parsed.all("meta", name="viewport")
    assert parsed.all("meta", charset="utf-8")


def test_nothing_is_loaded_from_elsewhere(mixed, result, info, page):
    figure = Published(model="m", metric="auroc", value=0.9, source="https://example.org/paper")
    text = render([*mixed, result(info=info("toy.published", published=(figure,), citation="https://doi.org/1"))])
    parsed = page(text)
    for tag, attrs in parsed.elements:
        assert tag not in {"link", "img", "iframe", "object", "embed", "base", "source"}
        assert not {"src", "srcset", "data", "action", "background"} & set(attrs)
        assert not str(attrs.get("href", "#")).startswith(("http", "//"))
    for forbidden in ("@import", "url(", "fetch(", "XMLHttpRequest", "import("):
        assert forbidden not in text


def test_names_are_escaped(result, without, info, page):
    figure = Published(model=NASTY, metric=NASTY, value=0.9, source=NASTY)
    task = info(
        title=NASTY,
        citation=NASTY,
        licence=NASTY,
        main_score=NASTY,
        known_traps=(NASTY,),
        published=(figure,),
        chance=None,
    )
    nasty = {"missing": [NASTY], "removed": {NASTY: 1}, "counts": {NASTY: 1}, "notes": [NASTY]}
    nasty |= {"data": {NASTY: NASTY}, "versions": {NASTY: NASTY}, "description": {NASTY: NASTY}, "spec": NASTY}
    results = [result(info=task, embedding=name, **nasty) for name in (NASTY, "b")]
    results += [
        without("toy.two", NASTY, reason=NASTY),
        without("toy.three", "b", status="not applicable", reason=NASTY),
    ]
    plain = page(render([result()]))
    parsed = page(render(results, stale=[NASTY]))
    assert parsed.problems == []
    assert len(parsed.all("script")) == len(plain.all("script")) == 1
    assert "".join(parsed.text).count("alert(1)") > 15


def test_order_and_times_do_not_matter(mixed):
    slow = [r.model_copy(update={"times": {"seconds": 99.0, "date": "2027"}}) for r in reversed(mixed)]
    assert render(slow, timings=False) == render(mixed, timings=False)
    before, after = (
        re.sub(r'<section id="timings">.*?</section>', "", render(r), flags=re.DOTALL) for r in (slow, mixed)
    )
    assert before == after


def test_scores_failures_and_marks_are_shown(mixed, page):
    text = render(mixed, stale=["x is old."])
    said = " ".join("".join(page(text).text).split())
    assert "0.620\u2020[0.590, 0.650]" in said
    assert "0.900\u2021[0.870, 0.930]" in said
    assert "superseded by toy.parity" in said
    assert re.search(r"best trivial baseline.*0\.600 ?spelling.*n scored", said)
    for words in (
        "disk full",
        "no cells",
        "x is old.",
        "1 failed",
        "1 out of date",
        "M0, M1, M2, M3, M4",
        "Not ranked",
    ):
        assert words in said
    assert 'title="Failed: disk full">failed</td>' in text
    assert 'title="Not applicable: no cells">\u2013</td>' in text


def test_published_figures_stand_apart(result, info, page):
    figure = Published(model="GenePT", metric="auroc", value=0.91, spread=0.06, source="its notebook")
    text = render([result(info=info(published=(figure,)))])
    assert "Published elsewhere, not measured here" in text
    assert "0.910 \u00b1 0.060" in text
    assert "0.910" not in text.partition('id="tasks"')[0]


def test_warnings_are_loud(result, info):
    text = render([result(fast=True), result("toy.two", embedding="a", versions={"numpy": "2.1"})])
    assert "Fast subset: not for publication." in text
    assert "numpy differs between results" in text
    versions = [result(), result(embedding="b", info=info(version=2))]
    assert "versions 1 and 2 of this task stand together" in render(versions)
    assert "Fast subset" not in render([result()])


def test_comparisons_are_shown(result, page):
    said = "".join(page(render([result(), result(embedding="b", mean=0.6)])).text)
    assert "a against b better in 1 of 1 task, worse in 0" in said
    assert "paired bootstrap" in said


def test_tables_can_be_sorted_by_every_kind_of_column(mixed, page):
    parsed = page(render(mixed))
    assert all(attrs["data-col"].isdigit() for attrs in parsed.all("th") if "data-col" in attrs)
    assert {"data-v"} <= {name for _, attrs in parsed.elements for name in attrs}
    assert parsed.all("button", id="theme")[0].keys() >= {"hidden"}


@pytest.mark.parametrize("timings", [True, False])
def test_timings_can_be_left_out(timings, result):
    assert ('id="timings"' in render([result()], timings=timings)) == timings


def test_nothing_failures_alone_and_one_embedding(result, without, score, page):
    for results in ([], [without()], [without(status="not applicable")], [result()], [result(main=score(None))]):
        assert page(render(results)).problems == []
    assert "There are no results." in render([])
    assert "No embedding has a score" in render([without()])


def test_many_tasks_make_no_huge_page(result, page):
    results = [result(f"family{i % 4}.task{i:02}", f"embedding {j}") for i in range(60) for j in range(5)]
    text = render(results)
    assert page(text).problems == []
    assert len(text) < 1_200_000


def test_the_same_items_are_said_and_ranked(result, page):
    equal = "".join(page(render([result(), result(embedding="b", mean=0.7)])).text)
    assert "In every task all embeddings were scored on the same items" in equal
    assert "toy, 1 task" in equal
    assert "There is no mean rank" in render([result(), result(embedding="b", items_digest="other")])
    assert 'id="same"' not in render([result()])


def test_language_models_are_shown_beside_their_controls(school, mixed, page):
    for results in (school, [*school, *mixed]):
        text = render(results)
        parsed = page(text)
        assert parsed.problems == []
        ids = [attrs["id"] for _, attrs in parsed.elements if "id" in attrs]
        assert len(ids) == len(set(ids))
        assert all(attrs["href"].removeprefix("#") in ids for attrs in parsed.all("a"))
        assert ('id="scores"' in text) == (results is not school)
        said = " ".join("".join(parsed.text).split())
        for words in (
            "3 language models",
            "preset chat",
            "preset cot",
            "choices only",
            "0.600\u2020",
            "too long: 1",
            "published elsewhere, not measured here",
            "0.900 \u00b1 0.010",
            "exam, rank, chat, 1 task",
            "exact McNemar",
            "language, rank, preset chat, version 1",
        ):
            assert words in said
    assert 'title="base, adjusted p &lt;0.001 (exact McNemar)"' in text
    assert 'id="language"' not in render(mixed)


def test_rows_of_a_table_have_the_cells_of_its_head(school):
    for rest in render(school).split("<table")[1:]:
        table = rest.partition("</table>")[0]
        n_columns = len(re.findall("<th [^>]*data-col", table))
        for row in re.findall("<tr.*?</tr>", table.partition("<tbody>")[2], flags=re.DOTALL):
            assert len(re.findall("<t[dh]", row)) >= n_columns
