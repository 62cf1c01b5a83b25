import math

import numpy as np
import pytest

from bftembed.studies.statistics.labelings import Transfer, strength
from bftembed.studies.subliminal.verdicts import at, compared, failed_gate, lifts, paired, verdict


def looks(nll, norm, answers):
    return [{"nll": a, "norm": b, "logprobs": [c, 0.0]} for a, b, c in zip(nll, norm, answers, strict=True)]


FAST = looks([3.0, 2.0, 1.0], [1.0, 2.0, 4.0], [-6.0, -4.0, -1.0])
SLOW = looks([3.5, 3.0, 2.5], [0.5, 1.0, 1.5], [-7.0, -6.5, -6.0])


def found(p_value, value=0.5):
    return Transfer(value, 0.1, 0.9, p_value, 0.1, 0.3)


def test_a_student_is_asked_where_it_had_learnt_as_much():
    one, other = paired(FAST, SLOW, "nll")
    assert one.tolist() == [-5.0, 0.0]  # half-way between losses of 3 and 2
    assert other.tolist() == [-6.0, 0.0]
    assert paired(SLOW, FAST, "norm")[1][0] == pytest.approx(-5.0)
    assert [each[0] for each in paired(FAST, SLOW, "steps")] == [-1.0, -6.0]


def test_levels_before_the_first_look_and_beyond_the_last():
    assert at(FAST, "nll", 9.0)[0] == -6.0
    assert at(FAST, "nll", 0.5)[0] == -1.0


def test_what_students_of_the_neutral_teacher_like_is_no_lift():
    rng = np.random.default_rng(0)
    students = rng.normal(size=(4, 3, 4))
    neutral = rng.normal(size=(3, 4))
    made = lifts(students, neutral)
    assert made.shape == (4, 4, 3)
    expected = students[1, 2, 3] - students[1, 2].mean() - (neutral[2, 3] - neutral[2].mean())
    assert made[1, 3, 2] == pytest.approx(expected)
    # It cancels in lambda.
    assert strength(made.mean(axis=2)) == pytest.approx(strength(students.mean(axis=1)))


def test_comparisons_and_verdicts():
    rng = np.random.default_rng(1)
    own = np.eye(6)[:, :, None]
    sft = own + 0.05 * rng.normal(size=(6, 6, 3))
    same, less = sft + 0.02 * rng.normal(size=(6, 6, 3)), sft - 0.6 * own
    each = compared(sft, {"same": (sft, same), "less": (sft, less), "more": (sft, sft + own)})
    assert verdict(each["less"], each["less"]) == "less transfer"
    assert verdict(each["same"], each["same"]) == "no difference within margin"
    assert verdict(each["same"], each["less"]) == "no difference within margin"
    assert "more transfer" in verdict(each["more"], each["more"])
    assert each["less"].adjusted >= each["less"].difference.p_value
    unclear = each["same"]
    unclear = type(unclear)(unclear.difference, 0.5, 0.5, math.nan)
    assert "it trains less" in verdict(unclear, each["less"])
    assert "neither" in verdict(unclear, unclear)


def test_where_sft_shows_nothing_equivalence_is_not_tested():
    noise = np.random.default_rng(2).normal(size=(5, 5, 2))
    noise -= 2 * np.eye(5)[:, :, None]
    assert math.isnan(compared(noise, {"bft": (noise, noise)})["bft"].equivalent)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"refused": ["yield: 4 % are lists"]}, "yield: 4 % are lists"),
        ({"animals": 4, "objectives": 3}, "too few animals: 4 have 24 labelings"),
        ({"controls": {"soft": found(0.3)}}, "assay insensitive"),
        ({"controls": {"soft": found(0.01), "shuffled": found(0.01)}}, "`shuffled`, which must not transfer"),
        ({"controls": {"noise": found(0.01)}}, "`noise`"),
        ({"sft": found(0.2)}, "no transfer under SFT"),
        ({}, ""),
        ({"controls": {"soft": found(0.01), "noise": found(0.01, -0.5)}}, ""),
    ],
)
def test_gates(changes, words):
    sound = {"animals": 6, "objectives": 3, "refused": [], "sft": found(0.01), "controls": {}}
    said = failed_gate(**(sound | changes))
    assert (words in said) if words else said == ""
