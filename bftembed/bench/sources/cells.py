"""Embeddings of cells that need no vectors of genes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bftembed._optional import require
from bftembed.bench.sources.base import CellVectors, NotApplicableError, Source

if TYPE_CHECKING:
    from anndata import AnnData
    from numpy.typing import NDArray

_COMPONENTS = 50
_VARIABLE_GENES = 2000


def counts_of(adata: AnnData, label: str) -> Any:
    """Counts of cells (n_obs, n_vars), or `NotApplicableError` if the data have none."""
    if "counts" not in adata.layers:
        msg = f"`{label}` needs counts, which these data do not have."
        raise NotApplicableError(msg)
    return adata.layers["counts"]


class _OfExpression(Source):
    """What is computed from the matrix alone."""

    def describe(self) -> dict[str, Any]:
        return {"spec": self.spec, "components": _COMPONENTS, "variable genes": _VARIABLE_GENES}


class HighlyVariable(_OfExpression):
    """Log-normalised values of the 2,000 most variable genes, or of all if there are fewer."""

    def cells(self, adata: AnnData) -> CellVectors:
        return CellVectors(self._values(adata))

    def _values(self, adata: AnnData) -> NDArray[np.float32]:
        import scanpy as sc

        if adata.n_vars > _VARIABLE_GENES:
            found = sc.pp.highly_variable_genes(adata, n_top_genes=_VARIABLE_GENES, inplace=False)
            adata = adata[:, found.highly_variable]
        return np.asarray(adata.X.toarray(), dtype=np.float32)


class PCA(HighlyVariable):
    """50 principal components of the highly variable genes."""

    def _values(self, adata: AnnData) -> NDArray[np.float32]:
        from sklearn import decomposition

        values = super()._values(adata).astype(np.float64)
        model = decomposition.PCA(min(_COMPONENTS, *values.shape), svd_solver="full")
        return np.asarray(model.fit_transform(values), dtype=np.float32)


class Harmony(PCA):
    """Principal components, moved together batch by batch by Harmony (Korsunsky et al. 2019)."""

    def _values(self, adata: AnnData) -> NDArray[np.float32]:
        if "batch" not in adata.obs or adata.obs["batch"].nunique() < 2:
            msg = f"`{self.label}` has nothing to do: the cells have no batches."
            raise NotApplicableError(msg)
        components = super()._values(adata)
        harmonypy = require("harmonypy")
        # One core: sums of several would come in another order each time.
        fitted = harmonypy.run_harmony(components, adata.obs[["batch"]], "batch", verbose=False, ncores=1)
        return np.asarray(fitted.Z_corr, dtype=np.float32)


class ScVI(_OfExpression):
    """Means of the latent space of scVI (Lopez et al. 2018), trained on the counts with the batches."""

    def cells(self, adata: AnnData) -> CellVectors:
        counts_of(adata, self.label)
        scvi = require("scvi")
        scvi.settings.seed = 0
        cells = adata.copy()
        scvi.model.SCVI.setup_anndata(cells, layer="counts", batch_key="batch" if "batch" in cells.obs else None)
        model = scvi.model.SCVI(cells)
        model.train(enable_progress_bar=False)
        return CellVectors(np.asarray(model.get_latent_representation(), dtype=np.float32))
