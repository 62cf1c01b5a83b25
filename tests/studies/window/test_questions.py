"""Medical questions asked of a tuned model."""

import pytest

from bftembed.engines import TransformersEngine
from bftembed.errors import InputError
from bftembed.studies.window.config import Medical
from bftembed.studies.window.questions import ask


def test_what_was_asked_is_not_asked_again(tiny_model, mirror, tmp_path, monkeypatch):
    engine = TransformersEngine(str(tiny_model), dtype="float32")
    medical = Medical(tasks=("medical.medmcqa",), items=4)
    found = ask(engine, medical, tmp_path / "answers.sqlite")
    assert found["right"] in {0, 0.25, 0.5, 0.75, 1}
    assert found["gold"] < 0

    def broken(*_):
        msg = "asked again"
        raise AssertionError(msg)

    monkeypatch.setattr(TransformersEngine, "load", broken)
    assert ask(engine, medical, tmp_path / "answers.sqlite") == found
    with pytest.raises(AssertionError, match="asked again"):
        ask(engine, medical, tmp_path / "others.sqlite")
    with pytest.raises(InputError, match=r"medmcqa.cot` ranks no options"):
        ask(engine, Medical(tasks=("medical.medmcqa.cot",)), tmp_path / "others.sqlite")
