"""Which genes a text is about, and how much each of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bftembed import pp
from bftembed.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

#: Chosen by `benchmarks/text_of_cells.py`.
ALPHA, SHARED, N_GENES = 0.5, 0.75, 20


@dataclass(frozen=True)
class Choice:
    """The genes that texts chose.

    Attributes
    ----------
    relevance
        float64 (n_genes, n_texts): how near each gene is to a text, beyond texts in general, in s.d. over genes; NaN
        for genes that cannot be chosen.
    weights
        float64 (n_genes, n_texts), not negative, 0 for a gene that was not chosen; each column sums to 1, or is 0
        throughout.
    """

    relevance: NDArray[np.float64]
    weights: NDArray[np.float64]


def relevance(
    genes: ArrayLike,
    texts: ArrayLike,
    background: ArrayLike,
    *,
    table: ArrayLike | None = None,
    alpha: float = ALPHA,
    shared: float = SHARED,
) -> NDArray[np.float64]:
    """Score how near each gene is to each text, beyond what it is to texts in general.

    All vectors are centred and whitened by the table of genes (`pp.whiten`). Of a gene's cosine to a text its mean
    cosine to the background is subtracted, each text is standardised over the genes, and `shared` times the gene's
    mean over the texts is subtracted, so that of several texts each keeps what is its own; standardised again.

    Parameters
    ----------
    genes
        (n_genes, d); NaN rows for genes without a vector.
    texts
        (n_texts, d).
    background
        (n, d): vectors of `BACKGROUND`, or of other texts of the kind that is asked.
    table
        (m, d): vectors of all genes, for the whitening; by default those of `genes`.
    alpha
        Of the whitening, see `bftembed.pp.whiten`.
    shared
        How much of what texts have in common is subtracted, from 0 to 1. Of a single text nothing is.

    Returns
    -------
    float64 (n_genes, n_texts), NaN rows for genes without a vector.

    Raises
    ------
    InputError
        If genes, texts, background and table have not all the same dimensions, or the table has fewer than two
        different vectors.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> genes, general = rng.normal(size=(50, 20)), rng.normal(size=(9, 20))
    >>> near = relevance(genes, genes[:2], general)
    >>> near.shape, near.argmax(axis=0).tolist()
    ((50, 2), [0, 1])
    """
    own, asked, general = (np.asarray(each, dtype=np.float64) for each in (genes, texts, background))
    if len({each.shape[1:] for each in (own, asked, general)}) > 1:
        msg = (
            f"The vectors of genes have {own.shape[-1]} dimensions, those of texts {asked.shape[-1]}: encode both with "
            "the same encoder."
        )
        raise InputError(msg)
    made = pp.whiten(np.vstack([own, asked, general]), table=own if table is None else table, alpha=alpha)
    made = made.astype(np.float64)
    lengths = np.linalg.norm(made, axis=1, keepdims=True)
    made = np.divide(made, lengths, out=np.where(np.isnan(made), np.nan, 0.0), where=lengths > 0)
    own, asked, general = np.split(made, np.cumsum([len(own), len(asked)]))
    near = _standardised(own @ asked.T - (own @ general.T).mean(axis=1, keepdims=True))
    if near.shape[1] > 1:
        near = _standardised(near - shared * near.mean(axis=1, keepdims=True))
    return near


def choose_genes(
    near: NDArray[np.float64], *, n_genes: int = N_GENES, named: Sequence[Sequence[int]] | None = None
) -> Choice:
    """Take the most relevant genes of each text, weighted by how far each is above the first that is left out.

    A gene that is no nearer to a text than genes are on average is never taken.

    Parameters
    ----------
    near
        (n_genes, n_texts) from `relevance`; NaN for genes that cannot be chosen.
    n_genes
        How many for each text.
    named
        Rows of genes that each text names: they are as relevant as the most relevant one.

    Returns
    -------
    Choice
        With the relevance of named genes raised.

    Examples
    --------
    >>> near = np.array([[3.0, 0.0], [2.0, 1.0], [0.0, 3.0], [np.nan, np.nan]])
    >>> choose_genes(near, n_genes=2).weights.tolist()
    [[0.6, 0.0], [0.4, 0.25], [0.0, 0.75], [0.0, 0.0]]
    """
    near = near.copy()
    for column, rows in enumerate(named or ()):
        known = near[:, column][np.isfinite(near[:, column])]
        near[[row for row in rows if np.isfinite(near[row]).all()], column] = known.max(initial=0.0)
    return Choice(near, weights_of(np.nan_to_num(near, nan=-np.inf), n_genes))


def weights_of(values: NDArray[np.float64], n_genes: int) -> NDArray[np.float64]:
    """Weights (n, t) that sum to 1 of the `n_genes` largest of each column above zero, less the largest left out."""
    weights = np.zeros_like(values)
    for column, of_text in enumerate(values.T):
        order = np.argsort(-of_text, kind="stable")
        order = order[of_text[order] > 0]
        kept = order[:n_genes]
        least = of_text[order[n_genes]] if len(order) > n_genes else 0.0
        above = of_text[kept] - least
        weights[kept, column] = above / above.sum() if above.sum() > 0 else 1 / max(len(kept), 1)
    return weights


def _standardised(values: NDArray[np.float64]) -> NDArray[np.float64]:
    known = np.isfinite(values).all(axis=1)
    mean, spread = values[known].mean(axis=0), values[known].std(axis=0)
    centred = values - mean
    return np.asarray(np.divide(centred, spread, out=np.where(np.isnan(centred), np.nan, 0.0), where=spread > 0))
