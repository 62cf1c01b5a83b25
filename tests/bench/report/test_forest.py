import xml.etree.ElementTree as ET

import pytest

from bftembed.bench.report.forest import Plot, Point, forest_svg, nice_ticks


def places(root, kind):
    return [float(e.get("cx" if kind == "point" else "x1").rstrip("%")) for e in root.iter() if e.get("class") == kind]


def test_points_stand_where_their_values_are():
    points = [Point("a", 0.9, (0.85, 0.95), 0.6), Point("b", 0.5, (0.4, 0.6), 0.7), Point("c", 0.7)]
    root = ET.fromstring(forest_svg(Plot("T", "C", points, chance=0.5)))
    a, b, c = places(root, "point")
    assert b < c < a
    assert c - b == pytest.approx(a - c, abs=0.02)
    assert places(root, "chance") == [b, b, b]
    assert len(places(root, "limits")) == 2
    assert places(root, "baseline")[1] == c
    assert all(0 <= place <= 100 for kind in ("point", "limits", "baseline") for place in places(root, kind))
    assert "0.900 [0.850, 0.950]" in [text.text for text in root.iter("text")]


def test_it_can_be_read_without_seeing_it():
    root = ET.fromstring(forest_svg(Plot("AUROC of <b>", "C", [Point("<script>", 0.5)])))
    assert root.get("role") == "img"
    assert root.get("aria-label") == root.find("title").text == "AUROC of <b>"
    assert root.find("g/title").text == "<script>"


def test_long_names_are_cut_and_kept_in_the_title():
    root = ET.fromstring(forest_svg(Plot("T", "C", [Point("x" * 60, 0.5)])))
    assert root.find("g/title").text == "x" * 60
    assert len(root.find("g/text").text) == 26


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0, -3.0, 1e6])
def test_a_single_value_has_an_axis(value):
    root = ET.fromstring(forest_svg(Plot("T", "C", [Point("a", value)])))
    assert places(root, "point") == [50]


def test_without_points_there_is_nothing():
    assert forest_svg(Plot("T", "C", [])) == ""


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (0.48, 0.92, [0.5, 0.6, 0.7, 0.8, 0.9]),
        (-0.1, 0.3, [-0.1, 0, 0.1, 0.2, 0.3]),
        (3, 3.002, None),
    ],
)
def test_ticks_are_round(low, high, ticks):
    found = nice_ticks(low, high)
    assert 2 <= len(found) <= 6
    assert all(low - 1e-9 <= tick <= high + 1e-9 for tick in found)
    assert ticks is None or found == ticks
