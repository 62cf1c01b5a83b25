import numpy as np
import pytest

from bftembed.profiles.clean import clean
from bftembed.quality.form import copied, is_refusal, repetition


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I cannot describe this gene.",
        "As an AI language model, I don't have access.",
        "XYZ1 is not a recognized human gene.",
        "There is no specific information available about it.",
        "I don\u2019t have information.",
    ],
)
def test_refusals(text):
    assert is_refusal(text) or "There is" in text
    assert is_refusal(text.replace("There is no", "No").replace("available", "is available"))


def test_people_do_not_refuse(known):
    assert not known.facts.frame["summary"].map(is_refusal).any()


def test_repetition_by_counting():
    text = " ".join(["it is a gene that acts in cells"] * 10)
    grams = [tuple(text.split()[i : i + 4]) for i in range(len(text.split()) - 3)]
    assert repetition(text) == pytest.approx(1 - len(set(grams)) / len(grams))
    assert repetition(text) > 0.8
    assert clean(text).status == "degenerate"
    assert repetition("") == repetition("one two three") == 0


def test_copied():
    assert copied("binds DNA in all cells", "It binds DNA in all cells.") == 1
    assert copied("binds DNA in all cells", "") == 0
    assert np.isnan(copied("too short", "too short"))
