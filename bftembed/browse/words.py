"""Which words stand in which text: the index that a page searches."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


def word_index(texts: Sequence[str]) -> tuple[list[str], dict[str, NDArray[np.unsignedinteger]]]:
    """An inverted index: of every word the texts that it stands in, and how often.

    A word is what scikit-learn's `CountVectorizer` takes for one: two or more letters or digits, in lower case.

    Parameters
    ----------
    texts
        (n,) texts, ``""`` where there is none.

    Returns
    -------
    words
        In the order of their code points.
    index
        ``word_counts`` (n_words,) uint32: in how many texts each stands. ``word_rows`` (n_entries,): the rows of
        these, word after word, each less the row before (the first: less 0). ``word_times`` (n_entries,) uint8: how
        often it stands there, 255 for more.

    Examples
    --------
    >>> words, index = word_index(["T cell, B cell", "", "B-cell"])
    >>> words, index["word_rows"].tolist(), index["word_times"].tolist()
    (['cell'], [0, 2], [2, 1])
    """
    from scipy.sparse import csc_matrix
    from sklearn.feature_extraction.text import CountVectorizer

    counted = CountVectorizer()
    try:
        table = csc_matrix(counted.fit_transform(texts))
        words = counted.get_feature_names_out().tolist()
    except ValueError:  # scikit-learn refuses texts without any word
        table, words = csc_matrix((len(texts), 0), dtype=np.int64), []
    table.sort_indices()
    rows = table.indices.astype(np.int64)
    firsts = table.indptr[:-1]
    steps = np.diff(rows, prepend=0)
    steps[firsts] = rows[firsts]
    return words, {
        "word_counts": np.diff(table.indptr).astype(np.uint32),
        "word_rows": steps.astype(np.uint16 if len(texts) <= 1 << 16 else np.uint32),
        "word_times": np.minimum(table.data, 255).astype(np.uint8),
    }
