"""Clusters of cells and votes of neighbours, and how well they agree with types."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from bftembed._scanpy import neighbors
from bftembed.bench.scoring.metrics import METRICS, drawn, plain
from bftembed.bench.scoring.scores import N_DRAWS, Score, seed_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from anndata import AnnData
    from numpy.typing import NDArray

N_NEIGHBORS = 15
_N_VOTES = 10


class CellSample(NamedTuple):
    """Types and batches (n,) of the cells that are scored, as codes; weights of the replicates (n_draws, n)."""

    types: NDArray[np.intp]
    batches: NDArray[np.intp] | None
    halves: NDArray[np.bool_]
    weights: NDArray[np.float64]


def half_samples(items: Sequence[str]) -> NDArray[np.bool_]:
    """Random halves of items without replacement: (n_draws, n), the same for the same items.

    The agreement of two partitions rises when an item is drawn twice, which is always together with itself. A
    statistic of random halves varies around the whole as its sampling distribution does (Shao and Wu 1989, d = n/2).
    """
    rng = np.random.default_rng(seed_of("half", *items))
    n = len(items)
    return rng.permuted(np.broadcast_to(np.arange(n) < n // 2, (N_DRAWS, n)), axis=1)


def k_means(x: NDArray[np.float64], types: NDArray[np.intp], n_seeds: int) -> list[NDArray[np.intp]]:
    """Clusters (n,) by k-means with as many as there are types, per seed."""
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits

    k = len(np.unique(types))
    # On one thread sums come in one order. Fewer distinct cells than clusters is what a constant embedding has.
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return [KMeans(k, n_init=1, random_state=seed).fit_predict(x) for seed in range(n_seeds)]


def neighbour_graph(x: NDArray[np.float64]) -> AnnData:
    """The graph of nearest neighbours that all resolutions share."""
    import anndata
    from scipy.sparse import SparseEfficiencyWarning

    cells = anndata.AnnData(obs=pd.DataFrame(index=[str(i) for i in range(len(x))]), obsm={"X": x})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SparseEfficiencyWarning)  # cells that are equal, as of a constant embedding
        neighbors(cells, n_neighbors=N_NEIGHBORS, use_rep="X")
    return cells


def leiden(cells: AnnData, resolution: float, n_seeds: int) -> list[NDArray[np.intp]]:
    """Clusters (n,) of the graph by Leiden, per seed."""
    import scanpy as sc

    found = []
    for seed in range(n_seeds):
        sc.tl.leiden(
            cells, resolution, flavor="igraph", n_iterations=2, directed=False, random_state=seed, key_added="found"
        )
        found.append(cells.obs["found"].cat.codes.to_numpy().astype(np.intp))
    return found


def clustered(method: str, found: Sequence[NDArray[np.intp]], sample: CellSample) -> list[Score]:
    """Agreement of clusters with the types, per seed; each replicate takes half of the cells and one of the seeds."""
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
    """Adjusted Rand index (Hubert and Arabie 1985) within each subsample of cells: (n_draws,) of `draws` (n_draws, n).

    scikit-learn's, of all subsamples at once: its checks of the input take most of the time of a thousand calls.
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


def silhouette(x: NDArray[np.float64], types: NDArray[np.intp]) -> Score:
    """Mean silhouette of the types, by Euclidean distance (Rousseeuw 1987)."""
    from sklearn.metrics import silhouette_score

    return Score("types", "silhouette", np.array([[silhouette_score(x, types)]], dtype=float))


def annotated(x: NDArray[np.float64], sample: CellSample, *, method: str = "") -> list[Score]:
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


def _votes(x: NDArray[np.float64], sample: CellSample) -> dict[str, NDArray[np.intp]]:
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
