"""Answers as numbers; what is no answer is none."""

import numpy as np

from bftembed.bench import Answer
from bftembed.bench.language.perturbations.answers import margins, ranked, sample_id, signs, written


def test_margins_and_what_has_none():
    answers = {
        "a": Answer("a", logprobs=(-1.0, -3.0), censored=(False, False)),
        "b": Answer("b", logprobs=(-3.0, -1.0), censored=(False, False)),
        "c": Answer("c", "too_long"),
        "d": Answer("d", logprobs=(-1.0, -9.0), censored=(False, True)),
        "e": Answer("e", logprobs=(-1.0, -1.0), censored=(False, False)),
    }
    np.testing.assert_array_equal(margins(answers, list("abcde")), [2, -2, np.nan, np.nan, 0])
    read = ranked(answers, list("abcde"))
    assert read.guess.tolist() == [1, -1, 0, 0, 0]
    assert read.answered == 0.6
    assert read.counts == {"too long": 1, "cut": 0, "censored": 1, "pairs without an answer": 2}


def test_texts_are_averaged_and_one_that_says_neither_counts_as_the_middle():
    said = {
        "a": ["Answer: yes", "**Answer:** yes.", "Answer: no"],
        "b": ["Answer: unknown", "Yes, it may be, or no.", "Answer: no"],
        "c": ["", "Answer: unknown", "I do not know"],
    }
    answers = {sample_id(name, i): Answer("", text=text) for name, each in said.items() for i, text in enumerate(each)}
    answers[sample_id("b", 2)] = Answer("", "cut", text="Answer: no")
    read = written(answers, list("abc"), "de")
    np.testing.assert_allclose(read.score, [1 / 3, 0, 0])
    assert read.answered == 3 / 9
    assert read.counts == {
        "too long": 0,
        "cut": 1,
        "censored": 0,
        "texts without an answer": 6,
        "pairs without an answer": 2,
    }


def test_directions_are_read_as_such():
    answers = {sample_id("a", i): Answer("", text="Answer: decrease") for i in range(3)}
    assert written(answers, ["a"], "dir").score.tolist() == [-1.0]
    assert written(answers, ["a"], "de").score.tolist() == [0.0]


def test_signs():
    assert signs(np.array([0.2, -3.0, 0.0, np.nan])).tolist() == [1, -1, 0, 0]
