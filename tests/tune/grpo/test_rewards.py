from types import SimpleNamespace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from bftembed.errors import InputError
from bftembed.tune.grpo.rewards import (
    CHOICE_SETS,
    DIRECTIONS,
    LETTERS,
    YES_NO_MAYBE,
    BinaryReward,
    RandomReward,
    parse_answer,
)

FORMS = [
    "{}",
    "Answer: {}",
    "**Answer:** {}",
    "The answer is {}.",
    "The answer is ({}).",
    "**{}**",
    "\\boxed{{{}}}",
    "- {}",
]
WORDS = [
    ("YES", "yes"),
    ("_maybe_", "maybe"),
    ("Yes, yes!", "yes"),
    ("No, the word does not have it", "no"),
    ("It does not, so no", "no"),
    ("That is not clear, maybe", "maybe"),
    ("yes or no", None),
    ("yes/no/maybe", None),
    ("Nobody knows; no-one said yesterday", None),
    ("Not a clear yes", None),
    ("It isn't yes", None),
    ("yes\nI think so", None),
    ("I think so\nyes\n \n", "yes"),
    ("", None),
    ("\n \t\n", None),
]
DIRECTED = [
    ("Expression will Increase.", "increase"),
    ("increase, not decrease", None),
    ("It does not increase", None),
    ("There is no significant decrease", None),
    ("It increases", None),
]
LETTERED = [
    ("A.", "A"),
    ("C) Aspirin", "C"),
    ("**B. Protein C deficiency**", "B"),
    ("D - Aspirin", "D"),
    ("B, because it is", "B"),
    ("C is correct", "C"),
    ("Answer: A. Vitamin C deficiency", "A"),
    ("Final answer: (A) Aspirin", "A"),
    ("The correct option is D", "D"),
    ("The answer is A because it is", "A"),
    ("A decrease in pressure", None),
    ("Answer: A decrease in pressure", None),
    ("It is a vitamin C deficiency", None),
    ("Answer: vitamin C", None),
    ("A or B", None),
    ("Answer: A and B", None),
    ("Answer: (A) or (B)", None),
    ("Answer: B, not C", None),
    ("The answer is not B", None),
    ("b", None),
    ("E", None),
    ("Answer: B-cell lymphoma", None),
]
FINAL = [
    ("Final answer: B\nThis is no advice: see a doctor (A).", "B"),
    ("final answer: A\nNo, wait.\n**Final Answer:** C\nThank you.", "C"),
    ("The final answer is: **D**\nI hope this helps.", "D"),
    ("Final answer:\n\n(B) Aspirin\n\nThank you.", "B"),
    ("Final answer: B Aspirin", "B"),
    ("So \\boxed{B}.\nI hope this helps.", "B"),
    ("So \\boxed{\\text{B}}", "B"),
    ("So \\boxed{B. Aspirin}", "B"),
    ("The final answer is: $\\boxed{C}$\nDone: A", "C"),
    ("\\boxed{A}\nFinal answer: B", "B"),
    ("Final answer: B\n\\boxed{A}", "A"),
    ("Final answer: X\nAnswer: B", None),
    ("Final answer: A or B\nB", None),
    ("Final answer: not B", None),
    ("The final answers follow\nB", "B"),
    ("<think>Final answer: A</think>\nB", "B"),
    ("Final answer: A</think>\nAnswer: B", "B"),
    ("<think>It may be A.\nFinal answer: A", None),
]
OPTIONS = ["Vitamin B", "Vitamin B12", "0.5 mg", "5 mg", "None", "All of the above."]
WRITTEN = [
    ("I would give vitamin  B12.", "B"),
    ("vitamin B", "A"),
    ("Final answer: all of the above\nThank you.", "F"),
    ("None", "E"),
    ("Give 0.5 mg", "C"),
    ("Give 5 mg", "D"),
    ("Give 2.5 mg, or -5 mg", None),
    ("Give 5 mg of vitamin B12", None),
    ("It is not vitamin B12", None),
    ("Give 5 mg. The answer is A.", "A"),
    ("Answer: A or C", None),
    ("Vitamin B12\nor so", None),
]


@pytest.mark.parametrize(("text", "expected"), FINAL)
def test_what_is_called_final_wins_over_the_last_line(text, expected):
    assert parse_answer(text, LETTERS) == expected


@pytest.mark.parametrize(("text", "expected"), WRITTEN)
def test_the_text_of_one_choice_in_full_counts_as_it(text, expected):
    assert parse_answer(text, "ABCDEF", texts=OPTIONS) == expected


@pytest.mark.parametrize(("texts", "message"), [(["one", " "], "blank"), (["one", "ONE."], "twice")])
def test_texts_that_cannot_be_told_apart_are_refused(texts, message):
    with pytest.raises(InputError, match=message):
        parse_answer("neither", ("A", "B"), texts=texts)


@given(st.lists(st.text(min_size=1), min_size=2, max_size=4), st.data())
def test_no_text_is_read_as_an_option_whose_text_does_not_stand_there(texts, data):
    bare = {" ".join(text.split()).rstrip(" .;,") or " ".join(text.split()) for text in texts}
    assume(len({each.casefold() for each in bare}) == len(texts) and all(bare))
    letters = "ABCD"[: len(texts)]
    line = data.draw(st.text(alphabet="abc xyz.-5"))
    found = parse_answer(line, letters, texts=texts)
    if found is not None and found not in line:
        assert " ".join(texts[letters.index(found)].split()).rstrip(" .;,").casefold() in line.casefold()


