"""What the benchmark asks of an embedding: vectors of names and of cells."""

from __future__ import annotations

from abc import ABC
from typing import TYPE_CHECKING, Any

import numpy as np

from bftembed.bench.sources.of_genes import mean_of_genes
from bftembed.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anndata import AnnData
    from numpy.typing import NDArray


class NotApplicableError(InputError):
    """An embedding has nothing for this kind of entity, e.g. principal components of cells for genes."""


class Source(ABC):
    """Somebody who has vectors for names.

    A source overrides what it can do of `genes`, `drugs` and `cells`. It starts nothing before it is asked, and asks
    for no more than it is asked for: of a text source only the texts of these names are encoded.
    """

    #: Name in results and reports, unique within a run.
    label: str
    #: The short name it was made from.
    spec: str
    #: Which genes (n_vars,) the last vectors of cells are means of; None if they are no means of genes' vectors.
    genes_used: NDArray[np.bool_] | None = None

    def describe(self) -> dict[str, Any]:
        """Everything that fixes the vectors, as JSON: a result whose description differs is computed again."""
        return {"spec": self.spec}

    def genes(self, names: Sequence[str]) -> NDArray[np.float32]:
        """Vectors (n, d) of genes by canonical symbol, NaN rows for those it does not know."""
        raise NotApplicableError(self._cannot("genes"))

    def drugs(self, names: Sequence[str]) -> NDArray[np.float32]:
        """Vectors (n, d) of drugs by name, NaN rows for those it does not know."""
        raise NotApplicableError(self._cannot("drugs"))

    def cells(self, adata: AnnData) -> NDArray[np.float32]:
        """Vectors (n_obs, d) of cells, NaN rows for those it does not know.

        ``adata`` has log-normalised values in ``X``, canonical symbols as ``var_names``, and where the data have them
        batches in ``obs["batch"]`` and counts in ``layers["counts"]``. By default the mean of the genes' vectors,
        weighted by their values.
        """
        vectors = self.genes([str(name) for name in adata.var_names])
        self.genes_used = np.asarray(~np.isnan(vectors).any(axis=1))
        return mean_of_genes(adata, vectors)

    def _cannot(self, what: str) -> str:
        return f"`{self.label}` has no embedding of {what}."


def checked(vectors: NDArray[np.float32], n: int, label: str) -> NDArray[np.float32]:
    """Vectors (n, d) as a source gave them, or `InputError` if they are no such array or hold half a vector."""
    if vectors.ndim != 2 or len(vectors) != n:
        msg = f"`{label}` gave an array of shape {vectors.shape} for {n} names."
        raise InputError(msg)
    missing = np.isnan(vectors)
    partly = missing.any(axis=1) & ~missing.all(axis=1)
    if partly.any() or np.isinf(vectors).any():
        msg = (
            f"`{label}`: {int(partly.sum())} vectors are NaN in part and {int(np.isinf(vectors).any(axis=1).sum())} "
            "hold infinite values. Make the whole row NaN for a name without a vector."
        )
        raise InputError(msg)
    return vectors
