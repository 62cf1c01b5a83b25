"""Closed questions put to models that are known: one that knows, one that loves a letter, one that says nothing."""

import numpy as np
import pytest

from bftembed.bench import Answer, Asker, ClosedQuestion, ClosedQuestions
from bftembed.bench.language.choices.prompts import harness_medqa
from bftembed.engines import AnswerStore, Completion, Engine, Scored, Scores
from bftembed.errors import DataError, EngineError, InputError

LETTERS = ("A", "B", "C", "D")
ROWS = [
    ClosedQuestion(
        f"q{i:02d}",
        f"Question {i}?",
        LETTERS,
        "ABAC"[i % 4],
        options=tuple(f"{'true' if LETTERS.index('ABAC'[i % 4]) == j else 'false'} {i}{j}" for j in range(4)),
        stratum="old" if i < 8 else "new",
    )
    for i in range(16)
]
STUDIES = [
    ClosedQuestion(f"s{i}", f"Did it help in {i}?", ("yes", "no", "maybe"), gold, context=("We tried.", f"{gold} {i}"))
    for i, gold in enumerate(["yes", "yes", "no", "maybe", "yes", "no"])
]


def ranked_by(problem, score):
    """Answers of a model that scores the options of a prompt by `score(prompt, options)`."""
    return {
        question.request.id: Answer(
            question.request.id,
            logprobs=tuple(score(question.request.raw or question.request.user, question.options)),
            censored=(False,) * len(question.options),
        )
        for question in problem.questions()
    }


def knows(prompt, options):
    """Likes the letter before an option that is true, and B where it sees none."""
    found = [line[0] for line in prompt.splitlines() if ") true" in line]
    return [-0.1 if option.strip() in found or (not found and option == " B") else -3.0 for option in options]


def loves_a(prompt, options):
    return [-0.5 - i for i in range(len(options))]


def evaluated(problem, answers):
    evaluation = problem.evaluate(answers, encoder=None)
    scores = {(score.method, score.metric): score.mean for score in evaluation.scores}
    return evaluation, scores, {(score.method, score.metric): score.mean for score in evaluation.baselines}


def test_who_knows_follows_the_text_wherever_it_stands():
    problem = ClosedQuestions(ROWS)
    evaluation, scores, rows = evaluated(problem, ranked_by(problem, knows))
    assert scores["ranked", "accuracy"] == scores["ranked", "position consistency"] == 1
    assert scores["ranked, mean of rotations", "accuracy"] == 1
    assert scores["ranked, less the prior", "accuracy"] == 0.75  # B is as likely without the question
    assert scores["ranked", "mean log-probability of the right answer"] == pytest.approx(-0.1)
    assert scores["ranked", "accuracy, new"] == 1
    assert rows["prior", "accuracy"] == 0.25  # always B
    assert rows["choices only", "accuracy"] == 1  # these options give the answer away
    assert evaluation.right == [True] * 16
    assert evaluation.items == [row.id for row in ROWS]


def test_who_loves_a_letter_is_found_out():
    problem = ClosedQuestions(ROWS)
    evaluation, scores, rows = evaluated(problem, ranked_by(problem, loves_a))
    assert scores["ranked", "accuracy"] == rows["prior", "accuracy"] == rows["majority", "accuracy"] == 0.5
    assert scores["ranked", "position consistency"] == 0
    assert scores["ranked, mean of rotations", "accuracy"] == 0  # all four are equally likely
    assert scores["ranked, less the prior", "accuracy"] == 0
    assert (evaluation.counts["gold A"], evaluation.counts["gold D"]) == (8, 0)


def test_fewer_orders_of_the_options_can_be_asked():
    problem = ClosedQuestions(ROWS, rotations=1)
    assert {question.row for question in problem.questions()} == {"", "choices only", "rotated by 1", "prior"}
    assert evaluated(problem, ranked_by(problem, knows))[1]["ranked", "position consistency"] == 1
    none = ClosedQuestions(ROWS, rotations=0)
    assert evaluated(none, ranked_by(none, loves_a))[1]["ranked, mean of rotations", "accuracy"] == 0.5


