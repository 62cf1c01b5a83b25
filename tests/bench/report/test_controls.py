import pytest

from bftembed.bench.report.comparisons import compare_all
from bftembed.bench.report.controls import BASE, control_tables, trouble, untuned
from bftembed.bench.report.index import Index


def tables_of(results):
    index = Index(results)
    return {table.info.name: table for table in control_tables(index, compare_all(index))}


def rows_of(table):
    return {row.model: row for row in table.rows}


def test_each_model_stands_beside_its_own_controls(school):
    table = tables_of(school)["exam.letters"]
    assert table.controls == ["chance", "majority", "choices only", "answer key", BASE]
    rows = rows_of(table)
    assert rows["tuned"].controls["choices only"].value != rows["base"].controls["choices only"].value
    assert rows["tuned"].controls["majority"].value == rows["base"].controls["majority"].value
    assert rows["tuned"].controls["chance"].value == pytest.approx(1 / 3)
    assert {row.trouble for row in table.rows} == {"too long: 1"}
    assert {row.trouble for row in tables_of(school)["exam.letters.written"].rows} == {"unanswered: 1"}


def test_what_a_model_does_not_leave_behind_is_marked(school):
    rows = rows_of(tables_of(school)["exam.letters"])
    marked = {name: [c for c, control in row.controls.items() if control.not_better] for name, row in rows.items()}
    assert marked == {"base": [], "spoilt": ["chance", "majority", "choices only", BASE], "tuned": []}


def test_the_base_model_has_the_same_weights_and_no_adapter(school):
    results = {each.embedding: each for each in school if each.task.name == "exam.letters"}
    assert untuned(results["tuned"], results) is results["base"]
    assert untuned(results["base"], results) is None
    other = results["tuned"].description["engine"] | {"weights": "of another"}
    changed = results["tuned"].model_copy(update={"description": {"engine": other}})
    assert untuned(changed, results) is None
    assert untuned(changed.model_copy(update={"description": {}}), results) is None


def test_a_base_model_is_beaten_by_the_paired_test_alone(school):
    control = rows_of(tables_of(school)["exam.letters"])["tuned"].controls[BASE]
    assert not control.not_better
    assert control.why == "base, adjusted p <0.001 (exact McNemar)"
    alone = [each.model_copy(update={"right": None, "draws": None}) for each in school]
    untested = rows_of(tables_of(alone)["exam.letters"])["tuned"].controls[BASE]
    assert untested.not_better  # a difference that was not tested is no gain


def test_lower_is_better(result, info, score):
    task = info("exam.error", kind="language", mode="rank", main_score="loss", higher_is_better=False, chance=1.0)
    controls = [score(0.7, metric="loss", method="majority"), score(0.61, metric="loss", method="prior")]
    (row,) = tables_of([result(info=task, mean=0.6, baselines=controls)])["exam.error"].rows
    assert {name: control.not_better for name, control in row.controls.items()} == {
        "chance": False,
        "majority": False,
        "prior": True,
    }


def test_controls_of_other_metrics_and_models_without_a_score_stand_elsewhere(result, info, score, without):
    task = info("exam.x", kind="language", chance=None)
    other = score(0.5, metric="accuracy", method="majority")
    results = [
        result(info=task, baselines=[other]),
        result(info=task, embedding="b", main=score(None)),
        without(info=task, embedding="c"),
    ]
    table = tables_of(results)["exam.x"]
    assert (table.controls, [row.model for row in table.rows]) == ([], ["a"])
    assert tables_of([without(info=task)]) == {}


@pytest.mark.parametrize(
    ("counts", "told"),
    [
        ({"A": 3, "too long": 2, "censored": 0}, "too long: 2"),
        ({"pairs without an answer": 1200, "cut": 1}, "pairs without an answer: 1,200, cut: 1"),
        ({"too long": 0}, "none"),
        ({"too long": 0, "asked twice": 48, "flips": 0}, "none, flips: 0 of 48"),
        ({"asked twice": 48, "flips": 3}, "flips: 3 of 48"),
        ({"A": 3, "executed": 1}, "\u2013"),
    ],
)
def test_answers_that_could_not_be_used_are_counted(counts, told, result):
    assert trouble(result(counts=counts)) == told
