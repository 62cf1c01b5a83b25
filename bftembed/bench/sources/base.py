"""What the benchmark asks of an embedding: vectors of names and of cells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from bftembed.bench.sources.of_genes import cells_of_genes
from bftembed.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anndata import AnnData
    from numpy.typing import NDArray

    from bftembed.bench.sources.of_genes import Recipe


class NotApplicableError(InputError):
    """An embedding has nothing for this kind of entity, e.g. principal components of cells for genes.

    Examples
    --------
    >>> from bftembed.bench import NotApplicableError, get_source
    >>> try:
    ...     get_source("pca").genes(["TP53"])
    ... except NotApplicableError as error:
    ...     print(error)
    `pca` has no embedding of genes.
    """


class CellVectors(NamedTuple):
    """Vectors of cells.

    Attributes
    ----------
    matrix
        (n_obs, d) float32, NaN rows for cells without a vector.
    genes_used
        (n_vars,) bool: which genes have a vector that cells could be made of; None if they are not made of such.
    recipe
        How cells were made of the genes' vectors, so that controls are made in the same way.

    Examples
    --------
    >>> import numpy as np
    >>> from bftembed.bench import CellVectors
    >>> CellVectors(np.ones((3, 2), dtype=np.float32)).recipe
    'contrast'
    """

    matrix: NDArray[np.float32]
    genes_used: NDArray[np.bool] | None = None
    recipe: Recipe = "contrast"


def cell_vectors(vectors: CellVectors | NDArray[np.float32]) -> CellVectors:
    """Vectors of cells as they are, or of an array (n_obs, d), which are not made of vectors of genes."""
    return vectors if isinstance(vectors, CellVectors) else CellVectors(vectors)


class Source:
    """An embedding: vectors of genes, drugs or cells by name.

    A source overrides what it can do of `genes`, `texts`, `drugs` and `cells`. It loads nothing before it is asked, and
    only what is needed for the names that it is asked for: of a text source only the texts of these names are encoded.

    Parameters
    ----------
    argument
        What follows the colon of the short name, e.g. a path.
    label
        Name in results and reports, unique within a run; by default the name of the class.
    spec
        The short name it was made from; by default the label.

    Examples
    --------
    An embedding of your own:

    >>> import numpy as np
    >>> from bftembed.bench import Source
    >>> class Lengths(Source):
    ...     def genes(self, names):
    ...         return np.array([[len(name)] for name in names], dtype=np.float32)
    >>> Lengths(label="lengths").genes(["TP53", "ALB"]).tolist()
    [[4.0], [3.0]]
    """

    #: What the argument is, for the list of embeddings, e.g. ``PATH``; empty if there is none.
    argument_name: ClassVar[str] = ""
    #: Whether the constructor takes ``encoder=``.
    takes_encoder: ClassVar[bool] = False
    #: Whether the constructor takes ``engine_options=``.
    takes_engine_options: ClassVar[bool] = False
    #: Whether it may have answers to language tasks.
    answers: ClassVar[bool] = False
    #: Whether a run is of small parts of the tasks: nothing that takes minutes is made for it.
    fast: bool = False
    #: How cells are made of vectors of genes, see `cells_by`.
    recipe: ClassVar[Recipe] = "contrast"

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

    def texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors (n, d) of free texts, in the space of those of genes."""
        raise NotApplicableError(self._cannot("free texts"))

    def drugs(self, names: Sequence[str]) -> NDArray[np.float32]:
        """Vectors (n, d) of drugs by name, NaN rows for those it does not know."""
        raise NotApplicableError(self._cannot("drugs"))

    def all_genes(self) -> NDArray[np.float32] | None:
        """Vectors (m, d) of all genes that it has: those of a few are whitened by what is common to all of them.

        None, the default, if they cannot be listed: then by what is common to the few, shrunk.
        """
        return None

    def cells(self, adata: AnnData) -> CellVectors:
        """Vectors (n_obs, d) of cells, NaN rows for those it does not know.

        ``adata`` has log-normalised values in ``X``, canonical symbols as ``var_names``, and where the data have them
        batches in ``obs["batch"]`` and counts in ``layers["counts"]``. By default made of the genes' vectors, see
        `cells_by`.
        """
        return self.cells_by(self.recipe, adata)

    def cells_by(self, recipe: Recipe, adata: AnnData, *, genes: NDArray[np.bool_] | None = None) -> CellVectors:
        """Vectors (n_obs, d) of cells, made of the genes' vectors.

        Parameters
        ----------
        recipe
            ``"contrast"``: by how much a cell departs from what is usual for each gene, times whitened vectors, as
            `bftembed.tl.embed_cells` does by default; ``"batchwise"``: from what is usual in its batch, mean and
            spread (``batch_key=``); ``"mean"``: the mean of the vectors, weighted by expression.
        adata
            See `cells`.
        genes
            (n_vars,): which genes may be used; all by default.

        Raises
        ------
        NotApplicableError
            If there are no vectors of genes, or no batches where the recipe needs them.
        """
        if recipe == "batchwise" and ("batch" not in adata.obs or adata.obs["batch"].nunique() < 2):
            msg = f"`{self.label}` has nothing to do: the cells have no batches."
            raise NotApplicableError(msg)
        vectors = self.genes([str(name) for name in adata.var_names])
        if genes is not None:
            vectors = np.where(genes[:, None], vectors, np.float32(np.nan))
        used = np.asarray(~np.isnan(vectors).any(axis=1))
        table = None if recipe == "mean" else self.all_genes()
        return CellVectors(cells_of_genes(adata, vectors, table, recipe=recipe), used, recipe)

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
