"""Naming with a check, by a model that says what a test wants at each stage."""

import pytest

from bftembed.bench import Answer, Asker, find_tasks, gene_set
from bftembed.bench.language.gene_set_names.checked import BEFORE, CheckedSetNames
from bftembed.encoders import get_encoder
from bftembed.engines import AnswerStore, Completion, Engine, Sampling
from bftembed.naming import TermSets, clean_name

TERMS = TermSets(
    {
        "mismatch repair (GO:1)": ["MLH1", "MSH2", "MSH6", "PMS2"],
        "repair of DNA damage (GO:2)": ["MLH1", "MSH2", "MSH6", "BRCA1"],
        "kinases (GO:4)": ["ABL1", "EGFR", "SRC"],
        "others (GO:5)": [f"OTHER{i}" for i in range(60)],
    }
)
SETS = [
    gene_set("GO:1", "mismatch repair", ["MLH1", "MSH2", "MSH6", "PMS2"]),
    gene_set("x", "signaling", ["ABL1", "EGFR", "SRC"]),
]


class Staged(Engine):
    """Names a set rightly after the check alone; tells the stage by the words of the prompt."""

    name = "staged"

    def __init__(self, **answers):
        self.answers, self.asked = answers, []

    def describe(self):
        return {"engine": "staged"}

    def _generate(self, requests, sampling):
        self.asked += requests
        yield [Completion(one.id, self._say(one.chat[-1]["content"], one.chat), "stop") for one in requests]

    def _say(self, prompt, chat):
        if "were checked against data" in prompt:
            mismatch = "MLH1, MSH2" in chat[1]["content"]
            return self.answers.get("revision", f"Process: {'mismatch repair' if mismatch else 'signaling'}")
        if "JSON list" in prompt:
            return self.answers.get("claims", '["MLH1 takes part in repair."]')
        if "TOOL:" in prompt:
            return "TOOL: enrichment(all)\nTOOL: nothing(x)"
        return "Verdict: supported 1" if "Evidence:" in prompt else "Process: something\nConfidence: 0.5"


@pytest.fixture
def problem(mirror):
    return CheckedSetNames(SETS, terms=TERMS, knows_terms=True, background=["golgi", "translation"])


def asked(problem, engine, tmp_path):
    with AnswerStore(tmp_path / "answers.sqlite") as store:
        return problem.ask(Asker(engine, store))


def test_the_last_name_is_scored_and_the_first_stands_beside_it(problem, letters, tmp_path):
    engine = Staged()
    answers = asked(problem, engine, tmp_path)
    found = problem.evaluate(answers, encoder=letters)
    exact = {score.method: score.mean for score in [*found.scores, *found.baselines] if score.metric == "exact match"}
    assert (exact["language model"], exact[BEFORE]) == (1, 0)
    assert found.counts["names changed by the check"] == 2
    assert found.counts["claims supported"] == 1  # the other set has nothing to do with repair
    assert (found.counts["calls of tools"], found.counts["calls refused"]) == (2, 2)
    assert not any("mismatch repair" in request.chat[-1]["content"] for request in engine.asked)  # its own term
    n = len(engine.asked)
    assert asked(problem, engine, tmp_path) == answers
    assert len(engine.asked) == n


@pytest.mark.parametrize("answer", ["no list", "", '["a", 1]'])
def test_a_set_whose_claims_cannot_be_read_keeps_its_name(problem, letters, tmp_path, answer):
    found = problem.evaluate(asked(problem, Staged(claims=answer), tmp_path), encoder=letters)
    assert found.counts["failed at claims, kept"] == 2
    assert found.counts["without a name"] == 0
    assert found.counts["names changed by the check"] == 0


def test_a_prompt_that_is_too_long_for_a_stage_loses_no_set(problem, letters, tmp_path):
    answers = asked(problem, Staged(), tmp_path)
    answers["revision:x"] = Answer("revision:x", "too_long", error="too long")
    found = problem.evaluate(answers, encoder=letters)
    assert found.counts["failed at revision, kept"] == 1
    assert (found.counts["without a name"], found.counts["names changed by the check"]) == (0, 1)


def test_answers_to_the_questions_themselves_are_the_first_names(problem, tmp_path):
    answers = asked(problem, Staged(), tmp_path)
    assert answers["x"].text == answers["name:x"].text == "Process: something\nConfidence: 0.5"
    assert all(answers[question.request.id].status == "ok" for question in problem.questions())


def test_with_the_embedded_model(problem, embedded, tmp_path):
    problem.sampling = Sampling(max_new_tokens=24)
    found = problem.evaluate(asked(problem, embedded, tmp_path), encoder=get_encoder("default"))
    assert found.counts["sets"] == 2
    assert found.scores[0].metric == "percentile"


def looked_up(problem, part):
    """Lines of evidence of every set, by the enrichment of all its genes and of the first of them."""
    for each in problem.sets:
        genes = list(each.genes)
        some = genes[: max(2, round(part * len(genes)))]
        for asked in (genes, some):
            terms = problem._tools.enriched(asked, genes, without=each.name)
            yield each, [clean_name(term.name) for term in terms]


def test_no_term_that_is_the_set_is_looked_up_in_real_sets(mirror):
    (task,) = find_tasks(names=["process_naming.go_1000.cascade"])
    problem = task.load(True)
    found = list(looked_up(problem, 0.5))
    assert all(clean_name(each.name) not in names for each, names in found)
    assert any(names for _, names in found)
    assert isinstance(problem, CheckedSetNames)
    assert (task.info.preset, task.info.is_default) == ("cascade", False)
