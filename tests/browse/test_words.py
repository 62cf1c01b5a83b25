import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer

from bftembed.browse.words import word_index

TEXTS = ["A receptor, the RECEPTOR of T cells.", "", "Cells 基因 x", "β-cells of the pancreas", "receptor " * 300]


def table(words, index, n):
    """Counts (n, n_words) as the page reads them."""
    found = np.zeros((n, len(words)), dtype=int)
    at = 0
    for word, count in enumerate(index["word_counts"]):
        row = 0
        for _ in range(count):
            row += int(index["word_rows"][at])
            found[row, word] = index["word_times"][at]
            at += 1
    assert at == len(index["word_rows"]) == len(index["word_times"])
    return found


def test_counts_are_those_of_scikit_learn():
    words, index = word_index(TEXTS)
    counted = CountVectorizer()
    expected = np.minimum(counted.fit_transform(TEXTS).toarray(), 255)
    assert words == counted.get_feature_names_out().tolist()
    np.testing.assert_array_equal(table(words, index, len(TEXTS)), expected)


@pytest.mark.parametrize("texts", [[""], ["", " . "]])
def test_texts_without_words(texts):
    words, index = word_index(texts)
    assert words == []
    assert all(array.size == 0 for array in index.values())


def test_many_rows_need_wider_numbers():
    _, index = word_index(["", "word"] * 40_000)
    assert index["word_rows"].dtype == np.uint32
    assert index["word_rows"][:3].tolist() == [1, 2, 2]
