"""Scores of cells by weighted genes, against random genes, cell by cell and in bounded memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Self

import numpy as np
import pandas as pd

from bftembed.errors import InputError
from bftembed.expression import LevelCheck, normalised_chunks
from bftembed.expression.values import LARGEST_Z
from bftembed.queries.choose import N_GENES, SHARED, Choice, weights_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import ArrayLike, NDArray
    from scipy.sparse import csr_matrix

    from bftembed.expression import Matrix
    from bftembed.pp import Reference

#: Groups of genes of similar detection, within which a random gene stands for a chosen one; fewer of few genes.
N_GROUPS, GROUP_SIZE = 20, 25
#: Genes of a text, by relevance, among which those are sought that are expressed together.
POOL = 400
#: Of the reference's cells: a gene that fewer express takes no part.
LEAST_DETECTION = 0.005


@dataclass(frozen=True)
class Contrast:
    """Expression of cells as z-scores against a reference, clipped at 10, chunk by chunk.

    Attributes
    ----------
    matrix
        (n_obs, n_vars), counts or log-normalised.
    columns
        (n,) positions of the genes that take part, in the order of their names: so ties, in detection or relevance,
        are broken alike whatever the order of the columns.
    mean, sd
        (n_batches, n), of log-normalised expression; where the s.d. is 0, z-scores are 0.
    detection
        (n,) share of cells in which a gene is not zero.
    batches
        (n_obs,) number of the batch of each cell.
    values
        What the matrix holds, see `bftembed.expression.normalised_chunks`.
    levels
        (n_batches,) counts per 10,000 that are expected on these genes; cells that have others are refused.
    """

    matrix: Matrix
    columns: NDArray[np.intp]
    mean: NDArray[np.float64]
    sd: NDArray[np.float64]
    detection: NDArray[np.float64]
    batches: NDArray[np.intp]
    values: str = "auto"
    levels: NDArray[np.float64] | None = None

    @classmethod
    def of(
        cls,
        matrix: Matrix,
        genes: ArrayLike,
        reference: Reference,
        *,
        takes_part: NDArray[np.bool_],
        batches: NDArray[np.intp] | None = None,
        values: str = "auto",
    ) -> Self:
        """Match the columns of a matrix with a reference.

        Parameters
        ----------
        matrix
            (n_obs, n_vars).
        genes
            (n_vars,): names of the columns, as the reference has them.
        reference
            Of `bft.pp.reference`.
        takes_part
            (n_vars,): columns that may take part, those of genes with a vector.
        batches
            (n_obs,): number of the batch in the reference of each cell; by default the first of all.
        values
            What the matrix holds.

        Raises
        ------
        InputError
            If no gene takes part, is in the reference, varies in a batch of it and is seen in 0.5 % of its cells.
        """
        names = np.asarray(genes, dtype=object)
        where = reference.genes.get_indexer(pd.Index(names))
        detection = np.average(reference.detection, axis=0, weights=reference.n_cells)
        varies = (reference.sd.max(axis=0) > 0) & (detection >= LEAST_DETECTION)
        columns = np.flatnonzero((where >= 0) & takes_part & varies[where])
        if not len(columns):
            msg = (
                f"Of {len(where)} genes {int((where >= 0).sum())} are in the reference, {int(takes_part.sum())} have "
                "a vector; none has both and varies. Give a reference of the same genes, by canonical or by own names."
            )
            raise InputError(msg)
        columns = columns[np.argsort(names[columns].astype(str), kind="stable")]
        rows = where[columns]
        codes = np.zeros(matrix.x.shape[0], dtype=np.intp) if batches is None else batches
        levels = reference.level[:, rows].sum(axis=1)
        return cls(
            matrix, columns, reference.mean[:, rows], reference.sd[:, rows], detection[rows], codes, values, levels
        )

    def chunks(self) -> Iterator[tuple[NDArray[np.intp], csr_matrix, NDArray[np.float64]]]:
        """Yield rows of one batch: their numbers, z-scores less those of a zero (CSR), and those of a zero (n,)."""
        inverse = np.divide(1.0, self.sd, out=np.zeros_like(self.sd), where=self.sd > 0)
        zeros = np.clip(-self.mean * inverse, -LARGEST_Z, LARGEST_Z)
        check = None if self.levels is None else LevelCheck(self.levels, self.batches)
        for start, rows, _ in normalised_chunks(self.matrix, values=self.values):
            codes = self.batches[start : start + rows.shape[0]]
            chosen = rows[:, self.columns].tocsr()
            if check is not None:
                check.add(start, np.asarray(chosen.expm1().sum(axis=1), dtype=np.float64).ravel())
            for batch in np.unique(codes):
                mine = np.flatnonzero(codes == batch)
                part = chosen[mine]
                genes = part.indices
                z = np.clip((part.data - self.mean[batch, genes]) * inverse[batch, genes], -LARGEST_Z, LARGEST_Z)
                part.data = z - zeros[batch, genes]
                yield start + mine, part, zeros[batch]
        if check is not None:
            check.finish()


class Scores(NamedTuple):
    """Scores of cells for texts.

    Attributes
    ----------
    mean
        (n_obs, n_texts): weighted mean of the z-scores of a text's genes.
    calibrated
        (n_obs, n_texts): the same, in s.d. of what random genes of the same detection give in the same cell.
    """

    mean: NDArray[np.float64]
    calibrated: NDArray[np.float64]


def text_scores(contrast: Contrast, weights: NDArray[np.float64]) -> Scores:
    """Score cells by weighted genes.

    The calibrated score of a cell is ``(sum_g w_g z_g - m) / s``: `m` and `s` are mean and s.d. of that sum over random
    sets of genes, in which each gene is replaced by one drawn from the genes of similar detection. Both are known in
    closed form, from the mean and variance of a cell's z-scores in each of the groups of detection. 0 is what random
    genes give; beyond 2 a score is noteworthy for a set of genes that was chosen without looking at the cells.
    `scanpy.tl.score_genes` subtracts such a mean too (Tirosh et al. 2016, Science 352:189), without the s.d.

    Parameters
    ----------
    contrast
        n_obs cells and n genes.
    weights
        (n, n_texts).

    Returns
    -------
    Scores, NaN for cells that express none of the genes; calibrated ones also where all genes of a group are alike.

    Raises
    ------
    InputError
        If the values are neither counts nor log-normalised, or not on the level of the reference.

    Examples
    --------
    >>> import anndata
    >>> from bftembed import pp
    >>> from bftembed.expression import chosen_matrix, parts_of
    >>> cells = anndata.AnnData(np.random.default_rng(0).poisson(2, (100, 60)).astype(np.float32))
    >>> matrix = chosen_matrix(parts_of(cells), layer=None, use_raw=False)
    >>> contrast = Contrast.of(matrix, cells.var_names, pp.reference(cells), takes_part=np.ones(60, dtype=bool))
    >>> weights = np.repeat([[1 / 3], [0.0]], [3, 57], axis=0)
    >>> text_scores(contrast, weights).calibrated.shape
    (100, 1)
    """
    n = len(contrast.columns)
    rank = np.argsort(np.argsort(contrast.detection, kind="stable"), kind="stable")
    groups = rank * max(1, min(N_GROUPS, n // GROUP_SIZE)) // n
    member = np.zeros((n, groups.max() + 1))
    member[np.arange(n), groups] = 1
    share = member / member.sum(axis=0)
    of_mean, of_variance = member.T @ weights, member.T @ weights**2
    means = np.full((contrast.matrix.x.shape[0], weights.shape[1]), np.nan)
    calibrated = np.full_like(means, np.nan)
    for rows, raised, zero in contrast.chunks():
        total = raised @ weights + zero @ weights
        mean = raised @ share + zero @ share
        squares = raised.copy()
        squares.data = raised.data * (raised.data + 2 * zero[raised.indices])
        variance = np.maximum(squares @ share + zero**2 @ share - mean**2, 0.0) @ of_variance
        spread = np.sqrt(variance)
        found = np.divide(total - mean @ of_mean, spread, out=np.full_like(total, np.nan), where=spread > 0)
        silent = np.diff(raised.indptr) == 0
        total[silent] = found[silent] = np.nan
        means[rows], calibrated[rows] = total, found
    return Scores(means, calibrated)


def group_means(contrast: Contrast, groups: NDArray[np.intp], n_groups: int) -> NDArray[np.float64]:
    """Mean z-score of each gene in each group of cells: (n_groups, n), NaN for a group without cells.

    Parameters
    ----------
    contrast
        n_obs cells and n genes.
    groups
        (n_obs,): number of the group of each cell; others than 0 to ``n_groups - 1`` are left out.
    n_groups
        How many groups.

    Raises
    ------
    InputError
        As `text_scores`.
    """
    sums, sizes = np.zeros((n_groups, len(contrast.columns))), np.zeros((n_groups, 1))
    for rows, raised, zero in contrast.chunks():
        member = (groups[rows] == np.arange(n_groups)[:, None]).astype(float)
        n_cells = member.sum(axis=1, keepdims=True)
        sums += member @ raised + n_cells * zero
        sizes += n_cells
    return np.divide(sums, sizes, out=np.full_like(sums, np.nan), where=sizes > 0)


def coherent(
    contrast: Contrast, choice: Choice, *, n_genes: int = N_GENES, pool: int = POOL, shared: float = SHARED
) -> Choice:
    """Prefer, among the genes relevant to a text, those that are expressed together in these cells.

    The genes that a text chose score the cells. Each of the `pool` most relevant genes is then weighted by its
    relevance times its correlation with the score of the text's other genes, less `shared` times the gene's mean
    correlation over the texts, and the `n_genes` of the largest product are kept, with weights as in `choose_genes`. No
    label is used. The result depends on the cells that it is made of. A text whose genes correlate with no other one
    keeps them.

    Parameters
    ----------
    contrast
        n_obs cells and n genes.
    choice
        Of `choose_genes`, for these n genes and n_texts texts.
    n_genes
        How many genes for each text.
    pool
        Genes of a text, by relevance, among which they are sought.
    shared
        How much of a gene's mean correlation over the texts is subtracted, from 0 to 1. Of a single text nothing is.

    Returns
    -------
    Choice
        The same relevance, other weights.

    Raises
    ------
    InputError
        As `text_scores`.
    """
    weights = choice.weights
    n, n_texts = weights.shape
    with_score, sums, squares = np.zeros((n, n_texts)), np.zeros(n), np.zeros(n)
    score_sums, score_squares, n_cells = np.zeros(n_texts), np.zeros(n_texts), 0
    for rows, raised, zero in contrast.chunks():
        scores = raised @ weights + zero @ weights
        with_score += raised.T @ scores + np.outer(zero, scores.sum(axis=0))
        sums += np.asarray(raised.sum(axis=0)).ravel() + len(rows) * zero
        squares += len(rows) * zero**2 + np.bincount(
            raised.indices, raised.data * (raised.data + 2 * zero[raised.indices]), minlength=n
        )
        score_sums += scores.sum(axis=0)
        score_squares += (scores**2).sum(axis=0)
        n_cells += len(rows)
    covariance = with_score / n_cells - np.outer(sums, score_sums) / n_cells**2
    variance = np.maximum(squares / n_cells - (sums / n_cells) ** 2, 0.0)[:, None]
    of_scores = score_squares / n_cells - (score_sums / n_cells) ** 2
    # A gene of the score is compared with the score of the others.
    left = np.maximum(of_scores - 2 * weights * covariance + weights**2 * variance, 0.0) * variance
    correlation = np.divide(covariance - weights * variance, np.sqrt(left), out=np.zeros((n, n_texts)), where=left > 0)
    if n_texts > 1:
        correlation -= shared * correlation.mean(axis=1, keepdims=True)
    near = np.nan_to_num(choice.relevance, nan=-np.inf)
    product = np.full_like(near, -np.inf)
    for column in range(n_texts):
        first = np.argsort(-near[:, column], kind="stable")[:pool]
        product[first, column] = np.maximum(near[first, column], 0) * np.maximum(correlation[first, column], 0)
    product[product <= 0] = -np.inf
    alone = np.isinf(product).all(axis=0)
    return Choice(choice.relevance, np.where(alone, weights, weights_of(product, n_genes)))
