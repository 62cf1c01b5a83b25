import anndata
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from scipy.sparse import csr_matrix

from bftembed.bench import CellsByText, CellVectors, NotApplicableError, TypeText, get_source
from bftembed.bench.sources.base import Source
from bftembed.errors import InputError

TEXTS = {
    "T": TypeText("T cell", "A lymphocyte with a T cell receptor.", ("A0", "A1")),
    "L": TypeText("hepatocyte", "A cell of the liver.", ("A4", "A5")),
    "N": TypeText("neuron", "A cell of the brain.", ("A8", "A9")),
}
GENES = [f"A{i}" for i in range(80)]


class Knows(Source):
    """Four genes of each type lie at the vector of its text."""

    def genes(self, names):
        vectors = np.random.default_rng(0).normal(size=(len(GENES), 30))
        for number in range(3):
            vectors[4 * number : 4 * number + 4] = 8 * np.eye(30)[number] + vectors[4 * number : 4 * number + 4] / 10
        return vectors[[GENES.index(name) for name in names]].astype(np.float32)

    def texts(self, texts):
        asked = [each.text for each in TEXTS.values()]
        rng = np.random.default_rng(1)
        return np.array([8 * np.eye(30)[asked.index(t)] if t in asked else rng.normal(size=30) for t in texts])


@pytest.fixture(scope="module")
def cells():
    rng = np.random.default_rng(2)
    counts = rng.poisson(2, (90, 80)).astype(float)
    for number in range(3):
        counts[30 * number : 30 * number + 30, 4 * number : 4 * number + 4] += 6 + rng.poisson(4, (30, 4))
    adata = anndata.AnnData(csr_matrix(np.log1p(counts / counts.sum(axis=1, keepdims=True) * 1e4)))
    adata.var_names, adata.obs_names = GENES, [f"c{rng.integers(1e9)}" for _ in range(90)]
    adata.obs["cell_type"] = np.repeat(list(TEXTS), 30)
    return adata


@pytest.fixture(scope="module")
def problem(cells):
    return CellsByText(cells, TEXTS)


def test_a_source_that_knows_finds_all_types(problem, cells):
    vectors = problem.embed(Knows())
    assert vectors.matrix.shape == (90, 3)
    evaluation = problem.evaluate(vectors)
    main, smoothed, precision = evaluation.scores[:3]
    assert (main.method, main.metric, main.mean) == ("texts", "balanced accuracy", 1.0)
    assert (smoothed.method, smoothed.mean > 0.9) == ("texts, mean of 15 neighbours", True)
    assert (precision.metric, precision.mean) == ("precision at 50", 1.0)
    assert evaluation.items == sorted(cells.obs_names)
    assert evaluation.counts == {"T": 30, "L": 30, "N": 30}
    baselines = {(score.method, score.metric): score for score in evaluation.baselines}
    assert baselines["names shuffled", "balanced accuracy"].mean == 0
    assert baselines["random vectors", "balanced accuracy"].mean < 0.9
    assert baselines["marker lists", "balanced accuracy"].mean > 0.7
    assert not baselines["marker lists", "balanced accuracy"].to_beat
    assert baselines["share of the type", "precision at 50"].mean == pytest.approx(1 / 3)
    # No text names a gene: all gene sets are empty, and every cell gets the first type.
    assert baselines["genes named in the texts", "balanced accuracy"].mean == pytest.approx(1 / 3)


def test_scores_by_hand(problem):
    scores = np.random.default_rng(3).normal(size=(90, 3)).astype(np.float32)
    scores[4] = np.nan
    evaluation = problem.evaluate(CellVectors(scores, np.arange(80) < 60))
    known = np.delete(np.arange(90), 4)
    types, x = problem.types[known], scores[known]
    guess = x.argmax(axis=1)
    assert evaluation.scores[0].mean == pytest.approx(np.mean([(guess[types == i] == i).mean() for i in range(3)]))
    for number, name in enumerate(TEXTS):
        n = min(50, (types == number).sum())
        expected = (types[np.argsort(-x[:, number])[:n]] == number).mean()
        score = next(each for each in evaluation.scores if each.metric == f"precision at 50, {name}")
        assert score.mean == pytest.approx(expected)
    assert len(evaluation.items) == 89
    assert "60 of 80 genes have a vector." in evaluation.notes


def test_gene_sets_are_scanpys_standardised(problem):
    found = problem.gene_sets([["A0", "A1", "nothing"], []])
    cells = problem.cells.copy()
    sc.tl.score_genes(cells, ["A0", "A1"], random_state=0)
    np.testing.assert_allclose(
        found[:, 0], (cells.obs["score"] - cells.obs["score"].mean()) / cells.obs["score"].std(ddof=0)
    )
    assert (found[:, 1] == 0).all()


def test_cells_of_unknown_type_are_left_out_and_types_need_texts(cells):
    some = cells.copy()
    some.obs["cell_type"] = some.obs["cell_type"].where(np.arange(90) != 7)
    problem = CellsByText(some, TEXTS)
    assert len(problem.entities) == 89
    assert problem.removed == {"cells of unknown type": 1}
    with pytest.raises(InputError, match="The type 'N' has no text"):
        CellsByText(cells, {name: text for name, text in TEXTS.items() if name != "N"})


def test_sources_without_texts_do_not_apply(problem):
    for spec in ("hpa", "pca"):
        with pytest.raises(NotApplicableError, match="has no embedding of free texts"):
            problem.embed(get_source(spec))
    alone = np.full((90, 3), np.nan, dtype=np.float32)
    alone[problem.types == 0] = 1
    with pytest.raises(InputError, match="too few of more than one type"):
        problem.evaluate(alone)


def test_only_the_types_order_follows_the_texts(problem):
    assert pd.Series(problem.types).value_counts().to_dict() == {0: 30, 1: 30, 2: 30}
