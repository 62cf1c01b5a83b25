import numpy as np
import pytest
from scipy.stats import percentileofscore

from bftembed.bench.language.gene_set_names.scores import NameScorer

GOLDS = ["dna repair", "cell growth", "budding", "dna repair"]
AMONG = ["dna", "repair of dna", "translation", "golgi", "zzz", "cell death"]


def scorer(letters):
    return NameScorer(GOLDS, AMONG, np.ones((10, len(GOLDS))), letters)


def test_percentiles_are_those_of_scipy(letters):
    names = ["repair", "growth of cells", "zzz", "dna repair"]
    found = scorer(letters).values(names)
    among = sorted({*AMONG, *GOLDS})
    unit = {
        name: v / np.linalg.norm(v)
        for name, v in zip([*among, *names], letters.encode([*among, *names])[0], strict=True)
    }
    for i, (gold, name) in enumerate(zip(GOLDS, names, strict=True)):
        others = [unit[name] @ unit[other] for other in among if other != gold]
        cosine = unit[name] @ unit[gold]
        assert found["cosine"][i] == pytest.approx(cosine, abs=1e-6)
        near = np.where(np.isclose(others, cosine, atol=1e-6), cosine, others)
        assert found["percentile"][i] == pytest.approx(percentileofscore(near, cosine, kind="mean") / 100)


def test_the_right_name_is_best_and_no_name_worst(letters):
    right = scorer(letters).values(GOLDS)
    assert all((values == 1).all() for metric, values in right.items() if metric not in {"rouge-2", "cosine"})
    assert right["cosine"] == pytest.approx(1)
    assert right["rouge-2"].tolist() == [1, 1, 0, 1]  # one word has no pair of words
    nothing = scorer(letters).values(["none"] * 4)
    assert all((values == 0).all() for values in nothing.values())


def test_scores_are_means_with_replicates_percentile_first(letters):
    scores = scorer(letters).scores("m", ["dna repair", "none", "none", "none"])
    assert scores[0].metric == "percentile"
    by_metric = {score.metric: score for score in scores}
    assert by_metric["exact match"].mean == pytest.approx(0.25)
    assert by_metric["exact match"].draws == pytest.approx(np.full(10, 0.25))
    assert {score.method for score in scores} == {"m"}
