import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bftembed.bench import Answer
from bftembed.bench.language.choices.answers import calibration_error, likeliest, probabilities, ranked, written
from bftembed.bench.language.choices.prompts import ClosedQuestion
from bftembed.errors import EngineError

ROW = ClosedQuestion("1", "Which?", ("A", "B", "C"), "B", options=("Kidney", "Liver", "None"))
NO = (False, False, False)


def one(answer):
    return ranked([ROW], [answer])


@pytest.mark.parametrize(
    ("answer", "choice", "counts"),
    [
        (Answer("1", logprobs=(-3.0, -1.0, -2.0), censored=NO), "B", {}),
        (Answer("1", logprobs=(-1.0, -1.0, -2.0), censored=NO), "", {"undecided": 1}),
        (Answer("1", logprobs=(-3.0, -1.0, -2.0), censored=(True, False, False)), "B", {"censored": 1}),
        (Answer("1", logprobs=(-1.0, -3.0, -3.0), censored=(True, False, True)), "", {"censored": 1, "undecided": 1}),
        (Answer("1", "too_long"), "", {"too long": 1}),
    ],
)
def test_a_choice_is_the_likeliest_if_it_is_known_to_be(answer, choice, counts):
    chosen = one(answer)
    assert (chosen.choices[0], chosen.counts) == (choice, counts)
    assert chosen.right([ROW])[0] == (choice == "B")
    assert chosen.answered[0] == bool(choice)
    known = answer.status == "ok" and not any(answer.censored)
    assert np.isfinite(chosen.logprobs).all() == known


def test_a_log_probability_that_is_no_number_stops_with_the_name_of_the_question():
    with pytest.raises(EngineError, match="not a number for `q7`"):
        ranked([ROW, ROW], [Answer("1", logprobs=(-1, -2, -3)), Answer("q7", logprobs=(-1, float("nan"), -3))])


@pytest.mark.parametrize(
    ("answer", "choice", "counts"),
    [
        (Answer("1", text="It is made there.\nFinal answer: B"), "B", {}),
        (Answer("1", text="It must be the liver."), "B", {}),
        (Answer("1", text="None"), "C", {}),
        (Answer("1", text="<think>A?</think>\n\\boxed{B}\nThank you."), "B", {}),
        (Answer("1", text="I do not know."), "", {"unparsed": 1}),
        (Answer("1", text=""), "", {"unparsed": 1}),
        (Answer("1", "cut", text="Final answer: B"), "", {"cut": 1}),
        (Answer("1", "too_long"), "", {"too long": 1}),
    ],
)
def test_a_text_without_a_readable_end_is_no_answer(answer, choice, counts):
    chosen = written([ROW], [answer])
    assert (chosen.choices[0], chosen.counts) == (choice, counts)


def test_nothing_readable_is_never_right_whatever_is_right():
    rows = [ClosedQuestion(c, "Which?", ROW.choices, c, options=ROW.options) for c in ROW.choices]
    chosen = written(rows, [Answer(row.id, text="Hm.") for row in rows])
    assert chosen.choices.tolist() == ["", "", ""]
    assert not chosen.right(rows).any()


@given(st.lists(st.lists(st.integers(-3, 0), min_size=3, max_size=3), min_size=1, max_size=6))
def test_the_likeliest_is_alone(values):
    logprobs = np.array(values, dtype=float)
    for line, best in zip(values, likeliest(logprobs), strict=True):
        tops = [i for i, value in enumerate(line) if value == max(line)]
        assert best == (tops[0] if len(tops) == 1 else -1)


def test_probabilities_are_of_the_options_among_each_other():
    shares = probabilities(np.log(np.array([[0.1, 0.3, 0.1], [1e-30, 2e-30, 1e-30]])))
    np.testing.assert_allclose(shares, [[0.2, 0.6, 0.2], [0.25, 0.5, 0.25]])


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60))
def test_the_calibration_error_is_that_of_its_definition(pairs):
    confidence, right = (np.array(values) for values in zip(*pairs, strict=True))
    expected = 0.0
    for i in range(15):
        inside = [(c, r) for c, r in pairs if min(int(c * 15), 14) == i]
        if inside:
            gap = np.mean([c for c, _ in inside]) - np.mean([r for _, r in inside])
            expected += len(inside) / len(pairs) * abs(gap)
    assert calibration_error(confidence, right) == pytest.approx(expected, abs=1e-9)
    assert np.isnan(calibration_error(confidence[:0], right[:0]))
