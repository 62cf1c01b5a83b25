"""Embeddings of cells from the vectors of genes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from anndata import AnnData
    from numpy.typing import NDArray

#: How vectors of cells are made of those of genes.
Recipe = Literal["contrast", "batchwise", "mean"]


def cells_of_genes(
    adata: AnnData, vectors: NDArray[np.float32], table: NDArray[np.float32] | None = None, *, recipe: Recipe
) -> NDArray[np.float32]:
    """Vectors of cells (n_obs, d) from those of their genes, by `bftembed.tl.embed_cells`.

    Parameters
    ----------
    adata
        Log-normalised, with ``obs["batch"]`` for the recipe ``"batchwise"``.
    vectors
        (n_vars, d). Genes whose row is NaN take no part; a cell without any other is NaN.
    table
        (m, d): vectors of all genes, for the whitening; by default `vectors`. The mean needs none.
    recipe
        See `bftembed.bench.sources.base.Source.cells_by`.
    """
    import anndata

    from bftembed.tl import embed_cells

    by_recipe: dict[Recipe, dict[str, Any]] = {
        "contrast": {"weights": "contrast", "table": table},
        "batchwise": {"weights": "contrast", "table": table, "batch_key": "batch"},
        "mean": {"weights": "log1p"},
    }
    if recipe != "mean" and _constant(vectors if table is None else table):
        # Nothing to whiten by: all cells are one point, and are to be scored as that.
        vectors = np.where(np.isnan(vectors), vectors, np.float32(0))
        by_recipe[recipe] |= {"table": None, "whiten": None}
    obs = adata.obs[["batch"]] if recipe == "batchwise" else pd.DataFrame(index=adata.obs_names)
    cells = anndata.AnnData(adata.X, obs=obs, var=pd.DataFrame(index=adata.var_names), varm={"genes": vectors})
    embed_cells(
        cells, use_rep="genes", key_added="cells", values="lognorm", empty="nan", progress=False, **by_recipe[recipe]
    )
    return np.asarray(cells.obsm["cells"], dtype=np.float32)


def _constant(vectors: NDArray[np.float32]) -> bool:
    known = vectors[~np.isnan(vectors).any(axis=1)]
    return bool((known == known[:1]).all())
