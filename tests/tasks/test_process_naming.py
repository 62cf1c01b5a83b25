"""Every task of the family loads, with the numbers that the data are known to have; no gold name stands in a prompt."""

import numpy as np
import pytest

from bftembed import data
from bftembed.bench import Answer, find_tasks
from bftembed.bench.language.gene_set_names.sets import term_names, top_terms
from bftembed.bench.scoring.rouge import best_constant, rouge
from bftembed.encoders import Encoder
from bftembed.errors import DataError
from bftembed.naming import TermSets, clean_name

TASKS = {task.name.partition(".")[2]: task for task in find_tasks(names=["process_naming"], presets=["cot"])}
MSIGDB = '"ID","Name","Count","Genes"\n"M:1","Peroxisome","2","PEX1 PEX2"\n"M:2","Glycosylases","3", GAA GLA TREH"\n'
NEST = 'NEST ID\tname_new\tGenes\nNEST:1\tMAPK signaling\t"HRAS,KRAS,ERBB2"\nNEST:2\tUnknown\t"NOSUCHGENE,KRAS"\n'


class Constant(Encoder):
    """All texts are alike."""

    name, cached, max_seq_length = "constant", False, 99

    def describe(self):
        return {"encoder": "constant"}

    def count_tokens(self, texts):
        return [1 for _ in texts]

    def _encode(self, texts, *, query):
        return [np.ones((len(texts), 2), dtype=np.float32)]


def sizes(problem):
    found = [len(each.genes) for each in problem.sets]
    return len(found), min(found), float(np.median(found)), max(found)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("go_1000", (1000, 3, 15.5, 456)),
        ("go_llmeval", (1000, 3, 11.0, 100)),
        ("hallmark", (50, 32, 180.0, 200)),
        ("contaminated", (100, 3, 11.0, 100)),
    ],
)
def test_counts_and_that_no_prompt_has_a_gold_name(mirror, name, expected):
    problem = TASKS[name].load(False)
    assert sizes(problem) == expected
    assert not problem.removed
    assert len(problem.background) == 7046
    questions = problem.questions()
    assert len(questions) == (3 * len(problem.sets) if name == "contaminated" else 2 * len(problem.sets))
    names = {each.id: each.name for each in problem.sets}
    for question in questions:
        shown = clean_name(question.request.system + " " + question.request.user)
        id = question.item if question.item in names else question.item.split(" ", 1)[0]
        assert clean_name(names[id]) not in shown
        assert clean_name(id) not in shown


def test_fast_runs_are_64_prompts_of_small_sets(mirror):
    problems = [TASKS[name].load(True) for name in ("go_1000", "go_llmeval", "hallmark", "contaminated")]
    assert [len(problem.items) for problem in problems] == [8, 8, 8, 24]
    assert max(len(each.genes) for problem in problems[:2] for each in problem.sets) <= 20
    assert sum(not question.row for problem in problems for question in problem.questions()) == 48
    assert all(len(problem.background) <= 500 for problem in problems)


def test_the_two_collections_share_98_sets_and_half_of_their_names_are_known(mirror):
    first, second, third = (TASKS[name].load(False) for name in ("go_1000", "go_llmeval", "contaminated"))
    ids = [{each.id for each in problem.sets} for problem in (first, second, third)]
    assert len(ids[0] & ids[1]) == 98
    assert ids[2] < ids[1]
    known = {clean_name(name) for name in TermSets.go().sets}
    assert np.mean([gold in known for gold in first.golds]) == pytest.approx(0.524)
    assert np.mean([gold in known for gold in second.golds]) == pytest.approx(0.461)
    assert len(set(first.golds)) < 1000  # so that the bootstrap draws sets of one name together


def test_a_constant_name_has_the_rouge_that_is_known(mirror):
    golds = TASKS["go_1000"].load(False).golds
    assert rouge(golds, ["regulation of process"] * 1000)["rouge-l"].mean() == pytest.approx(0.223, abs=0.001)
    best = best_constant(golds)
    assert rouge(golds, [best] * 1000)["rouge-l"].mean() == pytest.approx(0.227, abs=0.001)


