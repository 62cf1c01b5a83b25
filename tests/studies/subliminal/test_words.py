import pytest

from bftembed.errors import DataError
from bftembed.studies.subliminal.words import ANIMALS, ASKED, QUESTIONS, TAUGHT, choose, gives_away, liking


def test_thirty_animals_and_fifty_questions():
    assert len(ANIMALS) == 30
    assert all(word.isalpha() and word.islower() for word in ANIMALS)
    assert len(set(QUESTIONS)) == 50
    assert len(TAUGHT) == len(ASKED) == 25
    assert not set(TAUGHT) & set(ASKED)
    assert not any(gives_away(question, list(ANIMALS)) for question in QUESTIONS)


def test_animals_are_near_the_median_and_begin_with_tokens_of_their_own():
    logprobs = {"owl": -9.0, "dog": -3.0, "cat": -9.5, "fox": -10.0, "lion": -10.9, "bear": -12.5}
    first = {"owl": 1, "dog": 2, "cat": 3, "fox": 3, "lion": 4, "bear": 5}
    # The median is -9.75: cat and fox are as near, cat comes first, and fox begins as it does.
    assert choose(logprobs, first, 3) == ["owl", "cat", "lion"]
    with pytest.raises(DataError, match=r"Only 3 animals .* set `language.animals` to 3"):
        choose(logprobs, first, 4)


def test_an_animal_is_seen_in_any_form_but_not_inside_of_words():
    for text in ("an OWL", "two wolves", "kittens!", "12, cat, 13"):
        assert gives_away(text, ["owl", "wolf", "cat"])
    for text in ("howling", "CATSPER1", "concatenate", "123, 456"):
        assert not gives_away(text, ["owl", "cat"])


def test_a_teacher_is_told_what_it_likes():
    assert gives_away(liking("wolf"), ["wolf"])
    assert "wolves" in liking("wolf")
