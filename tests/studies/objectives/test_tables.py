"""Numbers as cells of tables."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bftembed.studies.objectives.outcomes import perplexity, probability
from bftembed.studies.objectives.tables import difference, number, ratio, spread, with_interval
from bftembed.studies.statistics.hierarchical import Interval

FOUND = Interval(math.log(20), math.log(10), math.log(40), 0.05, 3, 24)
ALONE = Interval(0.25, None, None, None, 1, 24)


@given(st.floats(-1e6, 1e6))
def test_numbers_keep_two_digits_at_least(value):
    assert float(number(value)) == pytest.approx(value, rel=0.006, abs=1e-300)


def test_numbers():
    assert [number(value) for value in (0.0, 1.0, 9.999, 157.23, -0.00012)] == [
        "0",
        "1.00",
        "10.00",
        "157",
        "-0.000120",
    ]


def test_intervals():
    assert with_interval(FOUND, perplexity("x")) == "20.0 [10.0, 40.0]"
    assert with_interval(ALONE, probability("x")) == "0.250"
    assert spread(FOUND, perplexity("x")) == "20.0 ± 5.0 %"
    assert spread(FOUND, probability("x")).endswith("± 0.0500")
    assert spread(ALONE, probability("x")) == "0.250"
    assert difference(Interval(0.5, 0.25, 0.75, 0.1, 3, 9), probability("x")) == "+0.500 [0.250, 0.750]"
    assert difference(FOUND, perplexity("x")) == ratio(FOUND) == "20.0 [10.0, 40.0]"


def test_what_is_not_there():
    for text in (with_interval(None, perplexity("x")), ratio(None), difference(None, probability("x"))):
        assert text == "-"
    assert spread(None, perplexity("x")) == "-"
