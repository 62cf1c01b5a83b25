"""Embeddings of cells from the vectors of genes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from anndata import AnnData
    from numpy.typing import NDArray


def mean_of_genes(adata: AnnData, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mean of the genes' vectors (n_vars, d), weighted by the log-normalised values of a cell: (n_obs, d).

    Genes whose row is NaN take no part; a cell without any other is NaN. See `bftembed.tl.embed_cells`.
    """
    import anndata

    from bftembed.tl import embed_cells

    var = pd.DataFrame(index=adata.var_names)
    cells = anndata.AnnData(adata.X, obs=pd.DataFrame(index=adata.obs_names), var=var, varm={"genes": vectors})
    embed_cells(cells, use_rep="genes", key_added="cells", values="lognorm", empty="nan", progress=False)
    return np.asarray(cells.obsm["cells"], dtype=np.float32)
