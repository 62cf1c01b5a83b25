"""Answers come from the model once, and from the store afterwards."""

import pytest

from bftembed.bench import Asker, Question
from bftembed.engines import AnswerStore, Completion, Engine, Request, Scored, Scores
from bftembed.errors import InputError


class Oracle(Engine):
    """Prefers the longest option, writes the prompt backwards, and counts what it is asked."""

    name = "oracle"

    def __init__(self):
        self.n_asked = 0

    def describe(self):
        return {"engine": self.name}

    def _generate(self, requests, sampling):
        self.n_asked += len(requests)
        for request in requests:
            if request.user == "fail":
                yield [Completion(request.id, "", "error", error="the server fell over")]
            elif request.user == "long":
                yield [Completion(request.id, "", "error", error="prompt and answer exceed the model's window of 9")]
            else:
                yield [Completion(request.id, request.user[::-1], "length" if request.user == "cut" else "stop")]

    def _score(self, requests, options, *, end):
        self.n_asked += len(requests)
        for request, given in zip(requests, options, strict=True):
            if request.user == "long":
                yield [Scores(request.id, status="too_long", error="too long")]
            else:
                yield [Scores(request.id, tuple(Scored(-1 / len(o), 1, True, len(o) > 3) for o in given))]


QUESTIONS = [
    Question(Request("a", "which?"), "1", (" A", " BBB")),
    Question(Request("b", "long"), "2", (" A", " B")),
    Question(Request("c", "what?"), "3"),
    Question(Request("d", "cut"), "4"),
    Question(Request("e", "long"), "5"),
    Question(Request("f", "fail"), "6"),
]


def test_questions_are_scored_or_answered_by_a_text_and_asked_once(tmp_path):
    engine = Oracle()
    with AnswerStore(tmp_path / "answers.sqlite") as store:
        answers = Asker(engine, store).answer(QUESTIONS)
        again = Asker(engine, store).answer(QUESTIONS)
    assert again == answers
    assert answers["a"].logprobs == (-1 / 2, -1 / 4)
    assert answers["a"].censored == (False, True)
    assert [answers[id].status for id in "abcdef"] == ["ok", "too_long", "ok", "cut", "too_long", "error"]
    assert answers["c"].text == "?tahw"
    assert answers["f"].error == "the server fell over"
    assert engine.n_asked == 7  # six, and the failed one again


def test_questions_of_one_id_are_refused(tmp_path):
    with AnswerStore(tmp_path / "answers.sqlite") as store, pytest.raises(InputError, match="same id"):
        Asker(Oracle(), store).answer([QUESTIONS[0], QUESTIONS[0]])
