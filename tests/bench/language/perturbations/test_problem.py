"""The whole problem: what is asked, and that a model that knows scores and one that does not does not."""

import re

import numpy as np
import pytest

from bftembed.bench import Answer, Asker
from bftembed.bench.language.perturbations.problem import N_REFERENCES
from bftembed.bench.language.perturbations.questions import PRESETS
from bftembed.engines import AnswerStore
from bftembed.errors import DataError, InputError


def rows(scores):
    return {(score.method, score.metric): score.mean for score in scores}


def asked(problem, engine, path):
    with AnswerStore(path / "answers.sqlite") as store:
        return problem.evaluate(problem.ask(Asker(engine, store)))


def knowing(problem):
    """A rule that knows the answer of each pair, beside a preference of the gene."""
    truth = {tuple(row) for row in problem.asked.loc[problem.asked["label"], ["pert", "gene"]].to_numpy()}

    def rule(prompt):
        names = re.search(r"The gene (\w+) is knocked down .* the gene (\w+) change", prompt)
        return 0.5 if names is None else (1 if names.groups() in truth else -1) + 5 * (names[2] in ("G1", "G2"))

    return rule


@pytest.mark.parametrize("preset", PRESETS)
def test_what_is_asked(problem, preset):
    made = problem(preset)
    questions = made.questions()
    main = [question for question in questions if not question.row]
    assert [question.item for question in main] == [item.id for item in made.items] == sorted(i.id for i in made.items)
    assert len({question.request.id for question in questions}) == len(questions)
    assert {q.row for q in questions} - {""} == {
        "steps": set(),
        "evidence": {"training pairs", "prior", "shuffled evidence"},
    }.get(preset, {"training pairs", "prior"})
    tested = set(made.test["pert"])
    for question in questions:
        assert question.options == (() if preset == "steps" else (" yes", " no"))
        shown = re.findall(
            r"^- knocking down (\w+): (\w+) (changed|did not change)$", question.request.user, re.MULTILINE
        )
        assert len(shown) == (10 if "evidence" in preset or preset == "steps" else 0) * (question.row != "prior")
        assert not {pert for pert, _, _ in shown} & tested
        assert ("A part of the" in question.request.user) == (preset != "bare" and question.row != "prior")
    golds = made.asked.set_index(["pert", "gene"])["label"]
    for item in made.items:
        pert, gene, _ = item.id.split("|")
        assert item.gold == ("yes" if golds[pert, gene] else "no")
        assert item.choices == ("yes", "no")


def test_evidence_is_true_and_shuffled_evidence_is_not(problem):
    truth = problem().evidence.rows.set_index(["pert", "gene"])["label"]
    wrong = {}
    for preset in ("evidence", "evidence_as_released", "evidence_shuffled"):
        prompts = [question.request.user for question in problem(preset).questions() if not question.row]
        shown = [found for prompt in prompts for found in re.findall(r"down (\w+): (\w+) (changed|did not)", prompt)]
        wrong[preset] = np.mean([truth[pert, gene] != (seen == "changed") for pert, gene, seen in shown])
    assert wrong["evidence"] == wrong["evidence_as_released"] == 0
    assert wrong["evidence_shuffled"] > 0.3


def test_training_pairs_are_asked_about_asked_genes_and_not_shown_their_own_answer(problem):
    made = problem("evidence")
    references = made.references
    assert set(references["answers_for"]) == set(made.asked["readout"])
    assert references.groupby("readout").size().max() == N_REFERENCES
    for question in made.questions():
        if question.row == "training pairs":
            pert = question.item.split("|")[0]
            assert pert not in set(made.test["pert"])
            assert f"knocking down {pert}:" not in question.request.user


def test_a_model_that_knows(problem, ruled, tmp_path):
    made = problem()
    evaluation = asked(made, ruled(knowing(made)), tmp_path)
    found = rows(evaluation.scores)
    assert evaluation.scores[0].metric == "auroc per gene"
    assert found["rank", "auroc per gene"] == 1
    assert 0.5 < found["rank", "accuracy balanced in genes"] < 1  # what it says of G1 and G2 is yes
    assert found["rank", "auroc per perturbation"] < found["contrast", "auroc per perturbation"]
    assert found["rank", "answered"] == 1
    base = rows(evaluation.baselines)
    gain = found["rank", "auroc per gene, less retrieval only"]
    assert gain == pytest.approx(1 - base["retrieval only", "auroc per gene"])
    assert base["retrieval only", "auroc per gene"] > 0.8
    assert base["gene rate in train", "auroc per gene"] == 0.5
    assert base["prior", "accuracy balanced in genes"] == 0.5
    assert evaluation.counts["pairs asked"] == len(made.items) == len(evaluation.items)
    assert evaluation.right is None
    assert any("is 0.500" in note for note in evaluation.notes)


def test_a_constant_answer_is_worth_nothing(problem, ruled, tmp_path):
    found = rows(asked(problem(), ruled(lambda _: 3.0), tmp_path).scores)
    for method in ("rank", "contrast"):
        assert found[method, "auroc per perturbation"] == 0.5
    assert found["rank", "auroc per gene"] == found["rank", "accuracy balanced in genes"] == 0.5
    assert found["contrast", "accuracy balanced in genes"] == 0  # neither above nor below itself


