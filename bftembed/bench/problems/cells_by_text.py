"""Cells with types, which texts about the types are to find without any labelled cell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bftembed import pp
from bftembed.bench.base import Evaluation, Problem
from bftembed.bench.problems._clusters import N_NEIGHBORS
from bftembed.bench.problems.cell_data import unlabelled
from bftembed.bench.problems.cells import check_names, genes_note, with_known
from bftembed.bench.problems.integration import standardised
from bftembed.bench.scoring.metrics import METRICS, drawn, plain
from bftembed.bench.scoring.scores import Score, item_weights
from bftembed.bench.sources.base import CellVectors, cell_vectors
from bftembed.bench.sources.grammar import get_source
from bftembed.errors import InputError
from bftembed.expression import check_columns, chosen_matrix, parts_of
from bftembed.queries import BACKGROUND, Contrast, choose_genes, coherent, genes_named, relevance, text_scores

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from anndata import AnnData
    from numpy.typing import NDArray

    from bftembed.bench.sources.base import Source

    Floats = NDArray[np.float64]

#: Cells of the best score among which the share of a type is counted.
BEST = 50


@dataclass(frozen=True)
class TypeText:
    """What is said of a type of cells.

    Attributes
    ----------
    name, definition
        Of the type; the text is ``name: definition``.
    markers
        Genes that an expert would list, for a baseline.

    Examples
    --------
    >>> from bftembed.bench import TypeText
    >>> TypeText("B cell", "makes antibodies", ("CD79A", "MS4A1")).text
    'B cell: makes antibodies'
    """

    name: str
    definition: str
    markers: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The text that is asked."""
        return f"{self.name}: {self.definition}"


