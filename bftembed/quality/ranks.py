"""Where a gene's own annotation stands among those of all genes, for a text about it."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from bftembed.encoders import encode_cached
from bftembed.likeness import unit
from bftembed.quality.known import known_genes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from bftembed.encoders import Encoder
    from bftembed.quality.known import Known

_ROWS = 512  # of scores at a time


def own_ranks(texts: Any, gallery: Any, own: NDArray[np.intp]) -> NDArray[np.float64]:
    """Rank of one column for each row of ``texts @ gallery.T``, 1 the highest; half a place for each equal one.

    Parameters
    ----------
    texts, gallery
        (n, d) and (m, d), both dense or both sparse.
    own
        (n,) the column of each row, -1 for none.

    Returns
    -------
    (n,) between 1 and m; NaN where there is no column.

    Examples
    --------
    >>> own_ranks(np.eye(2), np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]), np.array([0, 2])).tolist()
    [1.0, 1.5]
    """
    ranks = np.full(len(own), np.nan)
    columns = gallery.T if isinstance(gallery, np.ndarray) else gallery.T.tocsr()
    rows = np.flatnonzero(own >= 0)
    for start in range(0, len(rows), _ROWS):
        block = rows[start : start + _ROWS]
        product = texts[block] @ columns
        scores = product if isinstance(product, np.ndarray) else product.toarray()
        mine = scores[np.arange(len(block)), own[block]][:, None]
        ranks[block] = 1 + (scores > mine).sum(axis=1) + ((scores == mine).sum(axis=1) - 1) / 2
    return ranks


def word_ranks(texts: Sequence[str], genes: Sequence[str], known: Known) -> NDArray[np.float64]:
    """Ranks by TF-IDF (sublinear, without English stop words), fitted on all annotations.

    Parameters
    ----------
    texts, genes
        n each: texts, and the gene that each is about.
    known
        The tables.

    Returns
    -------
    (n,) among ``len(known.annotations)``; NaN for a gene without annotation.
    """
    vectorizer, gallery = _fitted(known.facts.digest)
    return own_ranks(vectorizer.transform(texts), gallery, _columns(genes, known))


def vector_ranks(texts: Sequence[str], genes: Sequence[str], known: Known, encoder: Encoder) -> NDArray[np.float64]:
    """Ranks by cosine of the encoder's vectors, after the mean annotation is taken off; else as `word_ranks`.

    The annotations are encoded once (some minutes on a CPU) and kept in the cache of vectors.
    """
    gallery, _ = encode_cached(list(known.annotations.values()), encoder)
    written = [text for text in texts if text.strip()]
    vectors = np.full((len(texts), gallery.shape[1]), np.nan, dtype=np.float32)
    if written:
        vectors[[bool(text.strip()) for text in texts]] = encode_cached(written, encoder)[0]
    centre = gallery.mean(axis=0)
    return own_ranks(unit(vectors, centre=centre), unit(gallery, centre=centre), _columns(genes, known))


def _columns(genes: Sequence[str], known: Known) -> NDArray[np.intp]:
    at = {gene: column for column, gene in enumerate(known.annotations)}
    return np.array([at.get(gene, -1) for gene in genes], dtype=np.intp)


@lru_cache(maxsize=1)
def _fitted(digest: str) -> tuple[Any, Any]:
    from sklearn.feature_extraction.text import TfidfVectorizer

    words = TfidfVectorizer(stop_words="english", sublinear_tf=True, dtype=np.float32)
    return words, words.fit_transform(known_genes().annotations.values())