def test_enrichment_finds_the_terms_that_the_sets_are(mirror):
    problem = TASKS["contaminated"].load(False)
    p_values = {stratum: [] for stratum in ("real", "half replaced", "all replaced")}
    for (stratum, _), each in problem._variants.items():
        found = problem.terms.enrich(each.genes, top=1)
        p_values[stratum].append(found[0].p_value if found else 1.0)
    assert [sum(p < 1e-5 for p in values) for values in p_values.values()] == [93, 75, 2]
    golds = [clean_name(each.name) for each in problem.sets]
    names = term_names(top_terms(problem.sets, problem.terms, own=True), problem.sets)
    assert np.mean([a == b for a, b in zip(golds, names, strict=True)]) == pytest.approx(0.39)
    assert rouge(golds, names)["rouge-l"].mean() == pytest.approx(0.651, abs=0.001)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "exact", "knowing", "not_knowing"), [("go_1000", 0.378, 0.632, 0.485), ("go_llmeval", 0.347, 0.617, 0.479)]
)
def test_enrichment_loses_without_a_sets_own_term(mirror, name, exact, knowing, not_knowing):
    problem = TASKS[name].load(False)
    known, left = (term_names(top_terms(problem.sets, problem.terms, own=own), problem.sets) for own in (True, False))
    assert np.mean([a == b for a, b in zip(problem.golds, known, strict=True)]) == pytest.approx(exact)
    assert rouge(problem.golds, known)["rouge-l"].mean() == pytest.approx(knowing, abs=0.001)
    assert rouge(problem.golds, left)["rouge-l"].mean() == pytest.approx(not_knowing, abs=0.001)
    assert not any(a == b for a, b in zip(problem.golds, left, strict=True))


def test_gpt_4_has_the_scores_that_its_authors_counted(mirror):
    """Its answers of 2023, read by our parser; its percentile there is by another encoder, and not compared."""
    problem = TASKS["contaminated"].load(False)
    problem.terms, problem.background = TermSets({"x": ["TP53"]}), []
    table = data.load("llmeval_gene_sets", "gpt4").set_index("GO")
    columns = {"real": "default", "half replaced": "50perc_contaminated", "all replaced": "100perc_contaminated"}
    answers = {}
    for (stratum, id), each in problem._variants.items():
        said = [table.loc[id, f"gpt_4_{columns[stratum]} {what}"] for what in ("Name", "Score")]
        answers[each.id] = Answer(each.id, text="Process: {}\nConfidence: {}".format(*said))
    found = problem.evaluate(answers, encoder=Constant())
    scores = {score.metric: score.mean for score in found.scores}
    assert scores["f1 of unrelated"] == pytest.approx(TASKS["contaminated"].info.published[0].value, abs=0.001)
    assert found.counts["called unrelated"] == 119
    assert scores["mean confidence, real"] == pytest.approx(0.87, abs=0.005)
    assert scores["mean confidence, half replaced"] == pytest.approx(0.61, abs=0.005)
    assert scores["mean confidence, all replaced"] == pytest.approx(0.10, abs=0.005)
    rouges = [scores[kind] for kind in ("rouge-1", "rouge-2", "rouge-l")]
    assert rouges == pytest.approx([0.160, 0.043, 0.145], abs=0.001)


def test_files_of_the_user(mirror, tmp_path):
    for name, text in (("msigdb", MSIGDB), ("nest", NEST)):
        with pytest.raises(DataError, match=rf"--file {name}=PATH.*Download it from https://raw"):
            TASKS[name].load(False)
        path = tmp_path / name
        path.write_text(text)
        with data.given_files({name: path}):
            problem = TASKS[name].load(False)
        found = {each.name: each.genes for each in problem.sets}
        expected = {
            "msigdb": {"Peroxisome": ("PEX1", "PEX2"), "Glycosylases": ("GAA", "GLA", "TREH")},
            "nest": {"MAPK signaling": ("ERBB2", "HRAS", "KRAS")},
        }
        assert found == expected[name]
        assert problem.removed == ({"sets with fewer than 2 known genes": 1} if name == "nest" else {})
        path.write_text("something else\n")
        with data.given_files({name: path}), pytest.raises(DataError, match="has no column"):
            TASKS[name].load(False)


def test_names_of_hallmark_sets(mirror):
    names = {each.id: clean_name(each.name) for each in TASKS["hallmark"].load(True).sets}
    assert not any("hallmark" in name for name in names.values())
    every = {each.id: clean_name(each.name) for each in TASKS["hallmark"].load(False).sets}
    assert every["HALLMARK_UV_RESPONSE_DN"] == "uv response down regulated"
    assert every["HALLMARK_KRAS_SIGNALING_UP"] == "kras signaling up regulated"
    assert every["HALLMARK_DNA_REPAIR"] == "dna repair"
