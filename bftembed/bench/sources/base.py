"""What the benchmark asks of an embedding: vectors of names and of cells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from bftembed.bench.sources.of_genes import mean_of_genes
from bftembed.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anndata import AnnData
    from numpy.typing import NDArray


class NotApplicableError(InputError):
    """An embedding has nothing for this kind of entity, e.g. principal components of cells for genes."""


class CellVectors(NamedTuple):
    """Vectors of cells.

    Attributes
    ----------
    matrix
        (n_obs, d) float32, NaN rows for cells without a vector.
    genes_used
        (n_vars,) bool: of which genes the vectors are means; None if they are no means of vectors of genes.
    """

    matrix: NDArray[np.float32]
    genes_used: NDArray[np.bool_] | None = None


def cell_vectors(vectors: CellVectors | NDArray[np.float32]) -> CellVectors:
    """Vectors of cells as they are, or of an array (n_obs, d), which are no means of vectors of genes."""
    return vectors if isinstance(vectors, CellVectors) else CellVectors(vectors)


class Source:
    """An embedding: vectors of genes, drugs or cells by name.

    A source overrides what it can do of `genes`, `drugs` and `cells`. It loads nothing before it is asked, and only
    what is needed for the names that it is asked for: of a text source only the texts of these names are encoded.

    Parameters
    ----------
    argument
        What follows the colon of the short name, e.g. a path.
    label
        Name in results and reports, unique within a run; by default the name of the class.
    spec
        The short name it was made from; by default the label.
    """

    #: What the argument is, for the list of embeddings, e.g. ``PATH``; empty if there is none.
    argument_name: ClassVar[str] = ""
    #: Whether the constructor takes ``encoder=``.
    takes_encoder: ClassVar[bool] = False

    def __init__(self, argument: str = "", *, label: str | None = None, spec: str | None = None) -> None:
        self.argument = argument
        self.label: str = type(self).__name__ if label is None else label
        self.spec: str = self.label if spec is None else spec

    def describe(self) -> dict[str, Any]:
        """Everything that fixes the vectors, as JSON: a result whose description differs is computed again."""
        return {"spec": self.spec}

    def check(self) -> None:
        """Raise an error of this package if there is nothing to read; a run asks before it starts."""
        self.describe()

    def genes(self, names: Sequence[str]) -> NDArray[np.float32]:
        """Vectors (n, d) of genes by canonical symbol, NaN rows for those it does not know."""
        raise NotApplicableError(self._cannot("genes"))

    def drugs(self, names: Sequence[str]) -> NDArray[np.float32]:
        """Vectors (n, d) of drugs by name, NaN rows for those it does not know."""
        raise NotApplicableError(self._cannot("drugs"))

    def cells(self, adata: AnnData) -> CellVectors:
        """Vectors (n_obs, d) of cells, NaN rows for those it does not know.

        ``adata`` has log-normalised values in ``X``, canonical symbols as ``var_names``, and where the data have them
        batches in ``obs["batch"]`` and counts in ``layers["counts"]``. By default the mean of the genes' vectors,
        weighted by their values.
        """
        vectors = self.genes([str(name) for name in adata.var_names])
        return CellVectors(mean_of_genes(adata, vectors), np.asarray(~np.isnan(vectors).any(axis=1)))

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
