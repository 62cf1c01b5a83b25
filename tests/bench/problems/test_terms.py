"""Terms of genes: the mean over terms is that of the single tasks, and draws move a gene in all its terms."""

import numpy as np
import pandas as pd
import pytest

from bftembed.bench import GeneLabels, GeneTerms
from bftembed.bench.scoring.probes import LINEAR
from bftembed.errors import InputError

NAMES = [f"G{i:03d}" for i in range(90)]


def planted(signal=2.0):
    """Two terms that share thirty genes, and vectors that know both."""
    rng = np.random.default_rng(0)
    first, second = rng.random(60) < 0.4, rng.random(60) < 0.3
    x = rng.normal(size=(90, 6)).astype(np.float32)
    x[:60, 0] += signal * first
    x[30:, 1] += signal * second
    return {"b": pd.Series(second, index=NAMES[30:]), "a": pd.Series(first, index=NAMES[:60])}, x


def test_the_score_is_the_mean_of_the_terms_scored_alone():
    terms, x = planted()
    made = GeneTerms(terms, n_repeats=2)
    assert made.entities == NAMES
    assert list(made.terms) == ["a", "b"]
    evaluation = made.evaluate(x)
    alone = [
        GeneLabels(terms[name], probes=(LINEAR,), n_repeats=2).evaluate(x[rows]).scores[0]
        for name, rows in (("a", slice(60)), ("b", slice(30, None)))
    ]
    np.testing.assert_allclose(evaluation.scores[0].values, np.mean([score.values for score in alone], axis=0))
    low, high = evaluation.scores[0].describe()["interval_items"]
    assert low < evaluation.scores[0].mean < high
    assert evaluation.counts == {"terms": 2, "genes": 90, "labels": 120}
    assert {score.method: score.mean for score in evaluation.baselines}["constant"] == 0.5


def test_no_signal_is_chance_and_one_signal_in_two_terms_varies_as_one():
    terms, x = planted(signal=0.0)
    assert abs(GeneTerms(terms).evaluate(x).scores[0].mean - 0.5) < 0.12
    terms, x = planted()
    twice = GeneTerms({"a": terms["a"], "same": terms["a"]}).evaluate(x[:60]).scores[0]
    once = GeneTerms({"a": terms["a"]}).evaluate(x[:60]).scores[0]
    np.testing.assert_allclose(twice.draws, once.draws)


def test_a_term_without_enough_genes_is_named():
    terms, x = planted()
    x[terms["b"][terms["b"]].index.str[1:].astype(int)] = np.nan  # no positive gene of `b` has a vector
    evaluation = GeneTerms(terms, n_repeats=1).evaluate(x)
    assert evaluation.counts["terms"] == 1
    assert evaluation.notes == ["Terms with too few genes left: b."]
    x[:] = np.nan
    x[:3] = 1
    with pytest.raises(InputError, match="Only 3 of 90 genes have a vector"):
        GeneTerms(terms).evaluate(x)
    x[:] = np.nan
    with pytest.raises(InputError, match="Only 0 of 90 genes have a vector"):
        GeneTerms(terms).evaluate(x)


def test_no_terms():
    with pytest.raises(InputError, match="no terms"):
        GeneTerms({})
