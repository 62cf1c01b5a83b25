"""A map of genes, with names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bftembed._keys import side_of
from bftembed.entities import near_name
from bftembed.errors import InputError
from bftembed.expression import check_columns, checked_anndata
from bftembed.pl._finish import check_save, finish
from bftembed.pl._map import drawn, placed_of, write_names

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from anndata import AnnData
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

_ALL_NAMED, _NAMED = 60, 30


def gene_map(
    adata: AnnData,
    *,
    labels: Sequence[str] | None = None,
    color: str | None = None,
    use_rep: str = "X_bft",
    layout: str | None = None,
    seed: int = 0,
    ax: Axes | None = None,
    show: bool = True,
    save: str | Path | None = None,
    **kwargs: Any,
) -> Axes:
    """Plot genes on a map of their vectors, with names. `bft.browse.write_page` makes a map to search and to click.

    Parameters
    ----------
    adata
        With gene vectors in ``varm[use_rep]``, or the result of :func:`bftembed.embed`, of whatever kind its rows are.
    labels
        Genes to name; by default all where there are at most 60, else up to 30 that are spread over the map; of these,
        those for which there is room.
    color
        Column of ``var`` (of the result of `embed`: of ``obs``). For colours by a text see :func:`query`.
    use_rep
        Key of the embedding.
    layout
        A key of ``varm`` (``obsm``), ``"umap"`` or ``"pca"``; by default ``f"{use_rep}_umap"`` or ``X_umap`` where
        there is one, else a UMAP (cosine), of fewer than 16 genes principal components. The axis says which.
    seed
        Of the UMAP.
    ax
        Where to draw.
    show
        Show the figure.
    save
        File to write.
    kwargs
        Handed to ``scanpy.pl.embedding``: ``size``, ``cmap``, ``palette``, ``title`` ...

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    InputError
        If there is no such embedding, gene, column or layout, a gene that is to be named has no vector, or the file
        cannot be written.

    Examples
    --------
    >>> import bftembed as bft
    >>> texts = {"CD3E": "T cell receptor.", "CD3D": "The T cell receptor.", "ALB": "Blood plasma."}
    >>> genes = bft.embed(list(texts), facts="none", profiles=texts)
    >>> ax = bft.pl.gene_map(genes, labels=["CD3E", "ALB"], show=False)
    >>> [text.get_text() for text in ax.texts]
    ['CD3E', 'ALB']
    """
    check_save(save)
    checked_anndata(adata)
    among = side_of(adata, use_rep)
    frame = adata.var if among == "genes" else adata.obs
    check_columns(frame, "adata.var" if among == "genes" else "adata.obs", [] if color is None else [color])
    placed, words = placed_of(adata, among, use_rep=use_rep, layout=layout, seed=seed)
    names = [str(name) for name in frame.index]
    rows = _spread(placed, seed) if labels is None else _asked(labels, names, placed)
    columns = frame[[] if color is None else [color]]
    panel = drawn(placed, columns, adata.uns, words, ax=ax, **{"title": color or f"{len(names):,} genes", **kwargs})[0]
    write_names(panel, placed, names, rows, every=labels is not None)
    finish(panel, show=show, save=save)
    return panel


def _asked(labels: Sequence[str], names: Sequence[str], placed: NDArray[np.float32]) -> list[int]:
    """Rows of names; of one that is there twice the first with a vector."""
    on_map = set(np.flatnonzero(np.isfinite(placed).all(axis=1)).tolist())
    rows: dict[str, int] = {}
    for row, name in enumerate(names):
        if name not in rows or rows[name] not in on_map:
            rows[name] = row
    wanted = [labels] if isinstance(labels, str) else list(labels)
    for label in wanted:
        if label not in rows:
            msg = f"`{label}` is not among the {len(names):,} names here.{near_name(str(label), names)}"
            raise InputError(msg)
        if rows[label] not in on_map:
            msg = f"`{label}` has no vector, and so no place on the map: leave it out of `labels`."
            raise InputError(msg)
    return [rows[label] for label in wanted]


def _spread(placed: NDArray[np.float32], seed: int) -> list[int]:
    """All rows on the map where they are few, else those nearest to the centres of 30 clusters."""
    on_map = np.flatnonzero(np.isfinite(placed).all(axis=1))
    if len(on_map) <= _ALL_NAMED:
        return on_map.tolist()
    from sklearn.cluster import KMeans
    from sklearn.metrics import pairwise_distances_argmin

    centres = KMeans(_NAMED, n_init=1, random_state=seed).fit(placed[on_map]).cluster_centers_
    chosen: list[int] = on_map[np.unique(pairwise_distances_argmin(centres, placed[on_map]))].tolist()
    return chosen
