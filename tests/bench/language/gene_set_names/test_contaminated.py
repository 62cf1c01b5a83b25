import pytest

from bftembed.bench import Answer, ContaminatedSets, gene_set
from bftembed.bench.language.gene_set_names.contaminated import HALF, REAL, REPLACED
from bftembed.errors import DataError
from bftembed.naming import TermSets

GENES = ["MLH1", "MSH2", "MSH6", "PMS2", "MSH3", "EXO1", "PCNA", "RPA1"]
OTHERS = ["HBA1", "ABL1", "EGFR", "TP53", "MYC", "ACTB", "GAPDH", "ALB"]
NAMES = {"GO:1": "mismatch repair", "GO:2": "DNA excision"}
TERMS = TermSets(
    {"mismatch repair": GENES[:4], "excision": GENES[4:], "most of it": GENES[:3]}, background=[*GENES, *OTHERS]
)


@pytest.fixture
def problem(mirror):
    sets = [gene_set("GO:1", NAMES["GO:1"], GENES[:4]), gene_set("GO:2", NAMES["GO:2"], GENES[4:])]
    half = {"GO:1": [*GENES[:2], *OTHERS[:2]], "GO:2": [*GENES[4:6], *OTHERS[2:4]]}
    replaced = {"GO:1": OTHERS[:4], "GO:2": OTHERS[4:]}
    return ContaminatedSets(sets, half=half, replaced=replaced, terms=TERMS, background=["golgi"])


def answered(problem, say):
    return {
        question.request.id: Answer(question.request.id, text=say(question.item, question.item.split(" ", 1)[1]))
        for question in problem.questions()
    }


def scored(problem, say, letters):
    found = problem.evaluate(answered(problem, say), encoder=letters)
    return found, {score.metric: score.mean for score in found.scores}


def test_a_model_that_sees_it(problem, letters):
    confidence = {REAL: 0.9, HALF: 0.5, REPLACED: 0.1}

    def say(item, stratum):
        name = NAMES[item.split()[0]] if stratum != REPLACED else "System of unrelated proteins"
        return f"Process: {name}\nConfidence: {confidence[stratum]}"

    found, scores = scored(problem, say, letters)
    assert found.scores[0].metric == "f1 of unrelated"
    assert scores["f1 of unrelated"] == scores["balanced accuracy"] == scores["auroc of confidence"] == 1
    assert [scores[f"mean confidence, {stratum}"] for stratum in (REAL, HALF, REPLACED)] == pytest.approx(
        [0.9, 0.5, 0.1]
    )
    assert scores["percentile"] == scores["exact match"] == 1
    assert found.counts["called unrelated"] == 2
    assert len(found.items) == len(problem.items) == 6
    assert [item.stratum for item in problem.items] == sorted([REAL, HALF, REPLACED]) * 2
    assert {item.group for item in problem.items} == {"GO:1", "GO:2"}


def test_a_model_that_never_refuses_and_one_that_always_does(problem, letters):
    _, never = scored(problem, lambda item, stratum: "Process: growth\nConfidence: 0.9", letters)
    assert never["f1 of unrelated"] == 0
    assert never["balanced accuracy"] == never["auroc of confidence"] == 0.5
    found, always = scored(problem, lambda item, stratum: "Process: System of unrelated proteins", letters)
    assert always["f1 of unrelated"] == pytest.approx(2 / 3)
    row = next(score for score in found.baselines if score.method == "always unrelated")
    assert row.mean == pytest.approx(2 / 3)


def test_a_missing_confidence_never_helps(problem, letters):
    def say(item, stratum):
        stated = {REAL: "Confidence: 0.2", REPLACED: ""}
        return f"Process: growth\n{stated.get(stratum, '')}"

    found, scores = scored(problem, say, letters)
    assert scores["auroc of confidence"] == 0
    assert scores[f"mean confidence, {REAL}"] == pytest.approx(0.2)
    assert next(s for s in found.scores if s.metric == f"mean confidence, {REPLACED}").describe()["mean"] is None
    assert found.counts["without a confidence"] == 4


def test_enrichment_tells_the_groups_apart(problem, letters):
    found, _ = scored(problem, lambda item, stratum: "", letters)
    rows = {(score.method, score.metric): score for score in found.baselines}
    assert rows["enrichment (knows the term)", "auroc of confidence"].mean == 1
    assert not rows["enrichment (knows the term)", "auroc of confidence"].to_beat
    assert rows["enrichment", "auroc of confidence"].mean == 0.75  # nothing is left for the genes of the second term


def test_variants_are_of_the_same_sets(mirror):
    sets = [gene_set("GO:1", "x", GENES[:4])]
    with pytest.raises(DataError, match="under its own id"):
        ContaminatedSets(sets, half={"GO:1": OTHERS}, replaced={"GO:2": OTHERS}, terms=TERMS)
