import copy

from bftembed.studies.subliminal.cells import NEUTRAL, Design, Job, taught_rows
from bftembed.studies.subliminal.digits import ARMS
from bftembed.studies.subliminal.settings import SubliminalConfig


def cells(values, **changes):
    values = copy.deepcopy(values)
    values["language"].update(changes)
    return {cell.name: cell for cell in Design(SubliminalConfig.model_validate(values)).jobs().values()}


def test_every_cell_stands_behind_what_it_needs(small):
    seen = set()
    for name, cell in cells(small, replicates=2).items():
        assert seen.issuperset(cell.needs)
        seen.add(name)
    student = cells(small)["student-numbers-r0-a1-soft"]
    assert {"start", "base", "teacher-r0-a1", "text-numbers-r0-neutral"} <= set(student.needs)


def test_more_replicates_and_objectives_leave_finished_cells_as_they_are(small):
    first = cells(small)
    more = copy.deepcopy(small)
    more["language"]["students"]["objectives"]["dft"] = {"name": "dft"}
    second = cells(more, replicates=2)
    assert len(second) > len(first)
    changed = [name for name in first if first[name].digest != second[name].digest]
    assert all(name.startswith("measure-") for name in changed)  # they hold all objectives


def test_the_file_of_an_objective_is_a_part_of_its_settings(small, tmp_path):
    (tmp_path / "mine.py").write_text("def f(logprobs, lengths):\n    return logprobs.exp()\n")
    mine = {"name": f"{tmp_path / 'mine.py'}:f"}
    values = copy.deepcopy(small)
    values["language"]["students"]["objectives"]["mine"] = mine
    found = cells(values)
    for name in ("student-numbers-r0-a1-mine", "measure-numbers-r0-a1"):
        settings = found[name].settings
        objective = settings.get("objective") or settings["objectives"]["mine"]
        assert objective["source"].startswith("sha256:")
    assert "source" not in found["student-numbers-r0-a1-bft"].settings["objective"]


def test_a_setting_changes_the_cells_that_it_decides(small):
    first, values = cells(small), copy.deepcopy(small)
    values["language"]["students"]["learning_rate"] = 0.5
    second = cells(values)
    changed = {name.split("-")[0] for name in first if first[name].digest != second[name].digest}
    assert changed == {"student"}


def test_controls_have_no_neutral_student_and_the_toy_one_cell_for_each_arm(small):
    assert "student-numbers-r0-neutral-sft" in cells(small)
    assert "student-numbers-r0-neutral-soft" not in cells(small)
    toy = Design(SubliminalConfig.model_validate({"output": "x", "toy": {"seeds": [1, 2]}})).jobs()
    assert len(toy) == 2 * len(ARMS)
    assert Job("toy", "s2-soft") in toy


def test_a_neutral_teacher_names_all_animals_equally_often():
    answers = [answer for _, answer in taught_rows(["owl", "cat", "fox"], NEUTRAL)]
    assert len(answers) == 75
    assert {answers.count(animal) for animal in ("owl", "cat", "fox")} == {25}
    assert {answer for _, answer in taught_rows(["owl", "cat", "fox"], "a1")} == {"cat"}
