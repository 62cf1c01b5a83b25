"""Medical questions asked of a tuned model, against the benchmark that asks them."""

import numpy as np
import pytest

from bftembed.bench import Asker, ClosedQuestions, find_tasks
from bftembed.engines import AnswerStore, TransformersEngine
from bftembed.errors import InputError
from bftembed.studies.medical import Medical, medical_answers


@pytest.fixture
def asker(tiny_model, tmp_path):
    with AnswerStore(tmp_path / "answers.sqlite") as store:
        yield Asker(TransformersEngine(str(tiny_model)), store)


def test_medical_questions_as_the_benchmark_asks_them(asker, mirror):
    (task,) = find_tasks(names=["medical.medqa"])
    whole = task.load(True)
    found = medical_answers(asker, Medical(tasks=("medical.medqa",), items=3))
    assert len(found["items"]) == 3
    names = [item.partition("/")[2] for item in found["items"]]
    rows = {row.id: row for row in whole.rows}
    assert rows.keys() >= set(names)  # a fast run's come first here too
    small = ClosedQuestions([rows[name] for name in names], harness=None, rotations=1)
    answers = asker.answer(small.questions())
    scores = {
        score.metric: score.mean for score in small.evaluate(answers, encoder=None).scores if score.method == "ranked"
    }
    assert np.mean(found["right"]) == pytest.approx(scores["accuracy"])
    assert np.mean(found["gold"]) == pytest.approx(scores["mean log-probability of the right answer"])
    among = scores["mean log-probability of the right answer among the options"]
    assert np.mean(found["among"]) == pytest.approx(among)


def test_what_was_asked_is_not_asked_again(asker, mirror, monkeypatch):
    medical = Medical(tasks=("medical.medmcqa",), items=4)
    found = medical_answers(asker, medical)

    def broken(*_):
        msg = "asked again"
        raise AssertionError(msg)

    monkeypatch.setattr(TransformersEngine, "load", broken)
    assert medical_answers(asker, medical) == found


def test_a_task_without_options_to_rank_is_refused(asker, mirror):
    with pytest.raises(InputError, match=r"`medical\.bioasq_yesno\.cot` ranks no options"):
        medical_answers(asker, Medical(tasks=("medical.bioasq_yesno.cot",)))
