"""Cells with types: how well clusters of an embedding agree with them, and whether neighbours tell them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from bftembed.bench.base import Evaluation, Problem
from bftembed.bench.problems._clusters import (
    N_NEIGHBORS,
    CellSample,
    annotated,
    clustered,
    half_samples,
    k_means,
    leiden,
    neighbour_graph,
    silhouette,
)
from bftembed.bench.problems.cell_data import unlabelled
from bftembed.bench.scoring.scores import Score, item_weights
from bftembed.bench.sources.base import CellVectors, cell_vectors
from bftembed.bench.sources.grammar import get_source
from bftembed.errors import InputError
from bftembed.expression import check_columns

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from anndata import AnnData
    from numpy.typing import NDArray

    from bftembed.bench.sources.base import Source
    from bftembed.bench.sources.of_genes import Recipe

RESOLUTIONS = (0.5, 1.0, 2.0)
#: What stands beside every embedding: a text embedding has to beat random gene vectors to mean anything.
_BASELINES = {"PCA": "pca", "random gene vectors": "random"}
#: Stands beside an embedding of genes that lacks some of the cells' genes, or makes cells by another recipe.
SAME_GENES = "random vectors of the same genes"


class CellProblem(Problem):
    """Cells that an embedding sees without labels."""

    #: What an embedding sees.
    cells: AnnData

    def embed(self, source: Source) -> CellVectors:
        """Vectors of the cells, by a source that sees no types."""
        return cell_vectors(source.cells(self.cells.copy()))

    def random(self, recipe: Recipe = "contrast", genes: NDArray[np.bool_] | None = None) -> NDArray[np.float32]:
        """Cells (n_cells, d) made of random vectors of the genes in the same way, of some genes or all."""
        return get_source("random").cells_by(recipe, self.cells, genes=genes).matrix

    def _same_genes(
        self,
        items: Sequence[str],
        vectors: CellVectors,
        compute: Callable[[NDArray[np.float32]], list[Score]],
    ) -> list[Score]:
        """What random vectors of the genes that an embedding has get by its recipe.

        Nothing if it is not made of vectors of genes, or if it has all and they stand beside it already.
        """
        genes, recipe = vectors.genes_used, vectors.recipe
        if genes is None or (genes.all() and recipe == "contrast"):
            return []
        key = [*items, SAME_GENES, recipe, *self.cells.var_names[genes]]
        return self.baselines_once(key, lambda: compute(self.random(recipe, genes)))


def genes_note(genes: NDArray[np.bool_] | None) -> list[str]:
    """How many genes of the cells have a vector, if the cells are made of vectors of genes."""
    return [] if genes is None else [f"{int(genes.sum()):,} of {len(genes):,} genes have a vector."]


def check_names(adata: AnnData) -> None:
    """`InputError` if names of cells or genes repeat."""
    for what, names in (("cells", adata.obs_names), ("genes", adata.var_names)):
        if not names.is_unique:
            msg = f"Names of {what} repeat, e.g. {names[names.duplicated()][0]!r}; give each one of its own."
            raise InputError(msg)


def with_known(
    adata: AnnData, columns: Mapping[str, str], removed: Mapping[str, int]
) -> tuple[AnnData, dict[str, int]]:
    """Cells without missing values in the columns (name by meaning), and `removed` with the number that lack each."""
    counts = dict(removed)
    for column, what in columns.items():
        known = adata.obs[column].notna().to_numpy()
        counts[f"cells of unknown {what}"] = int((~known).sum())
        adata = adata[known]
    return adata, {reason: n for reason, n in counts.items() if n}


class CellLabels(CellProblem):
    """Cells with types.

    The embedding is given the matrix, names and batches, and never a type. Clusters are those of Leiden at fixed
    resolutions and of k-means with as many clusters as there are types, ten seeds each; no resolution is chosen by the
    types. An annotation takes the majority of a cell's 10 nearest cells, of its own batch and of the other batches.

    Parameters
    ----------
    adata
        (n_obs, n_vars) log-normalised, genes by canonical symbol. Cells without a type or a batch are left out.
    cell_type
        Column of ``obs`` with the types.
    batch
        Column of ``obs`` with batches, or None.
    removed
        What was removed before, for the report.
    n_seeds
        Of the clusterings.
    baselines
        Whether to score principal components and random gene vectors too, these also of the genes that an embedding
        has where it lacks some.

    Raises
    ------
    InputError
        If a column is missing, names repeat, or there are fewer than two types.

    Examples
    --------
    >>> import anndata, numpy as np
    >>> from bftembed.bench import CellLabels
    >>> cells = anndata.AnnData(np.random.default_rng(0).random((60, 5)).astype(np.float32))
    >>> cells.obs["cell_type"] = ["T cell", "B cell"] * 30
    >>> problem = CellLabels(cells, n_seeds=2)
    >>> len(problem.entities)
    60
    """

    def __init__(
        self,
        adata: AnnData,
        *,
        cell_type: str = "cell_type",
        batch: str | None = None,
        removed: Mapping[str, int] | None = None,
        n_seeds: int = 10,
        baselines: bool = True,
    ) -> None:
        check_columns(adata.obs, "adata.obs", [cell_type, *([] if batch is None else [batch])])
        check_names(adata)
        needed = {cell_type: "type"} if batch is None else {cell_type: "type", batch: "batch"}
        adata, self.removed = with_known(adata, needed, removed or {})
        order = np.argsort(adata.obs_names.to_numpy(), kind="stable")
        adata = adata[order]
        self.types = adata.obs[cell_type].astype(str).to_numpy()
        if len(set(self.types)) < 2:
            msg = f"obs[{cell_type!r}] has fewer than two types."
            raise InputError(msg)
        self.batches = None if batch is None else adata.obs[batch].astype(str).to_numpy()
        shown = adata.copy()
        if self.batches is not None:
            shown.obs["batch"] = pd.Categorical(list(self.batches))
        elif "batch" in shown.obs:
            del shown.obs["batch"]
        self.cells = unlabelled(shown)
        self.entities: list[str] = [str(name) for name in adata.obs_names]
        self.n_seeds, self.baselines = n_seeds, baselines

    def evaluate(self, vectors: CellVectors | NDArray[np.float32], *, n_jobs: int = 1) -> Evaluation:
        """Score vectors (n_cells, d); cells whose row is NaN take no part."""
        del n_jobs
        of_cells = cell_vectors(vectors)
        known = np.flatnonzero(~np.isnan(of_cells.matrix).any(axis=1))
        items = [self.entities[i] for i in known]
        n_types = len(set(self.types[known]))
        if n_types < 2 or len(items) <= N_NEIGHBORS:
            msg = f"Only {len(items)} of {len(self.entities)} cells have a vector, too few of more than one type."
            raise InputError(msg)
        if n_types == len(items):
            msg = f"The {n_types} cells with a vector are each of a type of its own; there is nothing to score."
            raise InputError(msg)
        sample = self._sample(known, items)
        x = of_cells.matrix[known].astype(np.float64)
        notes = [
            "k-means is told the number of types; Leiden's resolutions are fixed.",
            *genes_note(of_cells.genes_used),
        ]
        if bool((x == x[0]).all()):
            notes.append("All vectors are equal: this embedding says nothing of the cells.")
        if self.batches is not None and sample.batches is None:
            notes.append("The cells are of one batch: their neighbours are not told apart by batches.")
        scores = [*clustered("k-means", k_means(x, sample.types, self.n_seeds), sample)]
        graph = neighbour_graph(x)
        for resolution in RESOLUTIONS:
            found = leiden(graph, resolution, self.n_seeds)
            scores += clustered(f"Leiden, resolution {resolution:g}", found, sample)
        scores += [silhouette(x, sample.types), *annotated(x, sample)]
        baselines: list[Score] = []
        if self.baselines:
            baselines += self.baselines_once(items, lambda: self._baselines(known, sample))
            baselines += self._same_genes(items, of_cells, lambda same: self._baseline(SAME_GENES, same[known], sample))
        return Evaluation(
            scores=scores,
            baselines=baselines,
            items=items,
            counts=self._counts(known),
            notes=notes,
        )

    def _sample(self, known: NDArray[np.intp], items: Sequence[str]) -> CellSample:
        types = np.unique(self.types[known], return_inverse=True)[1]
        batches = None if self.batches is None else np.unique(self.batches[known], return_inverse=True)[1]
        if batches is not None and not batches.any():  # one batch alone
            batches = None
        return CellSample(types, batches, half_samples(items), item_weights(items))

    def _baselines(self, known: NDArray[np.intp], sample: CellSample) -> list[Score]:
        """k-means and annotation of what uses no embedding."""
        scores = []
        for name, spec in _BASELINES.items():
            scores += self._baseline(name, self.embed(get_source(spec)).matrix[known], sample)
        return scores

    def _baseline(self, name: str, vectors: NDArray[np.float32], sample: CellSample) -> list[Score]:
        x = vectors.astype(np.float64)
        found = clustered(name, k_means(x, sample.types, self.n_seeds), sample)
        return [*found, *annotated(x, sample, method=name)]

    def _counts(self, known: NDArray[np.intp]) -> dict[str, int]:
        types, sizes = np.unique(self.types[known], return_counts=True)
        counts = {str(name): int(size) for name, size in zip(types, sizes, strict=True)}
        return counts if self.batches is None else counts | {"batches": len(np.unique(self.batches[known]))}
