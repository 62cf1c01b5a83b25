"""Cells with types: how well clusters of an embedding agree with them, and whether neighbours tell them."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from bftembed.bench.base import Evaluation, Problem
from bftembed.bench.problems.cell_data import unlabelled
from bftembed.bench.scoring.metrics import METRICS, drawn, plain
from bftembed.bench.scoring.scores import N_DRAWS, Score, item_weights, seed_of
from bftembed.bench.sources.base import CellVectors, cell_vectors
from bftembed.bench.sources.grammar import get_source
from bftembed.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from anndata import AnnData
    from numpy.typing import NDArray

    from bftembed.bench.sources.base import Source

RESOLUTIONS = (0.5, 1.0, 2.0)
_N_NEIGHBORS = 15
_N_VOTES = 10
#: What stands beside every embedding: a text embedding has to beat random gene vectors to mean anything.
_BASELINES = {"PCA": "pca", "random gene vectors": "random"}
#: Stands beside an embedding of genes that lacks some of the cells' genes.
SAME_GENES = "random vectors of the same genes"


class _Sample(NamedTuple):
    """Types and batches (n,) of the cells that are scored, as codes; weights of the draws (n_draws, n)."""

    types: NDArray[np.intp]
    batches: NDArray[np.intp] | None
    halves: NDArray[np.bool_]
    weights: NDArray[np.float64]


class CellProblem(Problem):
    """Cells that an embedding sees without labels."""

    #: What an embedding sees.
    cells: AnnData

    def embed(self, source: Source) -> CellVectors:
        """Vectors of the cells, by a source that sees no types."""
        return self._vectors(source)

    def _vectors(self, source: Source, genes: NDArray[np.bool_] | slice = slice(None)) -> CellVectors:
        """Vectors of the cells by some of their genes."""
        return cell_vectors(source.cells(self.cells[:, genes].copy()))

    def _same_genes(
        self,
        items: Sequence[str],
        genes: NDArray[np.bool_] | None,
        compute: Callable[[NDArray[np.float32]], list[Score]],
    ) -> list[Score]:
        """What random vectors of the genes that an embedding has get; nothing if it has all."""
        if genes is None or genes.all():
            return []
        key = [*items, SAME_GENES, *self.cells.var_names[genes]]
        return self.baselines_once(key, lambda: compute(self._vectors(get_source("random"), genes).matrix))


def genes_note(genes: NDArray[np.bool_] | None) -> list[str]:
    """How many genes of the cells have a vector, if their vectors are made of genes'."""
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
    """Cells that lack none of the columns (by what each tells), and `removed` with how many lack which."""
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
        for column in [cell_type, *([] if batch is None else [batch])]:
            if column not in adata.obs:
                msg = f"obs has no column {column!r}; it has {', '.join(adata.obs.columns) or 'none'}."
                raise InputError(msg)
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
        vectors, genes = cell_vectors(vectors)
        known = np.flatnonzero(~np.isnan(vectors).any(axis=1))
        items = [self.entities[i] for i in known]
        n_types = len(set(self.types[known]))
        if n_types < 2 or len(items) <= _N_NEIGHBORS:
            msg = f"Only {len(items)} of {len(self.entities)} cells have a vector, too few of more than one type."
            raise InputError(msg)
        if n_types == len(items):
            msg = f"The {n_types} cells with a vector are each of a type of its own; there is nothing to score."
            raise InputError(msg)
        sample = self._sample(known, items)
        x = vectors[known].astype(np.float64)
        notes = ["k-means is told the number of types; Leiden's resolutions are fixed.", *genes_note(genes)]
        if bool((x == x[0]).all()):
            notes.append("All vectors are equal: this embedding says nothing of the cells.")
        if self.batches is not None and sample.batches is None:
            notes.append("The cells are of one batch: their neighbours are not told apart by batches.")
        scores = [*_clustered("k-means", _k_means(x, sample.types, self.n_seeds), sample)]
        graph = _graph(x)
        for resolution in RESOLUTIONS:
            found = _leiden(graph, resolution, self.n_seeds)
            scores += _clustered(f"Leiden, resolution {resolution:g}", found, sample)
        scores += [_silhouette(x, sample.types), *_annotated(x, sample)]
        baselines: list[Score] = []
        if self.baselines:
            baselines += self.baselines_once(items, lambda: self._baselines(known, sample))
            baselines += self._same_genes(items, genes, lambda same: self._baseline(SAME_GENES, same[known], sample))
        return Evaluation(
            scores=scores,
            baselines=baselines,
            items=items,
            counts=self._counts(known),
            notes=notes,
        )

    def _sample(self, known: NDArray[np.intp], items: Sequence[str]) -> _Sample:
        types = np.unique(self.types[known], return_inverse=True)[1]
        batches = None if self.batches is None else np.unique(self.batches[known], return_inverse=True)[1]
        if batches is not None and not batches.any():  # one batch alone
            batches = None
        return _Sample(types, batches, half_samples(items), item_weights(items))

    def _baselines(self, known: NDArray[np.intp], sample: _Sample) -> list[Score]:
        """k-means and annotation of what uses no embedding."""
        scores = []
        for name, spec in _BASELINES.items():
            scores += self._baseline(name, self._vectors(get_source(spec)).matrix[known], sample)
        return scores

    def _baseline(self, name: str, vectors: NDArray[np.float32], sample: _Sample) -> list[Score]:
        x = vectors.astype(np.float64)
        clustered = _clustered(name, _k_means(x, sample.types, self.n_seeds), sample)
        return [*clustered, *_annotated(x, sample, method=name)]

    def _counts(self, known: NDArray[np.intp]) -> dict[str, int]:
        types, sizes = np.unique(self.types[known], return_counts=True)
        counts = {str(name): int(size) for name, size in zip(types, sizes, strict=True)}
        return counts if self.batches is None else counts | {"batches": len(np.unique(self.batches[known]))}


