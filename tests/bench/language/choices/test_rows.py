import numpy as np

from bftembed.bench.language.choices.prompts import ClosedQuestion
from bftembed.bench.language.choices.rows import guessed_from_options, guessed_from_text, longest_option, majority

RNG = np.random.default_rng(0)
LETTERS = ("A", "B", "C")


def _planted(n, told_by_the_options):
    rows = []
    for i in range(n):
        place = int(RNG.integers(3))
        words = [f"+{RNG.integers(99)} mg" for _ in range(3)]
        if told_by_the_options:
            words[place] = f"all {words[place]}"
        rows.append(ClosedQuestion(str(i), f"q{i}?", LETTERS, LETTERS[place], options=tuple(words)))
    return rows


def test_what_options_tell_by_themselves_is_learned_across_questions():
    told, untold = _planted(60, True), _planted(60, False)
    assert np.mean(guessed_from_options(told) == [row.gold for row in told]) > 0.9
    assert np.mean(guessed_from_options(untold) == [row.gold for row in untold]) < 0.6
    assert guessed_from_options(told[:1]) is None


def test_a_question_that_is_tested_teaches_nothing_about_itself():
    """Every right option is a word of its own: known only to who has seen the question."""
    rows = [ClosedQuestion(str(i), "?", ("A", "B"), "AB"[i % 2], options=(f"w{i}a", f"w{i}b")) for i in range(100)]
    right = np.mean(guessed_from_options(rows) == [row.gold for row in rows])
    assert 0.3 < right < 0.7


def _asked(texts, gold, context=True):
    return [
        ClosedQuestion(str(i), text, ("yes", "no"), each, context=("nothing here", text) if context else ())
        for i, (text, each) in enumerate(zip(texts, gold, strict=True))
    ]


def test_words_of_the_last_paragraph_are_learned_from_the_training_part():
    texts = ["it helped", "it failed"] * 10
    training, rows = _asked(texts, ["yes", "no"] * 10), _asked(["it failed again", "it helped"], ["yes", "no"])
    assert guessed_from_text(rows, training).tolist() == ["no", "yes"]
    assert guessed_from_text(_asked(texts, ["yes", "no"] * 10, context=False)).tolist() == ["yes", "no"] * 10
    assert guessed_from_text(rows) is None  # one of each
    assert guessed_from_text(rows, training[:1]) is None  # one answer only
    assert guessed_from_text(_asked(["+", "-"] * 3, ["yes", "no"] * 3)).tolist() == ["yes", "no"] * 3


def test_the_majority_is_that_of_the_training_part_if_there_is_one():
    rows, training = _asked("abc", ["yes", "no", "no"]), _asked("abc", ["yes", "yes", "no"])
    assert majority(rows) == "no"
    assert majority(rows, training) == "yes"
    assert majority(rows[:2]) == "yes"  # of equals the first choice


def test_of_several_longest_options_each_earns_its_part():
    rows = [
        ClosedQuestion("1", "?", LETTERS, "A", options=("long", "no", "no")),
        ClosedQuestion("2", "?", LETTERS, "B", options=("long", "four", "no")),
        ClosedQuestion("3", "?", LETTERS, "C", options=("long", "four", "no")),
    ]
    assert longest_option(rows).tolist() == [1, 0.5, 0]
