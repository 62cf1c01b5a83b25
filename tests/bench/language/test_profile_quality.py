"""Profiles of a model and of a store, held against the real gene tables."""

import numpy as np
import pytest

from bftembed.bench import Answer, NotApplicableError, ProfileQuality, Task, TaskInfo, get_source, run
from bftembed.encoders import get_encoder
from bftembed.engines import Completion, Engine
from bftembed.entities import gene_entities
from bftembed.profiles import Entity, ProfileStore, write_profiles
from bftembed.quality import gene_annotations

GENES = ["TP53", "CTSL", "GATA1", "INS"]


class Writer(Engine):
    """Writes what it is told of each gene."""

    name = "writer"

    def __init__(self, texts):
        self.texts = texts

    def describe(self):
        return {"engine": self.name, "texts": str(sorted(self.texts.items()))}

    def _generate(self, requests, sampling):
        for request in requests:
            gene = next(gene for gene in self.texts if f"gene {gene}:" in request.user)
            yield [Completion(request.id, self.texts[gene], "stop", 1, 1)]


@pytest.fixture
def problem(mirror):
    return ProfileQuality(gene_entities(GENES, facts="none")[0])


def scored(problem, texts):
    answers = {gene: text if isinstance(text, Answer) else Answer(gene, text=text) for gene, text in texts.items()}
    return problem.evaluate(answers, encoder=get_encoder("default"))


def task_of(problem):
    info = {"kind": "language", "mode": "generate", "data": (), "main_score": "masked percentile (TF-IDF)"}
    return Task(TaskInfo(name="quality.test", title="t", licence="own", citation="none", **info), lambda fast: problem)


def means(scores):
    return {(score.method, score.metric): score.mean for score in scores}


def test_questions_are_the_packages_own_prompts_and_hold_no_fact(problem):
    asked = problem.questions()
    assert [question.item for question in asked] == sorted(GENES) == [item.id for item in problem.items]
    assert "Describe the human gene CTSL" in asked[0].request.user
    for question in asked:
        facts = gene_entities([question.item], facts="auto")[0][0].facts
        prompt = question.request.user + question.request.system
        assert not [name for name, text in facts.items() if text in prompt and name != "gene_type"]


def test_facts_score_best_and_texts_of_others_do_not(problem):
    found = scored(problem, {gene: gene_annotations()[gene] for gene in GENES})
    got = means([*found.scores, *found.baselines])
    main = "masked percentile (TF-IDF)"
    assert found.scores[0].metric == main
    assert got["texts", main] == got["the facts", main] > 0.999
    assert got["another gene's text", main] < 0.9
    assert got["bare symbol", main] == 0.5
    assert got["texts", "chromosome right"] == 1
    assert got["another gene's text", "chromosome wrong"] > 0.5
    assert [score.to_beat for score in found.baselines if score.metric == main] == [True, True, False]


def test_draws_are_means_of_drawn_genes(problem):
    texts = {
        "CTSL": "It is on chromosome 1.",
        "TP53": "It is on chromosome 17.",
        "GATA1": "",
        "INS": "As an AI, I cannot.",
    }
    found = {score.metric: score for score in scored(problem, texts).scores}
    assert found["chromosome wrong"].mean == 0.25
    assert found["refusal"].mean == 0.25
    draws = found["chromosome right"].draws
    assert draws.shape == (1000,)
    assert set(np.unique(draws * 4)) <= {0, 1, 2, 3, 4}


def test_what_is_no_text_is_counted_and_stays_in(problem):
    found = scored(
        problem,
        {
            "CTSL": Answer("CTSL", "too_long"),
            "TP53": Answer("TP53", "cut", text="Guards the genome. It is a transcription factor. And it"),
            "GATA1": "<think>Which gene?</think>",
            "INS": "it is it is " * 30,
        },
    )
    assert found.counts == {"too_long": 1, "cut": 1, "empty": 2, "degenerate": 1}
    assert list(found.items) == sorted(GENES)
    words = {score.metric: score.mean for score in found.scores}["n_words"]
    assert words == (0 + 8 + 0 + 120) / 4  # the unfinished sentence is cut off


def test_a_run_of_a_model_and_of_stores(mirror, tmp_path, problem):
    good = {gene: f"{gene} is told: {gene_annotations()[gene].partition('. ')[2]}" for gene in GENES}
    with ProfileStore(tmp_path / "s.sqlite") as store:
        write_profiles(gene_entities(GENES[:2], facts="none")[0], Writer(good), store=store)
    with ProfileStore(tmp_path / "few.sqlite") as store:
        write_profiles([Entity("gene", "ALB")], Writer({"ALB": "Albumin."}), store=store)
    task = task_of(problem)
    sources = [
        get_source(f"all=profiles:{tmp_path / 's.sqlite'}"),
        get_source(f"few=profiles:{tmp_path / 'few.sqlite'}"),
        "random",
    ]
    results = {result.embedding: result for result in run([task], sources, tmp_path / "runs")}
    assert results["all"].main.mean > 0.99
    assert (results["all"].asked, results["all"].found, results["all"].n_items) == (4, 2, 2)
    assert results["all"].counts["genes without a text"] == 2
    assert results["few"].status == results["random"].status == "not applicable"
    assert "has texts of 0 of the 4 genes" in results["few"].reason


def test_a_store_without_a_gene_of_the_task_is_refused(problem, tmp_path):
    with ProfileStore(tmp_path / "s.sqlite") as store:
        write_profiles([Entity("gene", "ALB")], Writer({"ALB": "Albumin."}), store=store)
    with pytest.raises(NotApplicableError, match="has texts of 0 of the 4 genes of this task"):
        problem.given(get_source(f"profiles:{tmp_path / 's.sqlite'}"))


def test_the_embedded_model_is_asked(mirror, model_dir, tmp_path):
    problem = ProfileQuality(gene_entities(GENES[:2], facts="none")[0], max_new_tokens=12)
    [result] = run([task_of(problem)], [f"model:transformers:{model_dir}"], tmp_path)
    assert result.status == "ok"
    assert result.n_items == 2
    assert (tmp_path / "answers.sqlite").exists()
