from string import ascii_lowercase

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.sparse import csr_matrix
from scipy.stats import rankdata

from bftembed.encoders.base import Encoder
from bftembed.quality.ranks import own_ranks, vector_ranks, word_ranks


class Letters(Encoder):
    """Counts of letters: any text has a vector, at once."""

    name, cached, max_seq_length = "letters", False, 10_000

    def describe(self):
        return {"encoder": "letters"}

    def count_tokens(self, texts):
        return [1 for _ in texts]

    def _encode(self, texts, *, query):
        counts = [[text.lower().count(letter) for letter in ascii_lowercase] for text in texts]
        return np.array(counts, dtype=np.float32)


@given(arrays(np.float64, (7, 3), elements=st.integers(-3, 3)), arrays(np.float64, (5, 3), elements=st.integers(-3, 3)))
def test_ranks_are_those_of_scipy(texts, gallery):
    own = np.array([0, 1, 2, 3, 4, -1, 0])
    ranks = [rankdata(-(gallery @ text), method="average") for text in texts]
    expected = [each[at] if at >= 0 else np.nan for each, at in zip(ranks, own, strict=True)]
    np.testing.assert_allclose(own_ranks(texts, gallery, own), expected)
    np.testing.assert_allclose(own_ranks(csr_matrix(texts), csr_matrix(gallery), own), expected)


def test_more_texts_than_a_block():
    found = own_ranks(np.tile(np.eye(2), (600, 1)), np.eye(2), np.tile([0, 1], 600))
    assert (found == 1).all()
    assert own_ranks(np.zeros((0, 2)), np.eye(2), np.zeros(0, dtype=int)).shape == (0,)


def test_words_find_their_gene(known):
    texts = ["A lysosomal cysteine proteinase.", "Chews collagen in the lysosome.", "", "and the of", "x"]
    ranks = word_ranks(texts, ["CTSL"] * 4 + ["NOGENE"], known)
    assert ranks[0] < 200
    assert ranks[1] < 500
    middle = (len(known.annotations) + 1) / 2
    assert ranks[2] == ranks[3] == middle
    assert np.isnan(ranks[4])


def test_vectors_find_their_gene_and_nothing_is_in_the_middle(known):
    texts = [known.annotations["CTSL"], " ", known.annotations["TP53"]]
    ranks = vector_ranks(texts, ["CTSL", "CTSL", "TP53"], known, Letters())
    assert ranks.tolist() == [1, (len(known.annotations) + 1) / 2, 1]
    assert vector_ranks([""], ["CTSL"], known, Letters())[0] == pytest.approx(ranks[1])
