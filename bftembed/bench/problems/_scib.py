"""Metrics of scIB, by `scib` where it runs and by `scib-metrics` else; none of them is computed here.

`scib` gives silhouettes, isolated labels, NMI, ARI, graph connectivity and the principal component comparison;
`scib-metrics` gives LISI (the program that `scib` ships for it does not start everywhere), kBET (that of `scib` needs
R) and BRAS, which `scib` has not. (Luecken et al. Nat Methods 19, 41-50, 2022; Rautenstrauch and Ohler 2025 on BRAS.)
"""

from __future__ import annotations

import contextlib
import io
import warnings
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from anndata import AnnData

from bftembed._optional import require

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

#: Neighbours of a cell, itself included, for LISI, and those of them that make the graph.
K_LISI, K_GRAPH = 90, 15
_SEEDS = 10
_COMPONENTS = 50
#: Vectors that spread less than this part of their largest number differ by rounding only.
_ROUNDING = 1e-5
#: Zeros that make dimensions a multiple of this leave distances as they are, and jax compiles once for most embeddings.
_PADDED = 512
_EMBEDDING, _LABEL, _BATCH = "X_emb", "label", "batch"


def centred(vectors: NDArray[Any]) -> Floats:
    """Vectors (n, d) less their mean; exactly zero if all are equal but for rounding."""
    x = np.asarray(vectors, dtype=float)
    if bool((np.ptp(x, axis=0) <= _ROUNDING * np.abs(x).max()).all()):
        return np.zeros_like(x)
    return np.asarray(x - x.mean(axis=0))


def bio_scores(x: Floats, labels: NDArray[Any], batch: NDArray[Any] | None, neighbours: Any) -> dict[str, float]:
    """How well an embedding keeps labels apart.

    The clusters are those of k-means with as many as there are labels, so that no resolution is chosen by the labels;
    NMI and ARI are means over ten seeds. Isolated labels are those in the fewest batches, by their silhouette; they
    are not in the answer if every label is in every batch or there is no batch.

    Parameters
    ----------
    x
        (n, d) from `centred`.
    labels, batch
        (n,) text.
    neighbours
        From `nearest`.

    Returns
    -------
    Each 0 (worst) to 1 by name of the metric; 0 in all of them if all cells are at one point.
    """
    scib, scib_metrics = _packages()
    adata = _as_anndata(x, labels, batch)
    names = ["label silhouette", "NMI", "ARI", "cLISI"]
    isolated = batch is not None and bool((pd.crosstab(labels, batch) == 0).any(axis=None))
    if isolated:
        names.append("isolated labels")
    if not x.any():
        return dict.fromkeys(names, 0.0)
    scores = {}
    with _quiet():
        scores["label silhouette"] = scib.me.silhouette(adata, _LABEL, _EMBEDDING)
        scores["NMI"], scores["ARI"] = _clusters(scib, adata)
        scores["cLISI"] = scib_metrics.clisi_knn(neighbours, labels)
        if isolated:
            scores["isolated labels"] = scib.me.isolated_labels_asw(adata, _LABEL, _BATCH, _EMBEDDING, verbose=False)
    return {name: float(scores[name]) for name in names}


def batch_scores(
    x: Floats, batch: NDArray[Any], labels: NDArray[Any] | None, neighbours: Any, before: AnnData
) -> dict[str, float]:
    """How well an embedding mixes batches.

    BRAS and kBET are means over labels, each within the cells of the label. kBET tests the neighbours of a cell among
    the cells of its label, by distance in the embedding; `kbet_per_label` of scib-metrics finds them by a diffusion
    whose start is random. Without labels all cells count as one type, and there is no graph connectivity. BRAS and
    kBET are not in the answer if no label has enough cells and batches for them.

    Parameters
    ----------
    x
        (n, d) from `centred`.
    batch, labels
        (n,) text.
    neighbours
        From `nearest`.
    before
        The same cells before integration, from `principal_components`.

    Returns
    -------
    Each 0 (worst) to 1 by name of the metric; 0 in all of them if all cells are at one point: that mixes nothing.
    """
    scib, scib_metrics = _packages()
    groups = np.full(len(x), "all") if labels is None else labels
    has = {"BRAS": _has_bras(groups, batch), "kBET": bool(kbet_neighbours(groups, batch))}
    has["graph connectivity"] = labels is not None
    names = ["BRAS", "iLISI", "kBET", "PCR comparison", "graph connectivity"]
    names = [name for name in names if has.get(name, True)]
    if not x.any():
        return dict.fromkeys(names, 0.0)
    scores = {}
    with _quiet():
        if has["BRAS"]:
            padded = np.pad(x.astype(np.float32), ((0, 0), (0, -x.shape[1] % _PADDED)))
            scores["BRAS"] = scib_metrics.bras(padded, groups, batch, chunk_size=len(x))
        scores["iLISI"] = scib_metrics.ilisi_knn(neighbours, batch)
        if has["kBET"]:
            scores["kBET"] = _kbet(scib_metrics, x, groups, batch)
        after = _as_anndata(x, groups, batch)
        scores["PCR comparison"] = scib.me.pcr_comparison(before, after, _BATCH, embed=_EMBEDDING, n_comps=_COMPONENTS)
        if labels is not None:
            after.obsp["connectivities"], after.uns["neighbors"] = _graph(neighbours), {}
            scores["graph connectivity"] = scib.me.graph_connectivity(after, _LABEL)
    return {name: float(scores[name]) for name in names}


