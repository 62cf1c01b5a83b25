"""Counts and baselines are those that the data are known to have; nothing of the test stands in evidence."""

import functools
import re

import numpy as np
import pytest

from bftembed import data
from bftembed.bench import Answer, find_tasks
from bftembed.bench.language.perturbations.pairs import balanced, checked_pairs
from bftembed.bench.language.perturbations.questions import PRESETS
from bftembed.bench.scoring.metrics import auroc, plain
from bftembed.errors import DataError

TASKS = {task.name.partition(".")[2]: task for task in find_tasks(names=["perturbation_reasoning"], presets=PRESETS)}
WITHIN = ["k562_de", "k562_dir", "rpe1_de", "rpe1_dir"]
ACROSS = ["k562_to_rpe1_de", "k562_to_rpe1_dir", "rpe1_to_k562_de", "rpe1_to_k562_dir"]
#: Rows; of the test rows, with label 1, perturbations, genes with both labels, balanced pairs, genes with 3 of each.
KNOWN = {
    "k562_de": (157_679, 23_212, 3119, 267, 665, 2604, 173),
    "k562_dir": (19_980, 3119, 2530, 242, 150, 718, 51),
    "rpe1_de": (187_089, 37_942, 5365, 406, 684, 3162, 226),
    "rpe1_dir": (26_652, 5365, 2121, 381, 193, 1164, 69),
}
#: Balanced within the gene in train: pairs, genes, pairs if at most four of each are taken.
TRAIN = {
    "k562_de": (16_018, 1232, 6620),
    "k562_dir": (6764, 448, 2046),
    "rpe1_de": (12_718, 1148, 5792),
    "rpe1_dir": (4780, 373, 1890),
}
#: AUROC per gene of the vote and of its squared kernel; pooled AUROC and accuracy of the gene rate on the whole test.
BASELINES = {
    "k562_de": (0.640, 0.650, 0.957, 0.934),
    "k562_dir": (0.762, 0.776, 0.851, 0.844),
    "rpe1_de": (0.589, 0.595, 0.978, 0.955),
    "rpe1_dir": (0.664, 0.690, 0.940, 0.866),
}


@functools.cache
def loaded(name):
    return TASKS[name].load(False)


def test_all_presets_of_all_data_are_tasks():
    names = {name if preset == "described" else f"{name}.{preset}" for name in WITHIN + ACROSS for preset in PRESETS}
    assert set(TASKS) == names
    for name, task in TASKS.items():
        assert task.info.is_default == ("." not in name and "_to_" not in name)
        assert task.info.mode == ("generate" if name.endswith(".steps") else "rank")
        assert "Non-Commercial" in task.info.licence


def test_tasks_on_data_of_the_user_are_run_by_name_alone(mirror):
    others = find_tasks(names=["perturbation_reasoning"], presets=[f"drug_{preset}" for preset in PRESETS])
    assert {task.name.partition(".")[2] for task in others} == {
        name if preset == "described" else f"{name}.{preset}"
        for name in ("vcworld_de", "vcworld_dir")
        for preset in PRESETS
    }
    assert not any("vcworld" in task.name for task in find_tasks(names=["perturbation_reasoning"]))
    (named,) = find_tasks(names=["perturbation_reasoning.vcworld_de"])
    assert named.info.files[:2] == ("pairs_de", "h5ad")
    with pytest.raises(DataError, match="`--file pairs_de=TABLE` or `--file h5ad=CELLS`"):
        named.load(False)


@pytest.mark.parametrize("name", WITHIN)
def test_counts_are_those_of_the_data(mirror, name):
    pairs = checked_pairs(data.load("perturbqa", name))
    test, train = pairs[pairs["split"] == "test"], pairs[pairs["split"] == "train"]
    rarer = test.groupby("readout")["label"].agg(lambda label: min(label.sum(), (~label).sum()))
    assert (
        len(pairs),
        len(test),
        test["label"].sum(),
        test["pert"].nunique(),
        (rarer > 0).sum(),
        balanced(test).sum(),
        (rarer >= 3).sum(),
    ) == KNOWN[name]
    taken = train[balanced(train)]
    few = balanced(train, most=4).sum()
    assert (len(taken), taken["readout"].nunique(), few) == TRAIN[name]


@pytest.mark.parametrize("name", WITHIN)
def test_baselines_without_a_language_model(mirror, name):
    problem = loaded(name)
    assert problem.removed == {}
    evidence, asked, sample = problem.evidence, problem.asked, problem.sample
    vote, squared, pooled, right = BASELINES[name]
    assert sample.plain_per_gene(evidence.vote(asked)) == pytest.approx(vote, abs=0.005)
    assert sample.plain_per_gene(evidence.vote(asked, power=2)) == pytest.approx(squared, abs=0.005)
    rate, label = evidence.rate(problem.test), problem.test["label"].to_numpy()
    assert plain(auroc, label, rate) == pytest.approx(pooled, abs=0.001)
    assert np.mean((rate > 0.5) == label) == pytest.approx(right, abs=0.001)
    assert sample.plain_per_gene(evidence.rate(asked)) == 0.5
    assert len(problem.items) == len(asked) == sum(asked.groupby("readout")["label"].transform("nunique") == 2)


