"""What is refused, and that what hangs on it is refused too."""

import copy

import pytest

from bftembed.studies.subliminal.cells import NEUTRAL, Job
from bftembed.studies.subliminal.settings import SubliminalConfig
from bftembed.studies.subliminal.stages import Stages

BASE = {"animals": ["owl", "dog", "cat"], "logprobs": [-9.0, -9.0, -9.0]}


@pytest.fixture
def stages(small, tmp_path):
    def make(**teachers):
        values = copy.deepcopy(small)
        values["language"]["teachers"] |= teachers
        values["language"]["carrier"]["practice"] = 0
        if teachers.get("kind") == "prompt":
            values["language"] |= {"controls": [], "measured": 0}
        return Stages(SubliminalConfig.model_validate(values).language, lambda cell: tmp_path / cell)

    return make


def test_a_teacher_whose_margin_does_not_rise_is_refused(stages):
    result = stages(kind="prompt", least=2.0).run(Job("teacher", "", "", 0, "a1"), {"base": BASE})
    assert result["rise"] < 2
    assert result["refused"].startswith("teacher: the margin of `teacher-r0-a1` rose by")
    assert result["refused"].endswith("less than 2")
    neutral = stages(kind="prompt", least=2.0).run(Job("teacher", "", "", 0, NEUTRAL), {"base": BASE})
    assert "refused" not in neutral


def test_what_is_no_list_is_refused_and_all_that_needs_it(stages):
    made = stages(kind="prompt", least=-100.0)
    results = {"base": BASE, "teacher-r0-a0": {"steps": 0}}
    text = made.run(Job("text", "", "numbers", 0, "a0"), results)
    assert text["kept"] == [False] * 12
    assert text["refused"] == "yield: 0% of what `text-numbers-r0-a0` wrote are lists, fewer than 60%"
    student = made.run(Job("student", "sft", "numbers", 0, "a0"), results | {"text-numbers-r0-a0": text})
    assert student == {"refused": text["refused"]}


def test_too_few_lists_that_all_teachers_wrote(stages):
    kept = [True] * 6 + [False] * 6
    texts = {f"text-numbers-r0-{name}": {"texts": ["1, 2"] * 12, "kept": kept} for name in ("a0", "a1", "a2")}
    texts["text-numbers-r0-neutral"] = {"texts": ["1, 2"] * 12, "kept": kept[::-1]}
    result = stages().run(Job("student", "sft", "numbers", 0, "a0"), {"base": BASE, **texts})
    assert result == {"refused": "yield: 0 lists of all teachers together are too few for `student-numbers-r0-a0-sft`"}
    assert "yield: no list" in stages().run(Job("measure", "", "numbers", 0, "a0"), {"base": BASE, **texts})["refused"]


def test_all_teachers_of_a_replicate_get_the_same_prompts_and_others_in_the_next(stages):
    made = stages()
    prompts = [
        made._prompts(Job("text", "", "numbers", r, teacher)) for r, teacher in ((0, "a0"), (0, "a1"), (1, "a0"))
    ]
    assert prompts[0] == prompts[1] != prompts[2]
