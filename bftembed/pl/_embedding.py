"""UMAP of an embedding, through scanpy."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np

from bftembed._keys import check_embedded
from bftembed._optional import needs
from bftembed.errors import InputError
from bftembed.expression import checked_anndata

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

_FEWEST = 4
_KEPT = 8
#: UMAPs of this process by their input, the latest last: another colour needs no other UMAP.
_maps: dict[tuple[str, int, int], NDArray[np.float32]] = {}


def embedding(
    adata: AnnData, *, use_rep: str = "X_bft", n_neighbors: int = 15, random_state: int = 0, **kwargs: Any
) -> Axes | Figure | list[Axes] | None:
    """Plot cells (or the rows of `bft.embed`) on a UMAP of ``obsm[use_rep]``.

    The UMAP is always one of the current vectors: it is computed by scanpy, kept for this process by the
    content of the vectors, and not written into `adata`.

    Parameters
    ----------
    adata
        With ``obsm[use_rep]``. Rows without a vector are not drawn.
    use_rep
        Key of the embedding.
    n_neighbors, random_state
        Handed to ``scanpy.pp.neighbors`` and ``scanpy.tl.umap``.
    kwargs
        Handed to ``scanpy.pl.embedding``: ``color``, ``ax``, ``show``, ``save``, ``return_fig`` ...

    Returns
    -------
    Axes, a list of Axes, a Figure or None, as ``scanpy.pl.embedding`` gives it.

    Raises
    ------
    InputError
        If there is no such embedding, or fewer than four rows have a vector.

    Examples
    --------
    >>> import scanpy as sc, bftembed as bft
    >>> adata = sc.datasets.pbmc68k_reduced()
    >>> bft.tl.embed_genes(adata)  # doctest: +SKIP
    >>> bft.tl.embed_cells(adata, use_raw=True)  # doctest: +SKIP
    >>> bft.pl.embedding(adata, color="bulk_labels")  # doctest: +SKIP
    """
    needs("scanpy")
    import scanpy as sc

    checked_anndata(adata)
    check_embedded(adata.obsm, use_rep, "obsm", "embed_cells")
    umap = _umap(np.asarray(adata.obsm[use_rep]), use_rep, n_neighbors, random_state)
    drawn = (adata.to_memory() if adata.isbacked else adata.copy()) if adata.is_view else adata
    basis = f"{use_rep}_umap"
    before = drawn.obsm.get(basis)
    drawn.obsm[basis] = umap
    try:
        axes: Axes | Figure | list[Axes] | None = sc.pl.embedding(drawn, basis=basis, **kwargs)
    finally:
        del drawn.obsm[basis]
        if before is not None:
            drawn.obsm[basis] = before
    return axes


def _umap(vectors: NDArray[Any], use_rep: str, n_neighbors: int, random_state: int) -> NDArray[np.float32]:
    """Coordinates (n, 2), NaN where a row has no vector."""
    import scanpy as sc
    from anndata import AnnData

    known = np.isfinite(vectors).all(axis=1)
    if known.sum() < _FEWEST:
        msg = f"{known.sum()} of {len(vectors)} rows of `{use_rep}` have a vector: a UMAP needs at least {_FEWEST}."
        raise InputError(msg)
    content = hashlib.sha256(f"{vectors.dtype} {vectors.shape}".encode())
    content.update(np.ascontiguousarray(vectors).data)
    made_from = (content.hexdigest(), n_neighbors, random_state)
    if made_from not in _maps:
        scratch = AnnData(obsm={use_rep: vectors[known]}, shape=(int(known.sum()), 0))
        neighbours = min(n_neighbors, scratch.n_obs - 1)
        sc.pp.neighbors(scratch, use_rep=use_rep, n_neighbors=neighbours, random_state=random_state)
        sc.tl.umap(scratch, random_state=random_state)
        umap = np.full((len(vectors), 2), np.nan, dtype=np.float32)
        umap[known] = scratch.obsm["X_umap"]
        _maps[made_from] = umap
    _maps[made_from] = _maps.pop(made_from)
    if len(_maps) > _KEPT:
        del _maps[next(iter(_maps))]
    return _maps[made_from]
