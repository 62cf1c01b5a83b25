"""Every medical task loads with the numbers that its data are known to have, and no prompt says the answer."""

import re
from collections import Counter

import numpy as np
import pytest

from bftembed import data
from bftembed.bench import find_tasks
from bftembed.bench.language.choices.prompts import (
    ClosedQuestion,
    choice_request,
    harness_medmcqa,
    harness_medqa,
    harness_mmlu,
    harness_pubmedqa,
)
from bftembed.errors import DataError

NAMES = ("medqa", "medmcqa", "pubmedqa", "mmlu_medical", "bioasq_yesno")
PRESETS = ("chat", "harness", "cot")
TASKS = {
    task.name.partition(".")[2]: task
    for task in find_tasks(names=[f"medical.{name}" for name in NAMES], presets=PRESETS)
}
_PROBLEMS = {}


def full(name):
    if name not in _PROBLEMS:
        _PROBLEMS[name] = TASKS[name].load(False)
    return _PROBLEMS[name]


def rows_of(name):
    """Scores of the rows that ask no model, by method and metric."""
    return {(score.method, score.metric): score for score in full(name)._without_model}


def test_each_data_set_has_its_presets():
    assert set(TASKS) == {
        *NAMES,
        *(f"{name}.harness" for name in NAMES[:-1]),
        *(f"{name}.cot" for name in NAMES),
    }
    assert {name for name, task in TASKS.items() if task.info.is_default} == set(NAMES)
    assert {task.info.mode for name, task in TASKS.items() if name.endswith(".cot")} == {"generate"}
    assert [name for name, task in TASKS.items() if not task.info.ranked] == ["bioasq_yesno", "bioasq_yesno.cot"]


@pytest.mark.parametrize(
    ("name", "n", "gold"),
    [
        ("medqa", 1273, {"A": 353, "B": 309, "C": 346, "D": 265}),
        ("medmcqa", 4183, {"A": 1348, "B": 1085, "C": 925, "D": 825}),
        ("pubmedqa", 500, {"yes": 276, "no": 169, "maybe": 55}),
        ("mmlu_medical", 1089, None),
        ("bioasq_yesno", 48, {"yes": 29, "no": 19}),
    ],
)
def test_questions_and_right_answers_are_as_many_as_known(mirror, name, n, gold):
    problem = full(name)
    everything = [*problem.rows, *problem.released]
    assert len(everything) == n
    assert gold is None or Counter(row.gold for row in everything) == gold
    assert len(problem.items) == n - sum(problem.removed.values())


def test_what_is_left_out_is_counted(mirror):
    assert full("mmlu_medical").removed == {"also in clinical_knowledge": 78}
    assert full("medmcqa").removed == {"two options that say the same": 21}
    assert full("medqa").removed == full("pubmedqa").removed == full("bioasq_yesno").removed == {}
    groups = Counter(item.group for item in full("medmcqa").items)
    assert Counter(groups.values()) == {1: 4136, 2: 13}


def test_strata_are_those_of_the_data(mirror):
    assert Counter(row.stratum for row in full("medqa").rows) == {"step1": 679, "step2&3": 594}
    assert Counter(row.stratum for row in full("mmlu_medical").rows) == {
        "anatomy": 135,
        "clinical_knowledge": 265,
        "college_biology": 144,
        "college_medicine": 95,
        "medical_genetics": 100,
        "professional_medicine": 272,
    }
    assert {row.stratum for row in full("mmlu_medical").released} == {"college_medicine"}
    assert len({row.stratum for row in full("medmcqa").rows}) == 21


@pytest.mark.parametrize(
    ("id", "gold"),
    [
        (
            "45258d3d-b974-44dd-a161-c3fccbdadd88",
            "Impulse through myelinated fibers is slower than non-myelinated fibers",
        ),
        ("849b1909-c988-4d0b-8eaf-a716707cbe97", "Division"),
        ("f1f7b5b5-1446-4c3b-b863-6f933689cb95", "Movement at fracture site"),
    ],
)
def test_the_right_answer_of_medmcqa_is_the_one_that_its_explanation_gives(mirror, id, gold):
    """`cop` counts from 1 in this file; read from 0 every answer would be the next one."""
    row = next(row for row in full("medmcqa").rows if row.id == id)
    assert row.options[row.choices.index(row.gold)] == gold


