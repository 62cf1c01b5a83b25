"""What is measured of one model, against the parts that measure it."""

import numpy as np
import pandas as pd
import pytest

from bftembed.bench import Asker
from bftembed.engines import AnswerStore, TransformersEngine
from bftembed.quality import check_texts, gene_annotations, measure_values
from bftembed.studies.objectives.measures import dense_low, own_against_others, profile_values
from bftembed.studies.tuning import Logprobs


@pytest.fixture
def asker(tiny_model, tmp_path):
    with AnswerStore(tmp_path / "answers.sqlite") as store:
        yield Asker(TransformersEngine(str(tiny_model)), store)


def test_a_text_that_fits_all_alike_has_no_closeness():
    annotations = ["a kinase of the cell cycle", "an ion channel of the heart", ""]
    found = own_against_others(annotations, ["the", annotations[1], "x"])
    assert found[0] == pytest.approx(0, abs=0.05)
    assert found[1] > 0.5
    assert np.isnan(found[2])
    assert np.isnan(own_against_others(["one", ""], ["one", "two"])).all()


def test_dense_low_windows_by_counting():
    rng = np.random.default_rng(0)
    lengths = np.array([5, 64, 150])
    confidences = rng.choice([0.01, 0.9], lengths.sum(), p=[0.6, 0.4]).astype(np.float32)
    found = dense_low(Logprobs(np.log(confidences), lengths))
    for sample, n_windows, n_dense in zip(
        np.split(confidences, np.cumsum(lengths)[:-1]), found["windows"], found["dense"], strict=True
    ):
        size = min(64, len(sample))
        begins = sorted({*range(0, len(sample) - size + 1, 16), len(sample) - size})
        dense = 0
        for begin in begins:
            low = "".join("x" if value < 0.1 else "." for value in sample[begin : begin + size])
            dense += low.count("x") >= 0.2 * size and "x" * 6 in low
        assert (n_windows, n_dense) == (len(begins), dense)
    assert found["dense"].sum() > 0


@pytest.mark.slow
def test_profiles_by_the_checks_of_texts(asker, mirror):
    genes = ["TP53", "CTSL", "MYC"]
    found = profile_values(asker, genes, 12)
    assert found["genes"] == sorted(genes)
    checked = measure_values(check_texts(pd.DataFrame({"gene": found["genes"], "text": found["texts"]})))
    np.testing.assert_allclose(found["percentile"], checked["masked percentile (TF-IDF)"])
    annotations = [gene_annotations()[gene] for gene in found["genes"]]
    np.testing.assert_allclose(found["ROUGE-L over others"], own_against_others(annotations, found["texts"]))