def half_samples(items: Sequence[str]) -> NDArray[np.bool_]:
    """Random halves of items without replacement: (n_draws, n), the same for the same items.

    The agreement of two partitions rises when an item is drawn twice, which is always together with itself. A
    statistic of random halves varies around the whole as its sampling distribution does (Shao and Wu 1989, d = n/2).
    """
    rng = np.random.default_rng(seed_of("half", *items))
    n = len(items)
    return rng.permuted(np.broadcast_to(np.arange(n) < n // 2, (N_DRAWS, n)), axis=1)


def _k_means(x: NDArray[np.float64], types: NDArray[np.intp], n_seeds: int) -> list[NDArray[np.intp]]:
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits

    k = len(np.unique(types))
    # On one thread sums come in one order. Fewer distinct cells than clusters is what a constant embedding has.
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return [KMeans(k, n_init=1, random_state=seed).fit_predict(x) for seed in range(n_seeds)]


def _graph(x: NDArray[np.float64]) -> AnnData:
    """The graph of nearest neighbours that all resolutions share."""
    import anndata
    import scanpy as sc
    from scipy.sparse import SparseEfficiencyWarning

    cells = anndata.AnnData(obs=pd.DataFrame(index=[str(i) for i in range(len(x))]), obsm={"X": x})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SparseEfficiencyWarning)  # cells that are equal, as of a constant embedding
        sc.pp.neighbors(cells, n_neighbors=_N_NEIGHBORS, use_rep="X", random_state=0)
    return cells


def _leiden(cells: AnnData, resolution: float, n_seeds: int) -> list[NDArray[np.intp]]:
    import scanpy as sc

    found = []
    for seed in range(n_seeds):
        sc.tl.leiden(
            cells, resolution, flavor="igraph", n_iterations=2, directed=False, random_state=seed, key_added="found"
        )
        found.append(cells.obs["found"].cat.codes.to_numpy().astype(np.intp))
    return found


def _clustered(method: str, found: Sequence[NDArray[np.intp]], sample: _Sample) -> list[Score]:
    """Agreement of clusters with the types, per seed; each draw takes half of the cells and one of the seeds."""
    from sklearn.metrics import adjusted_mutual_info_score, adjusted_rand_score, normalized_mutual_info_score

    metrics: dict[str, Callable[[Any, Any], float]] = {
        "ari": adjusted_rand_score,
        "ami": adjusted_mutual_info_score,
        "nmi": normalized_mutual_info_score,
    }
    types = sample.types
    draws = np.empty(len(sample.halves))
    for seed, clusters in enumerate(found):
        draws[seed :: len(found)] = rand_indices(types, clusters, sample.halves[seed :: len(found)])
    return [
        Score(
            method,
            name,
            np.array([[metric(types, clusters)] for clusters in found], dtype=float),
            draws if name == "ari" else None,
        )
        for name, metric in metrics.items()
    ]


def rand_indices(types: NDArray[np.intp], clusters: NDArray[np.intp], draws: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Adjusted Rand index (Hubert and Arabie 1985) within each draw of cells: (n_draws,) of draws (n_draws, n).

    scikit-learn's, of all draws at once: its checks of the input take most of the time of a thousand calls.
    """
    from scipy.sparse import csr_array

    shape = types.max() + 1, clusters.max() + 1
    each = np.ones(len(types)), types * shape[1] + clusters, np.arange(len(types) + 1)
    cells = csr_array(each, shape=(len(types), shape[0] * shape[1]))
    tables = (draws.astype(float) @ cells).reshape(-1, *shape)
    n, both = tables.sum(axis=(1, 2)), np.square(tables).sum(axis=(1, 2))
    type_only = np.square(tables.sum(axis=2)).sum(axis=1) - both
    cluster_only = np.square(tables.sum(axis=1)).sum(axis=1) - both
    same, neither = both - n, np.square(n) - both - type_only - cluster_only
    above = 2 * (same * neither - type_only * cluster_only)
    below = (same + type_only) * (type_only + neither) + (same + cluster_only) * (cluster_only + neither)
    found: NDArray[np.float64] = np.ones_like(above)
    np.divide(above, below, out=found, where=type_only + cluster_only > 0)
    return found


def _silhouette(x: NDArray[np.float64], types: NDArray[np.intp]) -> Score:
    """Mean silhouette of the types, by Euclidean distance (Rousseeuw 1987)."""
    from sklearn.metrics import silhouette_score

    return Score("types", "silhouette", np.array([[silhouette_score(x, types)]], dtype=float))


def _annotated(x: NDArray[np.float64], sample: _Sample, *, method: str = "") -> list[Score]:
    """Accuracy and macro-F1 of what a cell's nearest cells say, of its batch and of others, or of all."""
    from sklearn.metrics import f1_score

    scores = []
    for name, guess in _votes(x, sample).items():
        answered = guess >= 0
        if not answered.any():  # every batch is of one cell
            continue
        types, weights = sample.types[answered], sample.weights[:, answered]
        label = f"{method}, {name}" if method else name
        accuracy = METRICS["accuracy"]
        value = np.array([[plain(accuracy, types, guess[answered])]])
        scores.append(Score(label, "accuracy", value, drawn(accuracy, types, guess[answered], weights)))
        f1 = f1_score(types, guess[answered], average="macro")
        scores.append(Score(label, "macro f1", np.array([[f1]], dtype=float)))
    return scores


def _votes(x: NDArray[np.float64], sample: _Sample) -> dict[str, NDArray[np.intp]]:
    """Guesses (n,) of a cell's type by its nearest cells; -1 where a batch has no cell to ask."""
    from sklearn.neighbors import KNeighborsClassifier

    def asked(rows: NDArray[np.intp], others: NDArray[np.intp] | None) -> NDArray[np.intp]:
        learned = rows if others is None else others
        k = min(_N_VOTES, len(learned) - (others is None))
        if k < 1:
            return np.full(len(rows), -1)
        model = KNeighborsClassifier(k).fit(x[learned], sample.types[learned])
        # Without an argument each cell is left out of its own neighbours.
        guess: NDArray[np.intp] = model.predict(None if others is None else x[rows])
        return guess

    every = np.arange(len(x))
    if sample.batches is None:
        return {"neighbours": asked(every, None)}
    within, across = np.full(len(x), -1), np.full(len(x), -1)
    for batch in np.unique(sample.batches):
        inside = sample.batches == batch
        within[inside] = asked(every[inside], None)
        across[inside] = asked(every[inside], every[~inside])
    return {"neighbours in the batch": within, "neighbours in other batches": across}
