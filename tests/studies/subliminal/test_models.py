import numpy as np
import pytest
import torch

from bftembed.engines import Request, TransformersEngine
from bftembed.errors import DataError
from bftembed.studies.subliminal.models import counted, likings, margin
from bftembed.studies.subliminal.words import ASKED


@pytest.fixture(scope="module")
def engine(letters_model):
    return TransformersEngine(str(letters_model), dtype="float32")


def test_a_word_is_scored_as_a_whole_with_its_end(engine):
    found = likings(engine, ASKED[:2], ["owl", "ox"], "")
    model, tokenizer = engine.load()
    for row, question in enumerate(ASKED[:2]):
        for column, word in enumerate(("owl", "ox")):
            prompt = tokenizer(engine.render(Request("1", question)), add_special_tokens=False)["input_ids"]
            ids = [*prompt, *tokenizer(word)["input_ids"], tokenizer.eos_token_id]
            with torch.no_grad():
                logprobs = model(torch.tensor([ids])).logits[0].log_softmax(-1)
            steps = range(len(prompt), len(ids))
            assert found[row, column] == pytest.approx(sum(float(logprobs[n - 1, ids[n]]) for n in steps), abs=1e-4)


def test_a_question_that_does_not_fit_is_an_error(engine):
    with pytest.raises(DataError, match="could not be scored"):
        likings(engine, ["Which? " * 100], ["owl"], "")


def test_answers_are_counted_as_whole_words(engine, tmp_path, monkeypatch):
    said = iter(["Owl.", " owl", "owls", "dog", "an owl", "DOG\n"])

    class Answer:
        def __init__(self):
            self.text = next(said)

    def answers(requests, **_):
        return [Answer() for _ in requests]

    monkeypatch.setattr("bftembed.studies.subliminal.models.complete_stored", answers)
    assert counted(engine, ASKED[:3], ["owl", "dog"], "", draws=2, place=tmp_path) == [2, 2]


def test_a_margin_is_over_the_mean_of_all():
    assert margin([-3.0, -6.0, -9.0], 0) == 3
    assert margin(np.array([-3.0, -6.0, -9.0]), 2) == -3
