import json

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from bftembed.bench import HealthBench, read_results, run, task
from bftembed.bench.asking.asker import Asker
from bftembed.bench.language.health.problem import CONTROLS
from bftembed.data import given_file
from bftembed.engines import AnswerStore, Completion, Engine
from bftembed.errors import EngineError, InputError

#: Question, theme, and the statements with their points and axes.
DIALOGUES = [
    ("I burnt my hand on the stove.", "first_aid", [("cool water", 6, "accuracy"), ("butter", -4, "accuracy")]),
    ("My chest hurts and my arm is numb.", "emergency", [("emergency", 10, "completeness"), ("wait", -5, "accuracy")]),
    ("Can I take two painkillers?", "drugs", [("which", 3, "context"), ("doctor", 2, "context")]),
    ("How long does a cold last?", "first_aid", [("days", 5, "accuracy")]),
]
REPLIES = {
    "I burnt": "Hold it under cool water, then butter.",  # (6 - 4) / 6
    "My chest": "Just wait.",  # -5 / 10
    "Can I": "<think>Ask a doctor?</think>Tell me which ones.",  # 3 / 5: reasoning is no reply
    "How long": "A cold goes by in some days.",  # 5 / 5
}
SCORES = np.array([2 / 6, -0.5, 0.6, 1.0])


@pytest.fixture
def file(tmp_path):
    rows = [
        {
            "prompt_id": f"d{n}",
            "prompt": [{"role": "user", "content": question}],
            "rubrics": [{"criterion": f"Says: {w}", "points": p, "tags": [f"axis:{axis}"]} for w, p, axis in rubrics],
            "example_tags": [f"theme:{theme}"],
        }
        for n, (question, theme, rubrics) in enumerate(DIALOGUES)
    ]
    path = tmp_path / "dialogues.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path


class Model(Engine):
    """Replies as the table says."""

    name = "model"

    def __init__(self, **finish):
        self.finish, self.n_asked = finish, 0

    def describe(self):
        return {"engine": self.name, **self.finish}

    def _generate(self, requests, sampling):
        self.n_asked += len(requests)
        for request in requests:
            question = request.chat[-1]["content"]
            [(begin, reply)] = [pair for pair in REPLIES.items() if question.startswith(pair[0])]
            finish = self.finish.get(begin.split()[0], "stop")
            error = {"error": "prompt and max_new_tokens=1024 exceed the model's window"} if finish == "error" else {}
            yield [Completion(request.id, "" if error else reply, finish, **error)]


class Judge(Engine):
    """Looks for the word of the statement in the reply; refuses to judge some words, and errs in the other order."""

    name = "judge"

    def __init__(self, *, silent="", wrong_if_swapped=False):
        self.silent, self.wrong, self.n_asked = silent, wrong_if_swapped, 0

    def describe(self):
        return {"engine": self.name, "silent": self.silent, "wrong": str(self.wrong)}

    def _generate(self, requests, sampling):
        self.n_asked += len(requests)
        for request in requests:
            text = request.user
            word = text.partition("Says: ")[2].partition("\n")[0]
            reply = text.partition("### Reply\n")[2].partition("\n\n")[0]
            swapped = text.index("### Statement") < text.index("### Dialogue")
            met = (word in reply) != (self.wrong and swapped)
            said = (
                "I cannot say."
                if self.silent in (word, "all")
                else json.dumps({"explanation": "x", "criteria_met": met})
            )
            yield [Completion(request.id, said, "stop")]


@pytest.fixture
def evaluated(file, tmp_path):
    def evaluate(model, judge):
        problem = HealthBench.read(file)
        with AnswerStore(tmp_path / "answers.sqlite") as store:
            answers = problem.ask(Asker(model, store, judge=Asker(judge, store)))
        return problem.evaluate(answers, encoder=None)

    return evaluate


def values(scores):
    return {f"{score.method}: {score.metric}": score.mean for score in scores}


def test_a_dialogue_scores_what_its_reply_earns(evaluated):
    found = evaluated(Model(), Judge())
    assert found.items == ["d0", "d1", "d2", "d3"]
    assert values(found.scores) == pytest.approx(
        {
            "judged: rubric score": SCORES.mean(),
            "judged: rubric score, theme drugs": 0.6,
            "judged: rubric score, theme emergency": 0.0,  # clipped
            "judged: rubric score, theme first_aid": (2 / 6 + 1) / 2,
            "judged: rubric score, axis accuracy": (2 / 6 + 1) / 2,  # "emergency" has nothing to earn by it
            "judged: rubric score, axis completeness": 0.0,
            "judged: rubric score, axis context": 0.6,
        }
    )
    # The constant reply names a doctor (2 of 5) and an emergency (10 of 10).
    assert values(found.baselines) == pytest.approx(
        {"empty reply: rubric score": 0.0, "see a doctor: rubric score": (0.4 + 1) / 4}
    )
    assert all(score.to_beat for score in found.baselines)
    assert found.counts == {
        "criteria": 7,
        "criteria without a verdict": 0,
        "dialogues without a verdict": 0,
        "replies that were cut": 0,
        "prompts beyond the window": 0,
        "words of a reply, median": 5,
    }


