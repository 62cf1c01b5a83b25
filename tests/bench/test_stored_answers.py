"""Answers are read back with their prompts, and nothing is asked."""

import pytest

from bftembed.bench import Model, read_answers, run
from bftembed.errors import DataError, InputError


@pytest.mark.parametrize("mode", ["rank", "generate"])
def test_every_question_with_its_answer(mode, tmp_path, echo, letters):
    engine = echo("C")
    run([letters(mode)], [Model(engine, label="echo")], tmp_path)
    n = len(engine.asked)
    table = read_answers(tmp_path, letters(mode), "echo")
    assert len(engine.asked) == n == len(table)
    first = table.iloc[0]
    assert (first["item"], first["row"], first["gold"], first["status"]) == ("q0", "", "A", "ok")
    assert first["prompt"] == "user: Letter q0?\n\nassistant: Answer:"
    if mode == "rank":
        assert first["options"] == (" A", " B", " C", " D")
        assert first["logprobs"] == (-2.0, -2.0, -1.0, -2.0)
        assert table.iloc[-1]["row"] == "prior"
    else:
        assert first["text"] == "It is C"


def test_what_was_not_asked_is_no_answer(tmp_path, planted, planted_task, echo, letters):
    with pytest.raises(DataError, match=r"has no answers of `echo` to toy\.letters"):
        read_answers(tmp_path, letters(), "echo")
    run([letters(), planted_task()], [planted(), Model(echo(), label="echo")], tmp_path)
    with pytest.raises(DataError, match="has no answers of `planted`"):
        read_answers(tmp_path, letters(), "planted")
    with pytest.raises(DataError, match="whole and fast runs differ"):
        read_answers(tmp_path, letters(), "echo", fast=True)
    with pytest.raises(InputError, match=r"`toy.parity` asks no language model"):
        read_answers(tmp_path, planted_task(), "echo")
    with pytest.raises(DataError, match=r"toy\.letters asks other questions now"):
        read_answers(tmp_path, letters("generate"), "echo")
