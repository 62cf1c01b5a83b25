"""Questions of a task that stand in a corpus."""

import re
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bftembed.bench.overlap import shares

WORDS = [f"w{i}" for i in range(100)]


def sentence(begin, end):
    return " ".join(WORDS[begin:end])


def test_shares_of_sequences():
    corpus = [f"{sentence(0, 12)}. And {sentence(40, 52)}", sentence(12, 20)]
    table = shares({"whole": sentence(0, 12), "part": sentence(5, 25), "none": sentence(60, 80)}, corpus)
    # Of 13 sequences of 8 words of "part" those from words 5 and 12 stand in one text; nothing spans two texts.
    assert table["share_8"].tolist() == [1.0, pytest.approx(1 / 13), 0.0]
    assert table["share_13"].fillna(-1).tolist() == [-1, 0.0, 0.0]
    assert table["flagged"].tolist() == [True, False, False]
    assert table.index.tolist() == ["whole", "part", "none"]


def test_flagged_from_three_tenths():
    texts = {f"{n}": " ".join(f"{word}x{n}" for word in WORDS[:17]) for n in range(4)}  # 10 sequences of 8 words
    corpus = [" ".join(text.split()[: 7 + int(n)]) for n, text in texts.items()]
    table = shares(texts, corpus)
    assert table["share_8"].tolist() == [0, 0.1, 0.2, 0.3]
    assert table["flagged"].tolist() == [False, False, False, True]


def test_case_punctuation_and_letters_of_options_do_not_count():
    question = {"q": "Which of these drugs is given first?\nA) Aspirin\nB) Iron (II)\nC) Zinc\nD) None of these"}
    open_ended = "which of THESE drugs is given first?! aspirin / iron II / zinc; none of these"
    assert shares(question, [open_ended])["share_8"].item() == 1
    assert shares(question, ["Which of these drugs is given first?\n(A) Aspirin (B) Iron II (C) Zinc"])[
        "flagged"
    ].item()


@pytest.mark.parametrize("n_items", [2, 5, 30])
def test_the_wording_of_a_task_does_not_count(n_items):
    instruction = "Answer this question with the letter of the one right option, A or B, and with nothing else."
    phrase = "which of the following is the most appropriate next step in the management of this patient"
    own = {f"{n}": " ".join(f"{word}x{n}" for word in WORDS[:20]) for n in range(n_items)}
    texts = {item: f"{instruction}\n{text} {phrase}?\n{instruction}" for item, text in own.items()}
    assert shares(texts, [f"{instruction} {phrase} {instruction}"])["share_8"].max() == 0
    # 13 sequences within and 7 that end in the phrase.
    assert shares(texts, [f"{own['0']} {phrase}"])["share_8"].tolist() == [1.0] + [0.0] * (n_items - 1)


def test_a_question_that_stands_twice_is_still_a_question():
    texts = {f"{n}": " ".join(f"{word}x{n % 15}" for word in WORDS[:20]) for n in range(30)}
    assert shares(texts, [texts["3"]]).query("flagged").index.tolist() == ["3", "18"]


def test_a_short_text_tells_nothing():
    table = shares({"short": "Name the largest organ.", "long": sentence(0, 9)}, ["Name the largest organ."])
    assert np.isnan(table.loc["short", "share_8"])
    assert not table["flagged"].any()


@given(
    st.lists(st.lists(st.sampled_from("abc"), max_size=20).map(" ".join), min_size=1, max_size=6),
    st.lists(st.lists(st.sampled_from("abc"), max_size=40).map(" ".join), max_size=3),
)
def test_equals_a_search_for_each_sequence(texts, corpus):
    def grams(text):
        words = text.split()
        return {" ".join(words[i : i + 8]) for i in range(len(words) - 7)}

    counts = Counter(gram for text in texts for gram in grams(text))
    lines = Counter(texts)
    most = max(1, len(texts) // 2)
    for text, share in zip(texts, shares(dict(enumerate(texts)), corpus)["share_8"], strict=True):
        own = [gram for gram in grams(text) if counts[gram] <= most and lines[text] <= most]
        there = [gram for gram in own if any(re.search(rf"\b{gram}\b", other) for other in corpus)]
        assert np.isnan(share) if not own else share == len(there) / len(own)
