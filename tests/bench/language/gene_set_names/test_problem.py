"""Naming by models that are known: one that knows, one that says nothing, one that says too much."""

import pytest

from bftembed.bench import Answer, Asker, SetNames, gene_set
from bftembed.bench.language.gene_set_names.problem import PRIOR
from bftembed.encoders import get_encoder
from bftembed.engines import AnswerStore, Completion, Engine, Sampling
from bftembed.naming import TermSets, clean_name

TERMS = TermSets(
    {
        "mismatch repair (GO:1)": ["MLH1", "MSH2", "MSH6", "PMS2"],
        "DNA repair (GO:2)": ["MLH1", "MSH2", "BRCA1", "BRCA2", "RAD51", "XPA"],
        "oxygen transport (GO:3)": ["HBA1", "HBB", "MB"],
        "kinases (GO:4)": ["ABL1", "EGFR", "SRC"],
    }
)
SETS = [
    gene_set("GO:1", "mismatch repair", ["MLH1", "MSH2", "MSH6", "PMS2"]),
    gene_set("GO:3", "oxygen transport", ["HBA1", "HBB", "MB"]),
    gene_set("x", "Homologous recombination", ["BRCA1", "BRCA2", "RAD51"]),
]


class Speaker(Engine):
    """Writes what a function of the prompt gives."""

    name = "speaker"

    def __init__(self, say):
        self.say, self.asked = say, []

    def describe(self):
        return {"engine": "speaker"}

    def _generate(self, requests, sampling):
        self.asked += requests
        for request in requests:
            yield [Completion(request.id, self.say(request.user), "stop")]


def knows(prompt):
    """The name of the set whose genes all stand in the prompt; else that there is none."""
    genes = set(prompt.splitlines()[0].removeprefix("These genes were found together: ").strip(".").split(", "))
    name = next((each.name for each in SETS if set(each.genes) == genes), "System of unrelated proteins")
    return f"Process: {name}\nConfidence: 0.9"


@pytest.fixture
def problem(mirror):
    return SetNames(SETS, terms=TERMS, knows_terms=True, background=["golgi", "Translation", "zzz"], removed={"x": 1})


def asked(problem, engine, tmp_path):
    with AnswerStore(tmp_path / "answers.sqlite") as store:
        return problem.ask(Asker(engine, store))


def by_row(scores):
    return {(score.method, score.metric): score for score in scores}


def test_a_model_that_knows_and_one_that_says_nothing(problem, letters, tmp_path):
    found = problem.evaluate(asked(problem, Speaker(knows), tmp_path), encoder=letters)
    rows = by_row(found.scores)
    assert found.scores[0].metric == "percentile"
    assert rows["language model", "percentile"].mean == rows["language model", "exact match"].mean == 1
    assert found.counts["without a name"] == found.counts["called unrelated"] == 0
    prior = by_row(found.baselines)[PRIOR, "exact match"]
    assert prior.mean == 0
    assert found.items == ["GO:1", "GO:3", "x"]
    silent = problem.evaluate(asked(problem, Speaker(lambda prompt: ""), tmp_path / "b"), encoder=letters)
    assert {score.mean for score in silent.scores} == {0}
    assert silent.counts["without a name"] == 3


def test_controls_know_only_what_they_may(problem, letters):
    answers = {question.request.id: Answer(question.request.id, "too_long") for question in problem.questions()}
    found = problem.evaluate(answers, encoder=letters)
    rows = by_row(found.baselines)
    assert found.counts["too long"] == 3
    assert rows["enrichment (knows the term)", "exact match"].mean == pytest.approx(2 / 3)
    assert not rows["enrichment (knows the term)", "exact match"].to_beat
    assert rows["enrichment", "exact match"].mean == 0
    assert rows["enrichment", "exact match"].to_beat
    assert rows["name of another set", "exact match"].mean == 0
    assert rows["best constant name", "rouge-l"].mean >= rows["name of another set", "rouge-l"].mean
    assert rows[PRIOR, "percentile"].mean == 0
    assert "among 6 names" in found.notes[1]
    assert problem.removed == {"x": 1}