def test_the_rows_without_a_model_stand_beside_it():
    problem = ClosedQuestions(ROWS)
    _, _, rows = evaluated(problem, ranked_by(problem, loves_a))
    assert rows["chance", "accuracy"] == 0.25
    assert rows["longest option", "accuracy"] == 0  # "false" is longer
    assert rows["trained choices only", "accuracy"] == 1
    with_training = ClosedQuestions(STUDIES, training=[*STUDIES[2:4], STUDIES[5]])
    evaluation, scores, rows = evaluated(with_training, ranked_by(with_training, loves_a))
    assert rows["majority", "accuracy"] == pytest.approx(2 / 6)  # "no" in training
    assert ("trained text only", "macro F1") in rows
    assert scores["ranked", "macro F1"] == pytest.approx((2 * 3 / (6 + 3)) / 3)
    assert "3 other questions" in evaluation.notes[0]


def test_an_abstract_is_hidden_and_exchanged():
    problem = ClosedQuestions(STUDIES)

    def reads(prompt, options):
        return [0.0 if f"\n{option.strip()} " in prompt else -1.0 - i for i, option in enumerate(options)]

    _, scores, rows = evaluated(problem, ranked_by(problem, reads))
    assert scores["ranked", "accuracy"] == 1
    assert rows["question only", "accuracy"] == 0.5  # always yes
    assert rows["another's context", "accuracy"] == pytest.approx(1 / 6)  # only the first is followed by its like
    assert not any("rotated" in question.row for question in problem.questions())


def test_questions_without_an_answer_are_counted_and_wrong():
    problem = ClosedQuestions(ROWS)
    answers = ranked_by(problem, knows)
    answers["q00"] = Answer("q00", "too_long")
    answers["q01"] = Answer("q01", logprobs=(-1.0,) * 4, censored=(False,) * 4)
    answers["q02"] = Answer("q02", logprobs=(-9, -1, -9, -9), censored=(False, True, False, False))
    evaluation, scores, _ = evaluated(problem, answers)
    assert scores["ranked", "accuracy"] == scores["ranked", "answered"] == pytest.approx(13 / 16)
    assert scores["ranked", "accuracy of the answered"] == 1
    assert evaluation.counts["too long"] == evaluation.counts["censored"] == 1
    assert evaluation.counts["undecided"] == 2
    assert evaluation.right[:4] == [False, False, False, True]


def test_texts_are_read_and_what_cannot_be_is_wrong():
    problem = ClosedQuestions(ROWS, preset="cot")
    texts = {row.id: f"I reason.\nFinal answer: {row.gold}\nGood luck!" for row in ROWS}
    texts["q00"], texts["q01"] = "No idea.", f"I would say {ROWS[1].options[1]}."
    answers = {q.request.id: Answer(q.request.id, text=texts[q.item]) for q in problem.questions()}
    answers["q02"] = Answer("q02", "cut", text="Final answer: A")
    evaluation, scores, rows = evaluated(problem, answers)
    assert scores["written", "accuracy"] == pytest.approx(14 / 16)
    assert (evaluation.counts["unparsed"], evaluation.counts["cut"]) == (1, 1)
    assert rows["choices only", "accuracy"] == pytest.approx(15 / 16)
    assert ("prior", "accuracy") not in rows
    silent = {id: Answer(id, text="Hm.") for id in answers}
    assert evaluated(problem, silent)[1]["written", "accuracy"] == 0  # no letter by default


def test_equal_options_are_asked_but_count_as_released_only():
    double = ClosedQuestion("z", "Which?", LETTERS, "A", options=("x", "y", "y.", "z"))
    for preset in ("chat", "cot"):
        problem = ClosedQuestions([*ROWS, double], preset=preset)
        assert problem.removed == {"two options that say the same": 1}
        assert len(problem.items) == 16
        answers = {
            q.request.id: Answer(q.request.id, logprobs=(-9, -1, -9, -9), censored=(False,) * 4, text="Answer: B")
            for q in problem.questions()
        }
        _, scores, _ = evaluated(problem, answers)
        assert scores["written" if preset == "cot" else "ranked", "accuracy as released"] == pytest.approx(4 / 17)


def test_subsets_are_scored_each_and_with_what_was_released():
    again = ClosedQuestion("r", "Question 0?", LETTERS, "A", options=ROWS[0].options, stratum="new")
    problem = ClosedQuestions(ROWS, released=[again], subsets=True, removed={"also in old": 1})
    _, scores, rows = evaluated(problem, ranked_by(problem, loves_a))
    assert scores["ranked", "mean of subset means"] == 0.5
    assert scores["ranked", "accuracy as released"] == pytest.approx(9 / 17)
    assert scores["ranked", "accuracy as released, new"] == pytest.approx(5 / 9)
    assert ("ranked", "accuracy as released, old") not in scores
    assert rows["majority", "accuracy, old"] == 0.5


