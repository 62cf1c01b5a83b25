"""UMAP of an embedding, through scanpy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bftembed.errors import InputError

if TYPE_CHECKING:
    from anndata import AnnData


def embedding(
    adata: AnnData, *, key: str = "X_bft", n_neighbors: int = 15, random_state: int = 0, **kwargs: Any
) -> Any:
    """Draw cells (or the rows of `bft.embed`) on a UMAP of ``obsm[key]``.

    Neighbours and UMAP are computed by scanpy where ``obsm[f"{key}_umap"]`` is missing.

    Parameters
    ----------
    adata
        With ``obsm[key]``; sets ``obsm[f"{key}_umap"]``.
    key
        Key of the embedding.
    n_neighbors, random_state
        Handed to ``scanpy.pp.neighbors`` and ``scanpy.tl.umap``.
    kwargs
        Handed to ``scanpy.pl.embedding``: ``color``, ``ax``, ``show``, ``save``, ``return_fig`` ...

    Returns
    -------
    Axes or Figure, as ``scanpy.pl.embedding`` gives it.
    """
    import scanpy as sc
    from anndata import AnnData

    if key not in adata.obsm:
        msg = f"`adata.obsm` has no `{key}`; call bft.tl.embed_cells first."
        raise InputError(msg)
    basis = f"{key}_umap"
    if basis not in adata.obsm:
        vectors = np.asarray(adata.obsm[key])
        known = np.isfinite(vectors).all(axis=1)  # rows without a vector are not drawn
        scratch = AnnData(obs=adata.obs.loc[known, []], obsm={key: vectors[known]})
        sc.pp.neighbors(
            scratch, use_rep=key, n_neighbors=min(n_neighbors, scratch.n_obs - 1), random_state=random_state
        )
        sc.tl.umap(scratch, random_state=random_state)
        adata.obsm[basis] = np.full((adata.n_obs, 2), np.nan, dtype=np.float32)
        adata.obsm[basis][known] = scratch.obsm["X_umap"]
    return sc.pl.embedding(adata, basis=basis, **kwargs)