class CellsByText(Problem):
    """Types of cells from texts, as `bft.tl.annotate` calls them, with the genes' and the texts' vectors of a source.

    A source has to embed free texts beside genes (`Source.texts`). The scores of the cells for the texts are its
    "vectors" here. Balanced accuracy of single cells is the main score; then that of scores averaged over 15 nearest
    cells (in principal components of the expression), and of each type the share among the 50 cells of the best score
    (or as many as there are of the type, if fewer).

    Parameters
    ----------
    adata
        (n_obs, n_vars) log-normalised, genes by canonical symbol; cells without a type are left out.
    texts
        By type.
    cell_type
        Column of ``obs`` with the types.
    removed
        What was removed before, for the report.

    Raises
    ------
    InputError
        If a column is missing, names repeat, or a type has no text.

    Examples
    --------
    >>> import anndata, numpy as np
    >>> from bftembed.bench import CellsByText, TypeText
    >>> cells = anndata.AnnData(np.random.default_rng(0).random((60, 5)).astype(np.float32))
    >>> cells.obs["cell_type"] = ["T cell", "B cell"] * 30
    >>> said = {"T cell": "has a T cell receptor", "B cell": "makes antibodies"}
    >>> problem = CellsByText(cells, {name: TypeText(name, definition) for name, definition in said.items()})
    >>> len(problem.entities)
    60
    """

    def __init__(
        self,
        adata: AnnData,
        texts: Mapping[str, TypeText],
        *,
        cell_type: str = "cell_type",
        removed: Mapping[str, int] | None = None,
    ) -> None:
        check_columns(adata.obs, "adata.obs", [cell_type])
        check_names(adata)
        adata, self.removed = with_known(adata, {cell_type: "type"}, removed or {})
        adata = adata[np.argsort(adata.obs_names.to_numpy(), kind="stable")]
        found = adata.obs[cell_type].astype(str).to_numpy()
        if absent := sorted(set(found) - set(texts)):
            msg = f"The type {absent[0]!r} has no text: give one for each of {', '.join(sorted(set(found)))}."
            raise InputError(msg)
        self.texts = dict(texts)
        self.types: NDArray[np.intp] = np.array([list(texts).index(label) for label in found], dtype=np.intp)
        self.cells = unlabelled(adata)
        self.entities: list[str] = [str(name) for name in adata.obs_names]
        self._reference = pp.reference(self.cells, progress=False)

    def embed(self, source: Source) -> CellVectors:
        """Scores (n_cells, n_types) of the cells for the texts."""
        return self.scores(source, [each.text for each in self.texts.values()])

    def scores(self, source: Source, texts: Sequence[str]) -> CellVectors:
        """Scores (n_cells, n_texts) of the cells for any texts, by the genes' and the texts' vectors of a source.

        Raises
        ------
        NotApplicableError
            If the source embeds no genes or no free texts.
        InputError
            If none of the genes has a vector.
        """
        vectors = np.asarray(source.texts([*texts, *BACKGROUND]))
        genes = source.genes([str(name) for name in self.cells.var_names])
        with_vector = np.asarray(np.isfinite(genes).all(axis=1))
        contrast = self._contrast(with_vector)
        near = relevance(genes, vectors[: len(texts)], vectors[len(texts) :])[contrast.columns]
        choice = choose_genes(near, named=self._rows_of(genes_named(texts), contrast))
        return CellVectors(
            text_scores(contrast, coherent(contrast, choice).weights).mean.astype(np.float32), with_vector
        )

    def evaluate(self, vectors: CellVectors | NDArray[np.float32], *, n_jobs: int = 1) -> Evaluation:
        """Score the cells' scores (n_cells, n_types) for the types; cells whose row is NaN take no part."""
        del n_jobs
        of_cells = cell_vectors(vectors)
        scores = of_cells.matrix
        known = np.flatnonzero(~np.isnan(scores).any(axis=1))
        items = [self.entities[i] for i in known]
        types, weights = self.types[known], item_weights(items)
        if len(set(types.tolist())) < 2 or len(items) <= N_NEIGHBORS:
            msg = f"Only {len(items)} of {len(self.entities)} cells have scores, too few of more than one type."
            raise InputError(msg)
        x = scores[known].astype(np.float64)

        def accuracy(method: str, found: Floats, *, to_beat: bool = True) -> Score:
            metric, guess = METRICS["balanced accuracy"], found.argmax(axis=1)
            value = np.array([[plain(metric, types, guess)]])
            return Score(method, "balanced accuracy", value, drawn(metric, types, guess, weights), to_beat)

        smoothed = x[self._neighbours(known)].mean(axis=1)
        made = [
            accuracy("texts", x),
            accuracy("texts, mean of 15 neighbours", smoothed),
            *self._precisions("texts", x, types),
        ]
        baselines = self.baselines_once(items, lambda: self._baselines(known, types, accuracy))
        n_types = x.shape[1]
        turned = [accuracy("names shuffled", np.roll(x, shift, axis=1)) for shift in range(1, n_types)]
        shuffled = Score("names shuffled", "balanced accuracy", np.array([[score.mean for score in turned]]))
        return Evaluation(
            scores=made,
            baselines=[*baselines, shuffled],
            items=items,
            counts={name: int((types == i).sum()) for i, name in enumerate(self.texts)},
            notes=["No cell's type is used but to score.", *genes_note(of_cells.genes_used)],
        )

    def _contrast(self, with_vector: NDArray[np.bool_]) -> Contrast:
        matrix = chosen_matrix(parts_of(self.cells), layer=None, use_raw=False)
        return Contrast.of(matrix, self.cells.var_names, self._reference, takes_part=with_vector, values="lognorm")

    def _rows_of(self, genes: Sequence[Sequence[str]], contrast: Contrast) -> list[list[int]]:
        rows = {str(name): row for row, name in enumerate(self.cells.var_names[contrast.columns])}
        return [[rows[gene] for gene in found if gene in rows] for found in genes]

    def _neighbours(self, known: NDArray[np.intp]) -> NDArray[np.intp]:
        """Each cell with its nearest ones (n, 16), in principal components of the expression."""
        from sklearn.neighbors import NearestNeighbors

        components = get_source("pca").cells(self.cells[known].copy()).matrix
        model = NearestNeighbors(n_neighbors=min(N_NEIGHBORS + 1, len(known))).fit(components)
        return np.asarray(model.kneighbors(components, return_distance=False))

    def _precisions(self, method: str, scores: Floats, types: NDArray[np.intp]) -> list[Score]:
        """Share of each type among its best cells, and the mean over types."""
        shares = {}
        for number, name in enumerate(self.texts):
            n = int((types == number).sum())
            if n:
                best = np.argsort(-scores[:, number], kind="stable")[: min(BEST, n)]
                shares[f"precision at {BEST}, {name}"] = float((types[best] == number).mean())
        shares = {f"precision at {BEST}": float(np.mean(list(shares.values()))), **shares}
        return [Score(method, metric, np.array([[value]])) for metric, value in shares.items()]

    def _baselines(
        self, known: NDArray[np.intp], types: NDArray[np.intp], accuracy: Callable[..., Score]
    ) -> list[Score]:
        """Random vectors, the genes that the texts name, and lists of markers."""
        random = self.embed(get_source("random")).matrix[known].astype(np.float64)
        lists = {
            "genes named in the texts": genes_named([each.text for each in self.texts.values()]),
            "marker lists": [each.markers for each in self.texts.values()],
        }
        of_lists = {name: self.gene_sets(genes)[known] for name, genes in lists.items()}
        found = {"random vectors": random, **of_lists}
        scores = [accuracy(name, x, to_beat=name != "marker lists") for name, x in found.items()]
        scores += [self._precisions(name, x, types)[0] for name, x in found.items()]
        mean_share = 1 / len(set(types.tolist()))
        scores.append(Score("share of the type", f"precision at {BEST}", np.array([[mean_share]])))
        return scores

    def gene_sets(self, sets: Sequence[Sequence[str]]) -> Floats:
        """Scores of sets of genes by `scanpy.tl.score_genes` (n_cells, n_sets), standardised; 0 for an empty one."""
        import scanpy as sc

        cells = self.cells.copy()
        found = np.zeros((cells.n_obs, len(sets)))
        for column, genes in enumerate(sets):
            if there := [gene for gene in genes if gene in cells.var_names]:
                sc.tl.score_genes(cells, there, random_state=0)
                found[:, column] = cells.obs["score"]
        return standardised(found)
