import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from bftembed.bench.language.health.rubrics import Dialogue, read_dialogues
from bftembed.errors import DataError


def row(id="1", *, points=(5, -2), tags=("axis:accuracy",), **changes):
    rubrics = [{"criterion": f"Statement {n}", "points": each, "tags": list(tags)} for n, each in enumerate(points)]
    prompt = [{"role": "user", "content": "Is a fever of 38 dangerous?"}]
    return {"prompt_id": id, "prompt": prompt, "rubrics": rubrics, "example_tags": ["theme:hedging"], **changes}


def written(directory, *rows):
    file = directory / "dialogues.jsonl"
    file.write_text("".join(f"{each if isinstance(each, str) else json.dumps(each)}\n" for each in rows), "utf-8")
    return file


def test_dialogues_are_read_with_what_they_ask(tmp_path):
    # A line separator within a text ends no line of the file.
    odd = row("b", prompt=[{"role": "user", "content": "One\u2028two\x85three"}], canary="unread", example_tags=[])
    text = json.dumps(odd, ensure_ascii=False)
    dialogues, removed = read_dialogues(written(tmp_path, text, "", row("a")))
    assert [(each.prompt_id, each.theme, each.most) for each in dialogues] == [("a", "hedging", 5), ("b", "", 5)]
    assert dialogues[1].prompt[0].content == "One\u2028two\x85three"
    assert removed == {}


def test_what_cannot_be_scored_is_removed_and_counted(tmp_path):
    rows = [row("a"), row("a", points=(9,)), row("b", points=(-1,)), row("c", rubrics=[])]
    dialogues, removed = read_dialogues(written(tmp_path, *rows))
    assert [(each.prompt_id, each.most) for each in dialogues] == [("a", 5)]
    assert removed == {"id that was there before": 1, "nothing to earn": 2}


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ("{", "all of it: Invalid JSON"),
        (row("b", prompt=[{"role": "assistant", "content": "Yes."}]), "the last is `user`"),
        (row("b", prompt=[]), "prompt: Tuple should have at least 1 item"),
        (row("b", prompt=[{"role": "doctor", "content": "Yes."}]), "prompt.0.role"),
        (row("b", points=["many"]), "rubrics.0.points"),
        (row("b", points=[float("inf")]), "rubrics.0.points"),
        ({key: value for key, value in row().items() if key != "rubrics"}, "rubrics: Field required"),
        (row(""), "prompt_id"),
    ],
)
def test_a_line_that_is_no_dialogue_is_named(tmp_path, bad, message):
    with pytest.raises(DataError, match=rf"Line 2 of `.*dialogues.jsonl` is no dialogue with criteria: .*{message}"):
        read_dialogues(written(tmp_path, row("a"), bad))


def test_files_without_dialogues(tmp_path):
    with pytest.raises(DataError, match="holds no dialogue whose criteria give points"):
        read_dialogues(written(tmp_path, row(points=(-3,))))
    with pytest.raises(DataError, match="cannot be read"):
        read_dialogues(tmp_path / "none.jsonl")
    (tmp_path / "latin.jsonl").write_bytes(b"\xe9")
    with pytest.raises(DataError, match="cannot be read"):
        read_dialogues(tmp_path / "latin.jsonl")
    with pytest.raises(ValidationError, match="system"):
        Dialogue.model_validate(row(prompt=[{"role": r, "content": "x"} for r in ("user", "system", "user")]))


@given(st.lists(st.tuples(st.integers(-10, 10), st.sampled_from([True, False, None])), min_size=1, max_size=6))
def test_scores_are_points_earned_of_those_to_earn(cases):
    points, met = zip(*cases, strict=True)
    score = Dialogue.model_validate(row(points=points)).score(met)
    known = [(p, m) for p, m in cases if m is not None]
    most = sum(p for p, _ in known if p > 0)
    if most == 0:
        assert np.isnan(score)
    else:
        assert score == sum(p for p, m in known if m) / most
        assert score <= 1


def test_an_axis_has_criteria_of_its_own():
    rubrics = [
        {"criterion": "a", "points": 4, "tags": ["axis:accuracy", "level:example"]},
        {"criterion": "b", "points": 1, "tags": ["axis:completeness"]},
        {"criterion": "c", "points": -2, "tags": ["axis:accuracy", "axis:completeness"]},
    ]
    dialogue = Dialogue.model_validate(row(rubrics=rubrics))
    assert dialogue.score([True, False, True], axis="accuracy") == 0.5
    assert dialogue.score([True, False, True], axis="completeness") == -2
    assert np.isnan(dialogue.score([True, False, True], axis="communication"))


def test_a_byte_order_mark_is_no_part_of_the_first_line(tmp_path):
    file = written(tmp_path, "\ufeff" + json.dumps(row()))
    assert read_dialogues(file) == read_dialogues(written(tmp_path, row()))