def test_replicates_are_those_of_the_dialogues_and_paired_with_other_models(evaluated):
    one, other = (evaluated(Model(**finish), Judge()).scores[0] for finish in ({}, {"How": "error"}))
    assert one.draws.shape == (1000,)
    assert 0 <= one.draws.min() < SCORES.mean() < one.draws.max() <= 1
    assert (other.draws <= one.draws).all()  # the same dialogues were drawn; one of them scores less


def test_prompts_beyond_the_window_score_nothing_and_cut_replies_are_judged(evaluated):
    judge = Judge()
    found = evaluated(Model(How="error", I="length"), judge)
    assert found.scores[0].mean == pytest.approx((SCORES[:3].sum() + 0) / 4)
    assert found.counts["prompts beyond the window"] == 1
    assert found.counts["replies that were cut"] == 1


def test_what_the_judge_does_not_say_counts_on_neither_side(evaluated):
    found = evaluated(Model(), Judge(silent="butter"))
    assert found.scores[0].mean == pytest.approx((1 + SCORES[1:].sum()) / 4)  # 6 of 6 in the first
    assert found.counts["criteria without a verdict"] == 1
    alone = evaluated(Model(), Judge(silent="days"))
    assert alone.scores[0].mean == pytest.approx(SCORES[:3].mean())
    assert alone.counts["dialogues without a verdict"] == 1
    with pytest.raises(EngineError, match="no verdict that can be read"):
        evaluated(Model(), Judge(silent="all"))


@pytest.mark.parametrize("share", [0.05, 1.0])
def test_some_criteria_are_judged_twice(evaluated, monkeypatch, share):
    monkeypatch.setattr("bftembed.bench.language.health.problem._SECOND", share)
    good, bad = (evaluated(Model(), Judge(wrong_if_swapped=wrong)) for wrong in (False, True))
    if share < 1:
        assert "1 of 1 verdicts were the same" in good.notes[0]
        assert "0 of 1 verdicts were the same" in bad.notes[0]
        return
    truth = [True, True, False, True, True, False, True]
    assert values(good.scores)["judged: kappa of the judge"] == 1
    expected = cohen_kappa_score(truth, [not each for each in truth])
    assert values(bad.scores)["judged: kappa of the judge"] == pytest.approx(expected)
    assert f"0 of 7 verdicts were the same (Cohen's kappa {expected:.2f})" in bad.notes[0]
    assert good.scores[0].mean == bad.scores[0].mean  # the second order is for agreement alone


def test_a_part_is_the_same_whatever_else_there_is(file):
    two, three = ({each.prompt_id for each in HealthBench.read(file, n=n).dialogues} for n in (2, 3))
    assert len(two) == 2
    assert two < three


def test_a_run_asks_nothing_twice_and_needs_another_judge(file, tmp_path):
    @task(
        name="mine", kind="language", mode="generate", judged=True, files=("dialogues",), title="Mine", data=(),
        main_score="rubric score", licence="own", citation="none",
    )  # fmt: skip
    def mine(fast):
        return HealthBench.read(given_file("dialogues"))

    from bftembed.bench.sources.model import Model as Source

    model, judge, files = Model(), Judge(), {"dialogues": file}
    [without] = run([mine], [Source(model, label="m")], tmp_path / "none", files=files)
    assert "--judge ENGINE" in without.reason
    [itself] = run([mine], [Source(model, label="m")], tmp_path / "itself", judge=model, files=files)
    assert "is the model that is judged" in itself.reason
    assert model.n_asked == judge.n_asked == 0
    [result] = run([mine], [Source(model, label="m")], tmp_path / "out", judge=judge, files=files)
    assert result.scores[0].mean == pytest.approx(SCORES.mean())
    n = len(DIALOGUES), 7 * 3 + 1
    assert (model.n_asked, judge.n_asked) == n
    [again] = run([mine], [Source(model, label="m")], tmp_path / "out", judge=judge, files=files, overwrite="always")
    assert (model.n_asked, judge.n_asked) == n
    assert again.scores == result.scores
    assert len(read_results(tmp_path / "out")) == 1


def test_the_controls_are_replies(file):
    assert CONTROLS["empty reply"] == ""
    assert "doctor" in CONTROLS["see a doctor"]
    with pytest.raises(InputError, match="--judge"):
        HealthBench.read(file).ask(Asker(Model(), None))