@pytest.mark.parametrize("choices", CHOICE_SETS)
@pytest.mark.parametrize("form", FORMS)
def test_each_form_gives_each_choice(form, choices):
    assert [parse_answer(form.format(choice), choices) for choice in choices] == list(choices)


@pytest.mark.parametrize(("text", "expected"), WORDS)
def test_words_are_whole_undenied_and_alone(text, expected):
    assert parse_answer(text, YES_NO_MAYBE) == expected


@pytest.mark.parametrize(("text", "expected"), DIRECTED)
def test_directions_are_not_read_out_of_their_denial(text, expected):
    assert parse_answer(text, DIRECTIONS) == expected


@pytest.mark.parametrize(("text", "expected"), LETTERED)
def test_letters_count_as_answers_only(text, expected):
    assert parse_answer(text, LETTERS) == expected


def test_the_longer_of_two_choices_wins():
    assert parse_answer("No change.", ("no", "no change")) == "no change"
    assert parse_answer("I say: No", ("No", "no change")) == "No"


@pytest.mark.parametrize(("choices", "message"), [((), "at least one"), (("yes", " "), "blank"), (("a", "A"), "twice")])
def test_unusable_choices_are_refused(choices, message):
    with pytest.raises(InputError, match=message):
        parse_answer("yes", choices)


choice_sets = st.sampled_from(CHOICE_SETS)


@given(st.text(), choice_sets)
def test_any_text_gives_a_choice_or_none(text, choices):
    assert parse_answer(text, choices) in (*choices, None)


@given(st.text(), choice_sets, st.data())
def test_only_the_last_line_counts(before, choices, data):
    choice = data.draw(st.sampled_from(choices))
    blank = data.draw(st.text(alphabet=" \t\n"))
    assert parse_answer(f"{before}\nAnswer: {choice}\n{blank}", choices) == choice


@given(st.sampled_from([YES_NO_MAYBE, DIRECTIONS]), st.data())
def test_the_case_of_words_does_not_matter(choices, data):
    choice = data.draw(st.sampled_from(choices))
    cased = "".join(data.draw(st.sampled_from([letter.lower(), letter.upper()])) for letter in choice)
    assert parse_answer(cased, choices) == choice


@given(st.sampled_from([YES_NO_MAYBE, DIRECTIONS]), st.text(alphabet=st.characters(categories=["L", "N"]), min_size=1))
def test_parts_of_words_are_no_answers(choices, rest):
    assert parse_answer(f"{choices[0]}{rest}", choices) != choices[0]
    assert parse_answer(f"{rest}{choices[0]}", choices) != choices[0]


@given(choice_sets, st.data(), st.sampled_from([" or ", ", ", " / ", " and ", " "]))
def test_two_different_choices_are_none(choices, data, between):
    two = data.draw(st.permutations(choices))[:2]
    assert parse_answer(f"Answer: {two[0]}{between}{two[1]}", choices) is None


@given(st.integers(1, 100), st.sampled_from(["answer ", "A or ", "not ", "(A", "n't yes ", "answer is" + " " * 9]))
def test_repetitions_are_read_to_their_end(times, unit):
    # What a model that has collapsed writes; patterns that backtrack would hang here at the longest of them.
    for choices in CHOICE_SETS:
        assert parse_answer(unit * times * 20, choices) in (*choices, None)


def test_the_reward_is_one_for_the_right_choice_only():
    reward = BinaryReward()
    logged = {}
    rewards = reward(
        prompts=["q"] * 4,
        completions=["Yes", "no", "who knows", "Answer: B"],
        answer=["yes", "yes", "yes", "B"],
        choices=[list(YES_NO_MAYBE)] * 3 + [list(LETTERS)],
        log_metric=logged.__setitem__,
        trainer_state=None,
    )
    assert rewards == [1.0, 0.0, 0.0, 1.0]
    assert logged == {"answered": 0.75, "unparsed": 0.25}


def test_the_last_message_of_a_chat_counts():
    reward = BinaryReward()
    chat = [[{"role": "assistant", "content": "no"}, {"role": "assistant", "content": "yes"}]]
    assert reward(chat, ["yes"], [YES_NO_MAYBE]) == [1.0]
    assert reward(chat, ["no"], [YES_NO_MAYBE]) == [0.0]


def test_trl_logs_it_under_its_name():
    utils = pytest.importorskip("trl.trainer.utils", reason="pip install 'bftembed[tune]'")
    assert utils.get_callable_name(BinaryReward()) == "binary_reward"


def test_coins_are_tossed_anew_in_each_step_and_the_same_again():
    answers, logged = ["yes"] * 400, {}
    given = {"answer": ["yes"] * 400, "choices": [YES_NO_MAYBE] * 400, "log_metric": logged.__setitem__}

    def tosses(seed, step, process=0):
        return RandomReward(seed, process)(answers, **given, trainer_state=SimpleNamespace(global_step=step))

    first = tosses(1, 3)
    assert set(first) == {0.0, 1.0}
    assert 150 < sum(first) < 250
    assert tosses(1, 3) == first
    assert all(tosses(*other) != first for other in [(2, 3), (1, 4), (1, 3, 1)])
    assert logged == {"answered": 1.0, "unparsed": 0.0}