def nearest(x: Floats, k: int = K_LISI) -> Any:
    """The k nearest cells of every cell, itself among them, exact: `NeighborsResults` of scib-metrics."""
    from sklearn.neighbors import NearestNeighbors

    with _quiet():
        results = require("scib_metrics.nearest_neighbors").NeighborsResults
    distances, indices = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(x).kneighbors(x)
    return results(indices=indices.astype(np.int32), distances=distances.astype(np.float32))


def principal_components(adata: AnnData, batch: NDArray[Any]) -> AnnData:
    """Cells with 50 principal components of their expression, as `scib` looks for them, and nothing else."""
    import scanpy as sc

    before = AnnData(adata.X, obs=pd.DataFrame({_BATCH: pd.Categorical(batch)}, index=adata.obs_names))
    sc.pp.pca(before, n_comps=min(_COMPONENTS, min(before.shape) - 1), svd_solver="arpack", random_state=0)
    return before


def kbet_neighbours(labels: NDArray[Any], batch: NDArray[Any]) -> dict[str, int]:
    """Neighbours of a cell in kBET, itself included, by label.

    As in `scib`: a quarter of the mean size of a batch, from 10 to 70. Labels of one batch, or of no more cells than
    that, are not in the answer.
    """
    k_of = {}
    for label in np.unique(labels):
        sizes = np.unique(batch[labels == label], return_counts=True)[1]
        k = int(np.clip(sizes.mean() // 4, 10, 70)) + 1
        if len(sizes) > 1 and sizes.sum() > k:
            k_of[str(label)] = k
    return k_of


def package_versions() -> str:
    """Of the packages whose values a total is made of: totals of other versions are no comparison."""
    return f"scib {version('scib')} and scib-metrics {version('scib-metrics')}"


def _clusters(scib: ModuleType, adata: AnnData) -> tuple[float, float]:
    """NMI and ARI of k-means, the mean over seeds."""
    from sklearn.cluster import KMeans

    n_labels = adata.obs[_LABEL].nunique()
    values = []
    for seed in range(_SEEDS):
        clusters = KMeans(n_labels, n_init=1, random_state=seed).fit_predict(adata.obsm[_EMBEDDING])
        adata.obs["cluster"] = pd.Categorical(clusters)
        values.append((scib.me.nmi(adata, "cluster", _LABEL), scib.me.ari(adata, "cluster", _LABEL)))
    nmi, ari = np.mean(values, axis=0)
    return float(nmi), float(ari)


def _has_bras(groups: NDArray[Any], batch: NDArray[Any]) -> bool:
    """Whether a label is in several batches, one of them with more than one of its cells."""
    sizes = pd.crosstab(groups, batch)
    n_batches = (sizes > 0).sum(axis=1)
    return bool(((n_batches > 1) & (n_batches < sizes.sum(axis=1))).any())


def _kbet(scib_metrics: ModuleType, x: Floats, groups: NDArray[Any], batch: NDArray[Any]) -> float:
    """Mean over labels of the share of cells whose neighbours have the batches of their label."""
    rates = []
    for group, k in kbet_neighbours(groups, batch).items():
        rows = groups == group
        rates.append(scib_metrics.kbet(nearest(x[rows], k), batch[rows])[0])
    return float(np.mean(rates))


def _graph(neighbours: Any) -> Any:
    """Edges to the 15 nearest cells, in both directions: those of scanpy's graph, whose weights nothing here reads."""
    graph = neighbours.subset_neighbors(K_GRAPH).knn_graph_distances.copy()
    graph.data[:] = 1
    return graph.maximum(graph.T)


def _as_anndata(x: Floats, labels: NDArray[Any], batch: NDArray[Any] | None) -> AnnData:
    obs = pd.DataFrame({_LABEL: pd.Categorical(labels)}, index=np.arange(len(x)).astype(str))
    if batch is not None:
        obs[_BATCH] = pd.Categorical(batch)
    return AnnData(obs=obs, obsm={_EMBEDDING: x})


def _packages() -> tuple[ModuleType, ModuleType]:
    with _quiet():
        return require("scib"), require("scib_metrics")


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without what these packages print, and their use of what pandas, scanpy and umap will change."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        for category in (FutureWarning, DeprecationWarning, ImportWarning):
            warnings.simplefilter("ignore", category)
        yield
