"""Neighbour graphs and UMAPs by scanpy, for any number of rows."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from anndata import AnnData
    from numpy.typing import NDArray

#: From more rows on neighbours are approximate.
_EXACT = 50_000
_KEPT = 8
#: UMAPs of this process by their input, the latest last: another colour needs no other UMAP.
_maps: dict[tuple[str, int, str, int], NDArray[np.float32]] = {}


def neighbors(
    adata: AnnData, *, use_rep: str, n_neighbors: int = 15, metric: str = "euclidean", seed: int = 0, **options: Any
) -> None:
    """`scanpy.pp.neighbors`, exact up to 50,000 rows.

    By default scanpy asks PyNNDescent from some thousands of rows on, and scanpy 1.11 cannot read what PyNNDescent 0.7
    answers (``'csr_array' object has no attribute 'getnnz'``).
    """
    import scanpy as sc

    exact = adata.n_obs <= _EXACT
    transformer = "sklearn" if exact else _approximate(adata.n_obs, n_neighbors, metric, seed)
    options |= {"n_neighbors": n_neighbors, "metric": metric, "random_state": seed}
    sc.pp.neighbors(adata, use_rep=use_rep, transformer=transformer, **options)


def umap(
    vectors: NDArray[Any], *, n_neighbors: int = 15, metric: str = "euclidean", seed: int = 0
) -> NDArray[np.float32]:
    """UMAP (n, 2) of vectors (n, d) by scanpy; of the same vectors it is computed once in a process."""
    import scanpy as sc
    from anndata import AnnData

    content = hashlib.sha256(f"{vectors.dtype} {vectors.shape}".encode())
    content.update(np.ascontiguousarray(vectors).data)
    made_from = (content.hexdigest(), n_neighbors, metric, seed)
    if made_from not in _maps:
        scratch = AnnData(obsm={"X": vectors}, shape=(len(vectors), 0))
        neighbors(scratch, use_rep="X", n_neighbors=min(n_neighbors, len(vectors) - 1), metric=metric, seed=seed)
        sc.tl.umap(scratch, random_state=seed)
        _maps[made_from] = np.asarray(scratch.obsm["X_umap"], dtype=np.float32)
    _maps[made_from] = _maps.pop(made_from)
    if len(_maps) > _KEPT:
        del _maps[next(iter(_maps))]
    return _maps[made_from]


def _approximate(n: int, n_neighbors: int, metric: str, seed: int) -> Any:
    """PyNNDescent as scanpy sets it up, with an answer that every scanpy can read."""
    from pynndescent import PyNNDescentTransformer
    from scipy.sparse import csr_matrix

    class Readable(PyNNDescentTransformer):  # type: ignore[misc]
        def fit_transform(self, X: Any, y: Any = None, **fit_params: Any) -> Any:
            return csr_matrix(super().fit_transform(X, y, **fit_params))

    trees, rounds = min(64, 5 + round(n**0.5 / 20)), max(5, round(np.log2(n)))
    return Readable(n_neighbors, metric=metric, random_state=seed, n_trees=trees, n_iters=rounds)