def test_a_model_that_reads_evidence_is_undone_by_shuffling(problem, ruled, tmp_path):
    def rule(prompt):
        return prompt.count(" changed") - prompt.count(" did not change") + 0.1

    evaluation = asked(problem("evidence"), ruled(rule), tmp_path)
    found, base = rows(evaluation.scores), rows(evaluation.baselines)
    assert found["rank", "auroc per gene"] > 0.8
    assert abs(base["shuffled evidence", "auroc per gene"] - 0.5) < 0.2
    alone = asked(problem("evidence_shuffled"), ruled(rule), tmp_path / "alone")
    assert rows(alone.scores)["rank", "auroc per gene"] == base["shuffled evidence", "auroc per gene"]


def test_steps_are_three_texts_with_a_seed_each(problem, ruled, tmp_path):
    made = problem("steps")
    engine = ruled(knowing(made))
    evaluation = asked(made, engine, tmp_path)
    assert rows(evaluation.scores)["generate", "auroc per gene"] > 0.5
    seeds = [sampling.seed for _, sampling in engine.prompts]
    assert sorted(set(seeds)) == [0, 1, 2]
    assert {(s.temperature, s.top_p) for _, s in engine.prompts} == {(0.6, 0.9)}
    assert len(seeds) == 3 * len(made.items)


def test_fast_asks_a_part_of_the_whole(problem, planted):
    pairs, _, _ = planted
    more = pairs.assign(split=np.where(pairs["pert"] < "P30", "test", "train"))
    whole, part = problem(pairs=more), problem(pairs=more, fast=True)
    assert {item.id for item in part.items} <= {item.id for item in whole.items}
    assert len(part.items) == 8 * part.asked["readout"].nunique() < len(whole.items)
    assert part.evidence.rows.equals(whole.evidence.rows)


def test_the_same_again_in_any_order_of_rows(problem, planted):
    pairs, _, _ = planted
    one, two = problem("evidence"), problem("evidence", pairs=pairs.sample(frac=1, random_state=1))
    assert [q.request.content for q in one.questions()] == [q.request.content for q in two.questions()]
    assert [item.id for item in one.items] == [item.id for item in two.items]


def test_missing_texts_are_counted(problem, planted):
    _, texts, _ = planted
    made = problem(pert_texts={name: text for name, text in texts.items() if name != "P00"}, gene_texts={})
    counts = made.evaluate({q.request.id: answer(q.request.id) for q in made.questions()}).counts
    assert counts["perturbations without text"] == 1
    assert counts["genes without text"] == made.asked["gene"].nunique()
    assert "too long" in counts


def answer(name, status="ok"):
    return Answer(name, status, (-1.0, -2.0) if status == "ok" else (), (False, False) if status == "ok" else ())


def test_prompts_beyond_the_window_are_counted_and_wrong(problem):
    made = problem()
    answers = {q.request.id: answer(q.request.id, "ok" if i else "too_long") for i, q in enumerate(made.questions())}
    evaluation = made.evaluate(answers)
    assert evaluation.counts["too long"] == evaluation.counts["pairs without an answer"] == 1
    assert rows(evaluation.scores)["rank", "answered"] == 1 - 1 / len(made.items)
    silent = made.evaluate({q.request.id: answer(q.request.id, "too_long") for q in made.questions()})
    found = rows(silent.scores)
    assert found["rank", "auroc per gene"] == 0.5
    assert found["rank", "accuracy balanced in genes"] == found["rank", "f1"] == 0


def test_what_cannot_be_asked_is_refused(problem, planted):
    pairs, _, _ = planted
    with pytest.raises(DataError, match="No pair is of train"):
        problem(pairs=pairs[pairs["split"] == "test"])
    with pytest.raises(DataError, match="the split is broken"):
        problem(pairs=pairs.assign(split=["train", *["test"] * (len(pairs) - 1)]))
    with pytest.raises(InputError, match="`preset` must be one of bare, described"):
        problem("none")
    with pytest.raises(InputError, match="`mode` must be one of de, dir"):
        problem(mode="up")


def test_drugs(planted, problem):
    pairs, texts, _ = planted
    drugs = {name: f"drug {name}" for name in texts}
    made = problem(
        "evidence",
        mode="dir",
        perturbation="drug",
        cell="",
        pairs=pairs.assign(pert=pairs["pert"].map(drugs)),
        pert_texts={drugs[name]: text for name, text in texts.items()},
    )
    prompt = made.questions()[0].request.user
    assert "Human cells are treated with drug P00." in prompt
    assert re.search(r"^- treatment with drug P\d\d: G\d (rose|fell)$", prompt, re.MULTILINE)
    assert made.items[0].id.count("|") == 1


def test_the_embedded_model_answers(problem, planted, embedded, tmp_path):
    pairs, _, _ = planted
    few = pairs[(pairs["gene"] < "G1") & pairs["pert"].isin(["P00", "P01", *(f"P{i}" for i in range(20, 30))])]
    evaluation = asked(problem(pairs=few), embedded, tmp_path)
    assert len(evaluation.items) == 2
    assert evaluation.counts["too long"] == 0
    assert rows(evaluation.scores)["rank", "answered"] == 1