def test_letters_that_explanations_of_medmcqa_name_are_the_right_answers(mirror):
    named = {
        row["id"]: match[1].upper()
        for row in data.load("medmcqa")
        if (match := re.match(r"Ans(?:wer)?\W{0,4}\(?([A-Da-d])\W", row["exp"] or ""))
    }
    agree = [named[row.id] == row.gold for row in full("medmcqa").rows if row.id in named]
    assert len(agree) > 500
    assert np.mean(agree) > 0.95


def test_none_and_na_are_texts(mirror):
    options = [option for row in full("medmcqa").rows for option in row.options]
    assert options.count("None") > 20
    assert all(type(option) is str for row in full("mmlu_medical").rows for option in row.options)


@pytest.mark.parametrize(("name", "share"), [("medqa", 0.277), ("medmcqa", 0.322), ("pubmedqa", 0.552)])
def test_a_constant_scores_what_is_known(mirror, name, share):
    score = rows_of(name)["majority", "accuracy"]
    assert score.mean == pytest.approx(share, abs=0.001)


def test_constants_of_subsets_score_what_is_known(mirror):
    known = {
        "anatomy": 0.333,
        "clinical_knowledge": 0.298,
        "college_biology": 0.264,
        "medical_genetics": 0.300,
        "professional_medicine": 0.449,
    }
    found = {name: rows_of("mmlu_medical")["majority", f"accuracy, {name}"].mean for name in known}
    assert found == pytest.approx(known, abs=0.001)
    medicine = [row for row in full("mmlu_medical").released if row.stratum == "college_medicine"]
    medicine += [row for row in full("mmlu_medical").rows if row.stratum == "college_medicine"]
    gold = Counter(row.gold for row in medicine)
    assert max(gold.values()) / 173 == pytest.approx(0.335, abs=0.001)


@pytest.mark.parametrize(
    ("name", "row", "share"),
    [
        ("medqa", "trained choices only", 0.269),
        ("medmcqa", "trained choices only", 0.346),
        ("pubmedqa", "trained text only", 0.598),
        ("medqa", "longest option", 0.273),
        ("medmcqa", "longest option", 0.300),
    ],
)
def test_words_and_rules_of_thumb_score_what_is_known(mirror, name, row, share):
    assert rows_of(name)[row, "accuracy"].mean == pytest.approx(share, abs=0.02)


def test_people_score_what_is_quoted(mirror):
    files = data.load("pubmedqa")
    right = [files["questions"][id]["reasoning_required_pred"] == gold for id, gold in files["test"].items()]
    (quoted,) = TASKS["pubmedqa"].info.published
    assert np.mean(right) == pytest.approx(quoted.value)


def test_published_figures_stand_in_the_column_of_their_protocol_with_a_metric_of_its(mirror):
    cot, ranked = set(), set()
    for name, task in TASKS.items():
        figures = {(figure.model, figure.value) for figure in task.info.published if "person" not in figure.model}
        assert not figures or name.endswith((".cot", ".harness"))
        (cot if name.endswith(".cot") else ranked).update(figures)
    assert cot
    assert not cot & ranked
    metrics = {figure.metric for figure in TASKS["mmlu_medical.harness"].info.published}
    assert {"accuracy, anatomy", "accuracy as released, college_medicine"} < metrics


def _prompt(question):
    request = question.request
    return request.raw or "\n".join(turn["content"] for turn in request.chat)


def _template(row, preset, harness):
    """The prompt of a question of the same shape whose parts are marks, and those marks."""
    parts = {"Q": row.question, **{f"O{i}": text for i, text in enumerate(row.options)}}
    parts |= {f"C{i}": text for i, text in enumerate(row.context)}
    marks = {name: f"<<{name}>>" if text else "" for name, text in parts.items()}
    marked = ClosedQuestion(
        "<<id>>",
        marks["Q"],
        row.choices,
        "<<gold>>",
        options=tuple(marks[f"O{i}"] for i in range(len(row.options))),
        context=tuple(marks[f"C{i}"] for i in range(len(row.context))),
        stratum=row.stratum,
        group="<<group>>",
    )
    request = choice_request("", marked, preset, harness=harness)
    return request.raw or request.user, parts


