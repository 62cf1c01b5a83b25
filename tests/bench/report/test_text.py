import pytest

from bftembed.bench.report.text import DASH, count, interval, number, p_value, share, sort_key, span


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.8124, "0.812"), (-0.0336, "\u22120.034"), (-0.0001, "0.000"), (None, DASH), (float("nan"), DASH), (1, "1.000")],
)
def test_numbers(value, shown):
    assert number(value) == shown


def test_intervals():
    assert interval((-0.1, 0.25)) == "[\u22120.100, 0.250]"
    assert interval(None) == interval((float("nan"), 1.0)) == ""


def test_a_p_value_is_never_zero():
    assert [p_value(p) for p in (0.0, 0.0004, 0.031, None, float("nan"))] == ["<0.001", "<0.001", "0.031", DASH, DASH]


def test_only_all_is_all():
    assert [share(999, 1000), share(3, 3), share(0, 0)] == ["99 %", "100 %", DASH]
    assert [span((72, 72)), span((72, 1500))] == ["72", "72 to 1,500"]
    assert [count(1, "task"), count(2, "task"), count(1234, "task")] == ["1 task", "2 tasks", "1,234 tasks"]


def test_tables_are_sorted_by_what_is_enough():
    assert [sort_key(v) for v in (0.1 + 0.2, 20_000_000, 5, float("nan"), "")] == ["0.3", "20000000", "5", "nan", ""]
