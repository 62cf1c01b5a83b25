"""Pages: escaped, whole, and the same for the same numbers."""

import xml.etree.ElementTree as ET

import pytest

from bftembed.errors import DataError
from bftembed.studies.page import Figure, Page, Section, Table, html_text, markdown_text, svg, write_page

CURVE = Figure("A <curve>", lambda axes: axes.plot([0, 1, 4], label="squares"), note="It rises.")
PAGE = Page(
    "One & two",
    "cannot be told: <b>",
    [Section("First", ["1 < 2"], [Table("Numbers", ["name", "a|b"], [["x", "1\n2"]], note="Exact."), CURVE])],
)


def test_markdown():
    text = markdown_text(PAGE)
    assert text.startswith("# One & two\n\n**cannot be told: <b>**\n\n## First\n\n1 < 2\n\n**Numbers**\n\n")
    assert "| name | a\\|b |\n|---|---|\n| x | 1 2 |\n\nExact." in text
    assert "*Figure in report.html:* A <curve>. It rises." in text


def test_html_is_escaped_and_needs_nothing_from_elsewhere():
    text = html_text(PAGE)
    assert "cannot be told: &lt;b&gt;" in text
    assert "A &lt;curve&gt;" in text
    assert '<th scope="row">x</th>' in text.replace("scope=row", 'scope="row"')
    for foreign in ("<script", "src=", "@import", 'href="http'):
        assert foreign not in text


def test_a_figure_is_the_same_each_time():
    first = str(svg(CURVE))
    assert first == str(svg(CURVE))
    assert ET.fromstring(first).tag.endswith("svg")
    assert "date" not in first.lower()


def test_a_page_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written"):
        write_page(PAGE, tmp_path / "file")
