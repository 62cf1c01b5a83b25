"""UMAP of an embedding, through scanpy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bftembed._keys import check_embedded
from bftembed._near import did_you_mean
from bftembed._optional import needs
from bftembed._scanpy import umap
from bftembed.entities import near_name
from bftembed.errors import InputError
from bftembed.expression import checked_anndata
from bftembed.pl._finish import check_save, finish_scanpy

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from anndata import AnnData
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

_FEWEST = 4


def embedding(
    adata: AnnData,
    *,
    use_rep: str = "X_bft",
    n_neighbors: int = 15,
    random_state: int = 0,
    show: bool = True,
    save: str | Path | None = None,
    **kwargs: Any,
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
        Of ``scanpy.pp.neighbors`` (exact up to 50,000 rows) and ``scanpy.tl.umap``.
    show
        Show the figure.
    save
        File to write.
    kwargs
        Handed to ``scanpy.pl.embedding``: ``color``, ``ax``, ``return_fig`` ...

    Returns
    -------
    Axes, a list of Axes, a Figure or None (where it is shown), as ``scanpy.pl.embedding`` gives it.

    Raises
    ------
    InputError
        If there is no such embedding or colour, fewer than four rows have a vector, or the file cannot be written.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("agg")
    >>> import anndata, numpy as np, bftembed as bft
    >>> adata = anndata.AnnData(np.ones((30, 1)))
    >>> adata.obsm["X_bft"] = np.random.default_rng(0).normal(size=(30, 5)).astype(np.float32)
    >>> ax = bft.pl.embedding(adata, show=False)
    >>> ax.get_xlabel()
    'X_bft_umap1'
    """
    needs("scanpy")
    import scanpy as sc

    checked_anndata(adata)
    check_save(save)
    check_embedded(adata.obsm, use_rep, "obsm", "bft.tl.embed_cells")
    _check_color(adata, kwargs)
    placed = _placed(np.asarray(adata.obsm[use_rep]), use_rep, n_neighbors, random_state)
    drawn = (adata.to_memory() if adata.isbacked else adata.copy()) if adata.is_view else adata
    basis = f"{use_rep}_umap"
    before = drawn.obsm.get(basis)
    drawn.obsm[basis] = placed
    try:
        made = sc.pl.embedding(drawn, basis=basis, show=False, **kwargs)
    finally:
        del drawn.obsm[basis]
        if before is not None:
            drawn.obsm[basis] = before
    axes: Axes | Figure | list[Axes] | None = finish_scanpy(made, show=show, save=save)
    return axes


def _check_color(adata: AnnData, how: Mapping[str, Any]) -> None:
    """Refuse what scanpy finds neither among the columns of `obs` nor among the genes."""
    color = how.get("color")
    asked = [] if color is None else [color] if isinstance(color, str) else list(color)
    column = how.get("gene_symbols")
    frames = [adata.var, *([adata.raw.var] if adata.raw is not None else [])]
    genes = [name for frame in frames for name in frame.get(column, frame.index)]
    for name in asked:
        if name is not None and name not in adata.obs and name not in genes:
            columns = ", ".join(map(str, adata.obs.columns)) or "none"
            hint = did_you_mean(str(name), map(str, adata.obs)) or near_name(str(name), map(str, genes))
            msg = f"color={name!r} is neither a column of `adata.obs` ({columns}) nor a gene of this AnnData.{hint}"
            raise InputError(msg)


def _placed(vectors: NDArray[Any], use_rep: str, n_neighbors: int, random_state: int) -> NDArray[np.float32]:
    """Coordinates (n, 2), NaN where a row has no vector."""
    known = np.isfinite(vectors).all(axis=1)
    if known.sum() < _FEWEST:
        msg = f"{known.sum()} of {len(vectors)} rows of `{use_rep}` have a vector: a UMAP needs at least {_FEWEST}."
        raise InputError(msg)
    placed = np.full((len(vectors), 2), np.nan, dtype=np.float32)
    placed[known] = umap(vectors[known], n_neighbors=n_neighbors, seed=random_state)
    return placed