@pytest.mark.parametrize("name", ["k562_dir", "rpe1_dir"])
def test_rows_beside_a_score(mirror, name):
    problem = loaded(name)
    answers = {q.request.id: Answer(q.request.id, "ok", (-1.0, -2.0), (False, False)) for q in problem.questions()}
    evaluation = problem.evaluate(answers)
    found = {(score.method, score.metric): score.mean for score in [*evaluation.scores, *evaluation.baselines]}
    for method in ("rank", "gene rate in train", "majority in train", "prior"):
        assert found[method, "accuracy balanced in genes"] == 0.5
    assert found["rank", "auroc per gene"] == found["gene rate in train", "auroc per gene"] == 0.5
    assert found["retrieval only, texts shuffled", "auroc per gene"] == pytest.approx(0.5, abs=0.02)
    for metric, value in zip(("pooled auroc", "pooled accuracy"), BASELINES[name][2:], strict=True):
        assert found["gene rate in train, all pairs of the test", f"{metric} (a warning)"] == pytest.approx(
            value, abs=0.001
        )
    assert found["10 nearest neighbours", "auroc per gene"] < found["retrieval only", "auroc per gene"]
    assert evaluation.counts["pairs asked"] + evaluation.counts["pairs of the test that are not asked"] == len(
        problem.test
    )


LINE = re.compile(
    r"^- knocking down (\S+?)(?: in \S+ cells)?: (\S+) (?:changed|did not change|rose|fell)$", re.MULTILINE
)


def check_prompts(name, fast):
    """No evidence of any prompt is of a tested perturbation; how many lines of evidence there are."""
    line = name.split(".")[0].rpartition("_")
    tests = data.load("perturbqa", f"{line[0].rpartition('_')[2]}_{line[2]}")
    tests = tests[tests["split"] == "test"]
    tested, pairs = set(tests["pert"]), set(zip(tests["pert"], tests["gene"], strict=True))
    n_lines = 0
    for question in TASKS[name].load(fast).questions():
        shown = LINE.findall(question.request.user)
        assert len(shown) == question.request.user.count("\n- ")
        assert not any(pert in tested or (pert, gene) in pairs for pert, gene in shown), question.request.id
        n_lines += len(shown)
    return n_lines


@pytest.mark.parametrize("name", ["k562_dir.evidence", "rpe1_to_k562_dir.evidence_as_released"])
def test_nothing_of_the_test_stands_in_evidence(mirror, name):
    assert check_prompts(name, fast=False) > 15_000


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(TASKS))
def test_nothing_of_the_test_stands_in_any_prompt_of_any_task(mirror, name):
    assert (check_prompts(name, fast=False) > 0) == name.endswith(("evidence", "released", "shuffled", "steps"))


@pytest.mark.parametrize("name", ["k562_dir", "rpe1_to_k562_dir"])
def test_a_fast_run_is_balanced(mirror, name):
    problem = TASKS[name].load(True)
    assert len(problem.items) == 96
    assert len(problem.questions()) <= 96 + 24 + 1
    assert problem.sample.balanced.all()


def test_across_cell_lines_all_but_the_question_is_of_the_other(mirror):
    problem = TASKS["k562_to_rpe1_dir.evidence"].load(False)
    train, test = (data.load("perturbqa", name) for name in ("k562_dir", "rpe1_dir"))
    train, test = train[train["split"] == "train"], test[test["split"] == "test"]
    lost = train["pert"].isin(test["pert"]).sum()
    assert problem.removed == {"training pairs of a perturbation that is tested": lost}
    assert len(problem.evidence.rows) == len(train) - lost
    assert set(problem.evidence.rows["cell"]) == set(problem.references["cell"]) == {"K562"}
    assert set(problem.asked["cell"]) == {"RPE1"}
    prompt = problem.questions()[0].request.user
    assert "in RPE1 cells" in prompt
    assert "Measured in K562 cells:" in prompt
    assert len(problem.asked) == 2845


def test_published_figures_stand_beside():
    figures = {each.model: each.value for each in TASKS["rpe1_dir.evidence"].info.published}
    assert figures == {"GEARS": 0.61, "retrieval only": 0.63, "SUMMER": 0.64}
    assert len(TASKS["k562_de"].info.published) == 6
    assert TASKS["k562_to_rpe1_de"].info.published == ()
