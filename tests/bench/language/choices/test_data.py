import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bftembed.bench.language.choices.data import checked, few_questions, has_equal_options
from bftembed.bench.language.choices.prompts import ClosedQuestion
from bftembed.errors import DataError

LETTERS = ("A", "B")


def row(id="1", **fields):
    return ClosedQuestion(
        **({"id": id, "question": "Which?", "choices": LETTERS, "gold": "A", "options": ("x", "y")} | fields)
    )


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "no questions"),
        ([row("q7"), row("q7")], "`q7` is there twice"),
        ([row("q7", gold="C")], r"`q7` has the answer 'C', which is not one of \['A', 'B'\]"),
        ([row("q7", gold="a")], "`q7` has the answer 'a'"),
        ([row("q7", options=("x", float("nan")))], "`q7` has a part that is no text; read all columns"),
        ([row("q7", question=" ")], "`q7` has a part that is no text"),
        ([row("q7", options=("x", "y", "z"))], "`q7` has 3 options"),
        ([row("q1"), row("q7", choices=("A", "B", "C"), options=("x", "y", "z"))], "`q7` has the choices"),
        ([row("q1"), row("q7", options=())], "`q7` has options where others have none"),
        ([row("q7", choices=("A",))], "two different choices"),
        ([row("q7", choices=("A", "A"))], "two different choices"),
    ],
)
def test_what_cannot_be_asked_is_refused_by_name(rows, message):
    with pytest.raises(DataError, match=message):
        checked(rows)


def test_questions_come_in_the_order_of_their_ids_and_none_is_a_text():
    rows = checked([row("b", options=("None", "NA")), row("a", options=("nan", "null"))])
    assert [each.id for each in rows] == ["a", "b"]
    assert rows[1].options == ("None", "NA")


@pytest.mark.parametrize(
    ("options", "equal"),
    [
        (("5 mg", "5 mg."), True),
        (("Aspirin", "aspirin "), True),
        (("a\nb", "a b"), True),
        (("+5", "-5"), False),
        (("CD5+", "CD5-"), False),
        (("None", "NA"), False),
    ],
)
def test_options_are_equal_where_a_text_could_mean_either(options, equal):
    assert has_equal_options(row(options=options)) is equal


@given(st.lists(st.sampled_from("ABC"), min_size=1, max_size=40), st.integers(1, 20))
def test_few_questions_are_balanced_and_chosen_by_their_ids_alone(gold, n):
    rows = [row(str(i), choices=("A", "B", "C"), gold=each, options=("x", "y", "z")) for i, each in enumerate(gold)]
    chosen = few_questions(rows, n)
    assert chosen == few_questions(rows[::-1], n)
    assert len(chosen) == min(n, len(rows))
    of = {each: [one for one in chosen if one.gold == each] for each in set(gold)}
    for each, found in of.items():
        candidates = sorted(
            (one for one in rows if one.gold == each), key=lambda one: hashlib.sha256(one.id.encode()).hexdigest()
        )
        assert found == candidates[: len(found)]
        if len(found) < len(candidates):
            assert len(found) >= max(map(len, of.values())) - 1