def test_questions_of_one_group_are_drawn_together():
    twins = [ClosedQuestion(f"t{i}", "?", LETTERS, "A", options=("x", "y", "z", "w"), group="t") for i in range(2)]
    problem = ClosedQuestions([*ROWS[:2], *twins])
    weights = problem._weights
    assert (weights[:, 2] == weights[:, 3]).all()
    assert all(score.right is None for score in evaluated(problem, ranked_by(problem, loves_a))[0].scores)
    apart = ClosedQuestions(ROWS)
    assert sum(evaluated(apart, ranked_by(apart, loves_a))[0].scores[0].right) == 8
    assert not (weights[:, 0] == weights[:, 1]).all()


@pytest.mark.parametrize(
    ("rows", "options", "error"),
    [
        ([ROWS[0], ROWS[0]], {}, DataError),
        (ROWS, {"released": [ROWS[0]]}, DataError),
        (ROWS, {"shots": 1}, InputError),
        (ROWS, {"preset": "harness"}, InputError),
        (STUDIES[:2], {"preset": "cot", "training": STUDIES[2:], "shots": 2}, InputError),
    ],
)
def test_what_cannot_be_asked_is_refused(rows, options, error):
    with pytest.raises(error):
        ClosedQuestions(rows, **options)


def test_examples_come_from_the_training_part():
    problem = ClosedQuestions(STUDIES[:2], training=STUDIES[2:], shots=3)
    turns = [turn["content"] for turn in problem.questions()[0].request.chat]
    assert sorted(turns[1::2]) == ["Answer: maybe", "Answer: no", "Answer: yes"]
    assert [len(question.request.chat) for question in problem.questions()] == [7] * 7


class Quiet(Engine):
    """Answers with the first line of what it is asked, counts that, and scores nothing."""

    name = "quiet"

    def __init__(self):
        self.n_asked = 0

    def describe(self):
        return {"engine": self.name}

    def _generate(self, requests, sampling):
        self.n_asked += len(requests)
        yield [Completion(request.id, f"Final answer: {request.user[9]}", "stop") for request in requests]


class Scoring(Quiet):
    def _score(self, requests, options, *, end):
        self.n_asked += len(requests)
        yield [
            Scores(request.id, tuple(Scored(-float(i), 1, True) for i in range(len(given))))
            for request, given in zip(requests, options, strict=True)
        ]


def test_an_engine_that_scores_nothing_is_refused_where_options_are_ranked(tmp_path):
    with AnswerStore(tmp_path / "answers.sqlite") as store:
        with pytest.raises(EngineError, match="`quiet` engine cannot score options; use `transformers`"):
            ClosedQuestions(ROWS).ask(Asker(Quiet(), store))
        written = ClosedQuestions(ROWS, preset="cot")
        assert len(written.ask(Asker(Quiet(), store))) == 32


@pytest.mark.parametrize("preset", ["chat", "harness", "cot"])
def test_nothing_is_asked_again_when_answers_are_read_again(tmp_path, preset, monkeypatch):
    engine, problem = Scoring(), ClosedQuestions(ROWS, preset=preset, harness=harness_medqa)
    with AnswerStore(tmp_path / "answers.sqlite") as store:
        problem.evaluate(problem.ask(Asker(engine, store)), encoder=None)
        asked = engine.n_asked
        monkeypatch.setattr("bftembed.bench.language.choices.answers.parse_answer", lambda text, choices, texts: "A")
        again = ClosedQuestions(ROWS, preset=preset, harness=harness_medqa)
        evaluation = again.evaluate(again.ask(Asker(engine, store)), encoder=None)
    assert engine.n_asked == asked
    assert np.mean(evaluation.right) == 0.5


def test_the_embedded_model_answers_by_rank_and_by_text(embedded, tmp_path):
    with AnswerStore(tmp_path / "answers.sqlite") as store:
        problem = ClosedQuestions(ROWS[:1], rotations=0)
        _, scores, _ = evaluated(problem, problem.ask(Asker(embedded, store)))
        assert scores["ranked", "answered"] == 1
        assert scores["ranked", "mean log-probability of the right answer"] < 0
        problem = ClosedQuestions(ROWS[:1], preset="cot", max_new_tokens=4)
        evaluation, _, _ = evaluated(problem, problem.ask(Asker(embedded, store)))
        assert evaluation.counts["cut"] == 1
