"""RNA and surface proteins of the same cells: joint embeddings, and matching by the vectors of genes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
import pandas as pd

from bftembed import pp
from bftembed.bench.base import Evaluation
from bftembed.bench.problems import _scib
from bftembed.bench.problems.cells import SAME_GENES, genes_note
from bftembed.bench.problems.integration import COLLAPSED, NamedCells, as_scores, sizes, standardised
from bftembed.bench.scoring.scores import Score, item_weights
from bftembed.bench.sources.base import CellVectors, NotApplicableError, cell_vectors
from bftembed.bench.sources.grammar import get_source

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anndata import AnnData
    from numpy.typing import NDArray

    from bftembed.bench.sources.base import Source
    from bftembed.bench.sources.of_genes import Recipe

    Floats = NDArray[np.float64]

_NEIGHBOURS = 15


class _Modalities(NamedCells):
    """Cells with RNA and surface proteins in one space, in which each protein stands at the vector of its gene.

    Vectors of genes are whitened. A cell is the sum of them over its genes (RNA) or proteins, weighted by how far the
    cell departs from the mean of all cells: in log-normalised expression, and in standard deviations of a protein,
    since antibodies differ in strength. Of the RNA each gene counts as much as its vector is near to that of a protein:
    the largest cosine, or 0 if none is positive. Otherwise what thousands of genes say of other things drowns what the
    RNA says of the proteins. No label is used, nor which cells belong together.
    """

    def __init__(self, adata: AnnData) -> None:
        super().__init__(adata)
        protein = self.adata.obsm["protein"]
        self.proteins: list[str] = [str(name) for name in protein.columns]
        self.levels: Floats = standardised(protein.to_numpy())

    def embed(self, source: Source) -> CellVectors:
        """Vectors (n_cells, 2 d): d of RNA, and d of protein.

        Raises
        ------
        NotApplicableError
            If the source has no vectors of genes, lacks that of a protein, or makes cells in a way of its own.
        """
        if source.recipe != "contrast":
            msg = f"`{source.label}`: RNA and proteins are brought together by contrast only; name the embedding alone."
            raise NotApplicableError(msg)
        return self._in_one_space(source)

    def random(self, recipe: Recipe = "contrast", genes: NDArray[np.bool_] | None = None) -> NDArray[np.float32]:
        """The same of random vectors of the genes."""
        del recipe
        return self._in_one_space(get_source("random"), genes).matrix

    def _in_one_space(self, source: Source, genes: NDArray[np.bool_] | None = None) -> CellVectors:
        vectors = source.genes([*self.proteins, *map(str, self.cells.var_names)])
        n = len(self.proteins)
        if missing := [gene for gene, row in zip(self.proteins, vectors[:n], strict=True) if np.isnan(row).any()]:
            msg = (
                f"`{source.label}` has no vector of {', '.join(missing)}, so that a protein of the cells has no place."
            )
            raise NotApplicableError(msg)
        if genes is not None:
            vectors[n:][~genes] = np.nan
        of_proteins, of_genes = np.split(pp.whiten(vectors, table=source.all_genes()), [n])
        used = np.asarray(~np.isnan(of_genes).any(axis=1))
        near = of_genes[used] * nearness(of_genes[used], of_proteins)[:, None]
        rna = self.cells.X[:, used].astype(np.float64) @ near
        return CellVectors(np.hstack([rna - rna.mean(axis=0), self.levels @ of_proteins]).astype(np.float32), used)


def nearness(vectors: NDArray[Any], targets: NDArray[Any]) -> Floats:
    """Largest cosine (n,) of each vector (n, d) with one of the targets (m, d); 0 if none is positive."""
    from sklearn.metrics.pairwise import cosine_similarity

    return np.asarray(cosine_similarity(vectors, targets).max(axis=1).clip(0)) if len(vectors) else np.zeros(0)


class JointModalities(_Modalities):
    """Cell types in a joint embedding of RNA and protein, by scIB's metrics of labels (scIB has none of modalities).

    Both modalities are centred and scaled to one mean square length. The main score is the mean of the metrics for the
    two put side by side; the scores of their average and of each alone follow. Beside it stand the principal components
    of RNA with the standardised proteins, random vectors of the genes (of all, and of those that the embedding has),
    and one point for all cells.

    Parameters
    ----------
    adata
        Log-normalised cells with ``obs["cell_type"]`` and ``obsm["protein"]``, a data frame by gene of the protein.
        Cells without a type are left out.

    Examples
    --------
    >>> import anndata, numpy as np, pandas as pd
    >>> from bftembed.bench import JointModalities
    >>> rng = np.random.default_rng(0)
    >>> cells = anndata.AnnData(rng.random((60, 5)).astype(np.float32))
    >>> cells.var_names = ["CD3E", "CD19", "NKG7", "LYZ", "MS4A1"]
    >>> cells.obs["cell_type"] = ["T cell", "B cell"] * 30
    >>> cells.obsm["protein"] = pd.DataFrame(rng.random((60, 2)), index=cells.obs_names, columns=["CD3E", "CD19"])
    >>> problem = JointModalities(cells)
    >>> len(problem.entities)
    60
    """

    def evaluate(self, vectors: CellVectors | NDArray[np.float32], *, n_jobs: int = 1) -> Evaluation:
        """Score vectors (n_cells, 2 d); cells whose row is NaN take no part.

        Raises
        ------
        InputError
            If fewer than 90 cells have a vector, or these are of one type.
        """
        del n_jobs
        from threadpoolctl import threadpool_limits

        of_cells = cell_vectors(vectors)
        rows, items = self._known(of_cells.matrix)
        labels = self._types(rows)
        rna, protein = _halves(of_cells.matrix[rows])
        together = {
            "side by side": np.hstack([rna, protein]),
            "average": (rna + protein) / 2,
            "RNA alone": rna,
            "protein alone": protein,
        }
        with threadpool_limits(1):
            scores = [score for name, x in together.items() for score in _of_labels(name, x, labels)]
            baselines = [
                *self.baselines_once(items, lambda: self._baselines(rows, labels)),
                *self._same_genes(
                    items, of_cells, lambda same: _of_labels(SAME_GENES, np.hstack(_halves(same[rows])), labels)
                ),
            ]
        notes = [
            f"Metrics: {', '.join(score.metric for score in scores[1:5])}, of {_scib.package_versions()}.",
            *genes_note(of_cells.genes_used),
        ]
        return Evaluation(
            scores=scores,
            baselines=baselines,
            items=items,
            counts=sizes(len(items), labels, None),
            notes=notes if together["side by side"].any() else [*notes, COLLAPSED],
        )

    def _baselines(self, rows: NDArray[np.intp], labels: Any) -> list[Score]:
        known = get_source("pca").cells(self.cells[rows]).matrix, self.levels[rows]
        return [
            *_of_labels("PCA of RNA and proteins", np.hstack([_scaled(part) for part in known]), labels),
            *_of_labels("random genes", np.hstack(_halves(self.random()[rows])), labels),
            *_of_labels("one point", np.zeros((len(rows), 1)), labels),
        ]


class ModalityMatching(_Modalities):
    """RNA and protein of a cell are to find each other by the vectors of genes alone, without any training.

    FOSCTTM is the fraction of cells of the other modality that are closer than the true match (Liu et al., WABI 2019),
    by cosine after centring, over both directions, ties counted half: 0.5 by chance, 0 at best. The main score is
    1 - FOSCTTM. Labels are carried over from the 15 nearest cells of the other modality, never from the cell itself.

    Beside it stand the expression of the proteins' own genes in place of the RNA (what the names alone give), random
    vectors of the genes (of all, and of those that the embedding has), one point for all cells, and the most frequent
    label.

    Parameters
    ----------
    adata
        Log-normalised cells with ``obs["cell_type"]``, missing for some perhaps, and ``obsm["protein"]``.

    Examples
    --------
    >>> import anndata, numpy as np, pandas as pd
    >>> from bftembed.bench import ModalityMatching
    >>> rng = np.random.default_rng(0)
    >>> cells = anndata.AnnData(rng.random((60, 5)).astype(np.float32))
    >>> cells.var_names = ["CD3E", "CD19", "NKG7", "LYZ", "MS4A1"]
    >>> cells.obs["cell_type"] = ["T cell", "B cell"] * 30
    >>> cells.obsm["protein"] = pd.DataFrame(rng.random((60, 2)), index=cells.obs_names, columns=["CD3E", "CD19"])
    >>> problem = ModalityMatching(cells)
    >>> len(problem.entities)
    60
    """

    _needed: ClassVar[dict[str, str]] = {}

    def evaluate(self, vectors: CellVectors | NDArray[np.float32], *, n_jobs: int = 1) -> Evaluation:
        """Score vectors (n_cells, 2 d); cells whose row is NaN take no part.

        Raises
        ------
        InputError
            If fewer than 90 cells have a vector.
        """
        del n_jobs
        from threadpoolctl import threadpool_limits

        of_cells = cell_vectors(vectors)
        rows, items = self._known(of_cells.matrix)
        types = self.adata.obs["cell_type"].iloc[rows]
        labelled = _Labelled(np.flatnonzero(types.notna()), types.dropna().astype(str).to_numpy())
        with threadpool_limits(1):
            scores = _matched("vectors of genes", np.split(of_cells.matrix[rows], 2, axis=1), items, labelled)
            baselines = [
                *self.baselines_once(items, lambda: self._baselines(rows, items, labelled)),
                *self._same_genes(
                    items, of_cells, lambda same: _matched(SAME_GENES, np.split(same[rows], 2, axis=1), items, labelled)
                ),
            ]
        counts = sizes(len(items), labelled.labels, None)
        return Evaluation(
            scores=scores,
            baselines=baselines,
            items=items,
            counts={**counts, "cells of unknown type, only matched": len(items) - len(labelled.rows)},
            notes=genes_note(of_cells.genes_used),
        )

    def _baselines(self, rows: NDArray[np.intp], items: Sequence[str], labelled: _Labelled) -> list[Score]:
        others: dict[str, Sequence[NDArray[Any]]] = {
            "own genes of the proteins": (standardised(self.cells[rows, self.proteins].X.toarray()), self.levels[rows]),
            "random genes": np.split(self.random()[rows], 2, axis=1),
            "one point": (np.zeros((len(rows), 1)),) * 2,
        }
        scores = [score for name, both in others.items() for score in _matched(name, both, items, labelled)]
        most = np.full(len(labelled.rows), pd.Series(labelled.labels).mode()[0])
        return scores + _label_scores("most frequent label", labelled.labels, most)


class _Labelled(NamedTuple):
    """Rows of the cells with a label, and the labels."""

    rows: NDArray[np.intp]
    labels: NDArray[Any]


def closer_cells(distances: Floats) -> Floats:
    """What lies closer to a cell than its match.

    Parameters
    ----------
    distances
        (n, n) from cells in one modality (rows) to those in the other; matches on the diagonal.

    Returns
    -------
    (n, n): 1 where the column's cell is closer to the row's cell than its match, 0.5 where it is as close, 0 else and
    on the diagonal. FOSCTTM of this direction is the mean off the diagonal.
    """
    match = np.diag(distances)[:, None]
    closer = (distances < match) + (distances == match) / 2
    np.fill_diagonal(closer, 0)
    return np.asarray(closer)


def _matched(method: str, both: Sequence[NDArray[Any]], items: Sequence[str], labelled: _Labelled) -> list[Score]:
    """Scores of RNA vectors (n, d) and protein vectors (n, d) of the same cells."""
    from sklearn.metrics.pairwise import cosine_distances

    distances = np.asarray(cosine_distances(*map(_scib.centred, both)))
    closer = (closer_cells(distances) + closer_cells(distances.T)) / 2
    plain = _foscttm(closer, np.ones((1, len(items))))
    draws = _foscttm(closer, item_weights(items))
    scores = [Score(method, "1 - FOSCTTM", 1 - plain[:, None], 1 - draws)]
    own = distances[np.ix_(labelled.rows, labelled.rows)]
    for direction, to_reference in (("RNA to protein", own.T), ("protein to RNA", own)):
        guess = _nearest_labels(to_reference, labelled.labels)
        scores += _label_scores(f"{method}, {direction}", labelled.labels, guess)
    return scores


def _foscttm(closer: Floats, weights: Floats) -> Floats:
    """FOSCTTM under weightings (n_draws, n) of the cells: a pair of different cells counts as often as both."""
    pairs = weights.sum(axis=1) ** 2 - (weights**2).sum(axis=1)
    return np.asarray(((weights @ closer) * weights).sum(axis=1) / pairs)


def _nearest_labels(distances: Floats, labels: NDArray[Any]) -> NDArray[Any]:
    """The most frequent label of the nearest cells in the other modality, (n, n) distances, but for the cell's own."""
    from sklearn.neighbors import KNeighborsClassifier

    others = distances.copy()
    np.fill_diagonal(others, 3)  # farther than any cosine distance
    model = KNeighborsClassifier(_NEIGHBOURS, metric="precomputed").fit(np.zeros_like(others), labels)
    return np.asarray(model.predict(others))


def _label_scores(method: str, labels: NDArray[Any], guess: NDArray[Any]) -> list[Score]:
    from sklearn.metrics import accuracy_score, f1_score

    values = {"accuracy": accuracy_score(labels, guess), "macro F1": f1_score(labels, guess, average="macro")}
    return as_scores(method, values)


def _of_labels(method: str, x: Floats, labels: Any) -> list[Score]:
    values = _scib.bio_scores(x, labels, None, _scib.nearest(x))
    return as_scores(method, {"bio": float(np.mean(list(values.values()))), **values})


def _halves(vectors: NDArray[Any]) -> list[Floats]:
    """RNA and protein (n, d) of vectors (n, 2 d), each scaled."""
    return [_scaled(part) for part in np.split(vectors, 2, axis=1)]


def _scaled(vectors: NDArray[Any]) -> Floats:
    """Centred, of mean square length 1; zero if all are equal."""
    x = _scib.centred(vectors)
    length = np.sqrt((x**2).sum(axis=1).mean())
    return np.asarray(x / length if length > 0 else x)