_MARK = re.compile("<<(.*?)>>")


def _filled(template, parts):
    return _MARK.sub(lambda mark: parts[mark[1]], template)


@pytest.mark.parametrize("name", TASKS)
def test_a_prompt_depends_on_nothing_but_question_options_and_context(mirror, name):
    """So none holds an answer, an explanation, a conclusion, or whatever else the data have."""
    problem, preset = full(name), TASKS[name].info.preset
    shown = {"": problem.rows, "as released": problem.released, **problem._controls()}
    by_id = {(row.id, control): row for control, rows in shown.items() for row in rows}
    n = 0
    for question in problem.questions():
        if question.row == "prior":
            assert len(_prompt(question)) < 140
            continue
        template, parts = _template(by_id[question.item, question.row], preset, problem._harness)
        assert not set(_MARK.findall(template)) - set(parts)
        without_ends = parts | {"Q": parts["Q"].strip()}
        assert _prompt(question) in (_filled(template, parts), _filled(template, without_ends))
        n += 1
    assert n >= len(problem.rows)


@pytest.mark.parametrize("preset", PRESETS)
def test_explanations_and_conclusions_stand_in_no_prompt(mirror, preset):
    suffix = "" if preset == "chat" else f".{preset}"
    explained = {row["id"]: (row["exp"] or "").strip() for row in data.load("medmcqa")}
    inside = {
        question.item
        for question in full(f"medmcqa{suffix}").questions()
        if len(explained.get(question.item, "")) > 40 and explained[question.item] in _prompt(question)
    }
    assert not inside
    questions = data.load("pubmedqa", "questions")
    for question in full(f"pubmedqa{suffix}").questions():
        assert question.item == "" or questions[question.item]["LONG_ANSWER"] not in _prompt(question)


def test_ideal_answers_stand_in_no_prompt(mirror):
    ideal = {
        row["id"]: row["ideal_answer"] if isinstance(row["ideal_answer"], list) else [row["ideal_answer"]]
        for batch in ("batch1", "batch2")
        for row in data.load("bioasq", batch)["questions"]
    }
    for question in full("bioasq_yesno").questions():
        assert not any(answer in _prompt(question) for answer in ideal.get(question.item, ()))


@pytest.mark.parametrize(
    ("name", "render"),
    [
        ("medqa", harness_medqa),
        ("medmcqa", harness_medmcqa),
        ("pubmedqa", harness_pubmedqa),
        ("mmlu_medical", harness_mmlu),
    ],
)
def test_the_harness_preset_asks_with_the_prompts_of_lm_eval(mirror, name, render):
    problem = full(f"{name}.harness")
    asked = {question.item: question.request.raw for question in problem.questions() if not question.row}
    assert asked == {row.id: render(row) for row in problem.rows}


def test_data_that_are_not_at_hand_are_named_with_the_way_to_them(tmp_path, monkeypatch):
    """They are fetched when they are needed; nothing answers here."""
    monkeypatch.setenv("BFTEMBED_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("BFTEMBED_MIRROR", str(tmp_path))
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    with pytest.raises(DataError, match=r"medqa_us_4opt_test.jsonl could not be had[^~]*point BFTEMBED_MIRROR at"):
        TASKS["medqa"].load(False)


@pytest.mark.parametrize("name", TASKS)
def test_a_fast_run_asks_a_balanced_part(mirror, name):
    problem = TASKS[name].load(True)
    n = 4 if name.endswith(".cot") else 16
    sets = Counter(row.stratum for row in problem.rows) if "mmlu" in name else Counter({"": len(problem.rows)})
    assert set(sets.values()) == {n}
    gold = Counter(row.gold for row in problem.rows)
    assert max(gold.values()) - min(gold.values()) <= 1 or "mmlu" in name
    assert {row.id for row in problem.rows} <= {row.id for row in full(name).rows}
    assert not problem.released