def test_sets_that_are_no_terms_have_one_row_of_enrichment(mirror, letters):
    problem = SetNames(SETS, terms=TERMS)
    answers = {question.request.id: Answer(question.request.id, "too_long") for question in problem.questions()}
    methods = {score.method for score in problem.evaluate(answers, encoder=letters).baselines}
    assert methods == {"best constant name", "name of another set", "enrichment", PRIOR}


def test_no_name_and_no_id_stands_in_a_prompt(problem):
    questions = problem.questions()
    assert len(questions) == 6
    assert len({question.request.id for question in questions}) == 6
    for question in questions:
        text = clean_name(" ".join(map(str, question.request.content)))
        assert not any(clean_name(name) in text for name in [*TERMS.sets, *(each.name for each in SETS), "GO:1"])
        own = next(each.genes for each in SETS if each.id == question.item)
        shown = set(question.request.user.splitlines()[0].rstrip(".").replace(",", "").split())
        assert set(own).isdisjoint(shown) if question.row else set(own) <= shown


def test_sets_of_one_name_are_drawn_together(mirror, letters):
    twins = [*SETS, gene_set("y", "mismatch-repair", ["MSH3", "MSH2"])]
    problem = SetNames(twins, terms=TERMS)
    groups = [item.group for item in problem.items]
    assert groups == ["mismatch repair", "oxygen transport", "homologous recombination", "mismatch repair"]


def test_with_the_embedded_model(problem, embedded, tmp_path):
    problem.sampling = Sampling(max_new_tokens=8)
    answers = asked(problem, embedded, tmp_path)
    found = problem.evaluate(answers, encoder=get_encoder("default"))
    assert found.counts["sets"] == 3
    assert len(answers) == 6
    percentiles = by_row(found.baselines)["enrichment (knows the term)", "percentile"]
    assert percentiles.mean > 2 / 3


def test_names_that_depend_on_the_order_of_the_genes(mirror, tmp_path):
    def by_first(prompt):
        first = prompt.splitlines()[0].removeprefix("These genes were found together: ").split(", ")[0]
        return f"Process: process of {first}"

    def when_sorted(prompt):  # and no name else
        return "Process: repair" if any(", ".join(each.genes) in prompt for each in SETS) else ""

    for say, share in ((knows, 1.0), (by_first, 0.0), (when_sorted, 0.0), (lambda prompt: "", 0.0)):
        problem = SetNames(SETS, terms=TERMS, orders=8)
        engine = Speaker(say)
        evaluation = problem.evaluate(asked(problem, engine, tmp_path / str(share)), encoder=get_encoder("default"))
        (agreement,) = (score for score in evaluation.scores if score.metric == "same name in every order")
        assert agreement.mean == share
        assert len({request.user for request in engine.asked}) > 3 * len(SETS)
        (tmp_path / str(share) / "answers.sqlite").unlink()
    plain = {question.request.id: question.request for question in SetNames(SETS, terms=TERMS).questions()}
    ordered = {question.request.id: question.request for question in SetNames(SETS, terms=TERMS, orders=2).questions()}
    assert {name: ordered[name] for name in plain} == plain


def test_large_sets_show_fewer_genes_where_that_is_asked_for(mirror):
    problem = SetNames(SETS, terms=TERMS, max_genes=3)
    shown = {question.item: question.request.user for question in problem.questions() if not question.row}
    assert [sum(gene in shown[each.id] for gene in each.genes) for each in SETS] == [3, 3, 3]
    assert problem._counts["sets cut to 3 genes"] == 1
    again = SetNames(SETS[::-1], terms=TERMS, max_genes=3)
    assert {question.item: question.request.user for question in again.questions() if not question.row} == shown
