"""Rows without a language model, on pairs whose answer is known."""

import numpy as np
import pytest

from bftembed.bench.language.perturbations.controls import RETRIEVAL, controls
from bftembed.bench.language.perturbations.evidence import Evidence
from bftembed.bench.language.perturbations.scores import Sample


def means(scores):
    return {(score.method, score.metric): score.mean for score in scores}


@pytest.fixture
def parts(problem):
    """Evidence, asked pairs and the whole test."""
    made = problem()
    return made.evidence, made.asked, made.test


def test_the_first_is_the_vote_that_is_to_be_beaten(parts):
    evidence, asked, test = parts
    sample = Sample(asked)
    first = controls(evidence, asked, test, sample)[0]
    assert (first.method, first.metric, first.to_beat) == (RETRIEVAL, "auroc per gene", True)
    assert first.mean == sample.plain_per_gene(evidence.vote(asked)) > 0.8


def test_what_knows_the_gene_alone_is_worth_nothing_within_genes(parts):
    evidence, asked, test = parts
    found = means(controls(evidence, asked, test, Sample(asked)))
    assert found["gene rate in train", "auroc per gene"] == 0.5
    assert found["gene rate in train", "accuracy balanced in genes"] == 0.5
    assert found["majority in train", "accuracy balanced in genes"] == 0.5
    p = asked["label"].mean()
    assert found["always yes", "f1"] == pytest.approx(2 * p / (1 + p))
    right = ((evidence.rate(test) > 0.5) == test["label"]).mean()
    name = "gene rate in train, all pairs of the test"
    assert found[name, "pooled accuracy (a warning)"] == pytest.approx(right)


def test_warnings_are_not_to_be_beaten(parts):
    evidence, asked, test = parts
    for score in controls(evidence, asked, test, Sample(asked)):
        assert score.to_beat == ("warning" not in score.metric)


def test_the_exponential_kernel_weighs_by_the_cosine(parts):
    evidence, asked, test = parts
    found = means(controls(evidence, asked, test, Sample(asked)))

    def weights(names, others):
        return np.exp((evidence.alike(names, others) - 1) / 0.1)

    expected = Sample(asked).plain_per_gene(evidence.vote(asked, alike=weights))
    assert found[f"{RETRIEVAL}, exponential kernel", "auroc per gene"] == pytest.approx(expected, abs=1e-3)


def test_texts_dealt_out_anew_say_nothing(parts):
    evidence, asked, test = parts
    shuffled = next(s for s in controls(evidence, asked, test, Sample(asked)) if s.method.endswith("texts shuffled"))
    assert shuffled.draws is None
    assert len(shuffled.values) == 10
    assert 0.35 < shuffled.mean < 0.65


def test_perturbations_that_are_all_alike_leave_the_rate(parts):
    evidence, asked, test = parts
    same = Evidence(evidence.rows, alike=lambda a, b: np.ones((len(a), len(b))), genes_alike=evidence.genes_alike)
    found = means(controls(same, asked, test, Sample(asked)))
    for name in (
        RETRIEVAL,
        f"{RETRIEVAL}, squared kernel",
        f"{RETRIEVAL}, exponential kernel",
        f"{RETRIEVAL}, texts shuffled",
    ):
        assert found[name, "auroc per gene"] == 0.5
