"""Scores of texts on a map of the cells, or by groups of cells, through scanpy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bftembed._keys import check_embedded, held_sides
from bftembed._near import did_you_mean
from bftembed._optional import needs
from bftembed.errors import InputError
from bftembed.expression import check_columns, checked_anndata
from bftembed.pl._finish import check_save, finish_scanpy

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from anndata import AnnData


def text_scores(
    adata: AnnData,
    texts: Sequence[str] | str | None = None,
    *,
    key: str = "text",
    groupby: str | None = None,
    basis: str = "X_umap",
    show: bool = True,
    save: str | Path | None = None,
    **kwargs: Any,
) -> Any:
    """Plot how much cells are what texts say: panels on a map of the cells, or a matrix of texts by groups of cells.

    Colours are centred on 0, which is what random genes give.

    Parameters
    ----------
    adata
        With scores from :func:`bftembed.tl.score_text`.
    texts
        Names of the texts; by default all of the last call with this `key`.
    key
        ``key_added`` of `score_text`.
    groupby
        Column of ``.obs`` with groups, e.g. clusters (each number is a group): their mean scores as
        ``scanpy.pl.matrixplot``. By default panels.
    basis
        Key of ``.obsm`` with the coordinates of the panels.
    show
        Show the figure.
    save
        File to write.
    kwargs
        Handed to ``scanpy.pl.embedding`` or ``scanpy.pl.matrixplot``: ``ax``, ``return_fig`` ...

    Returns
    -------
    What the function of scanpy returns: axes, or None where they are shown.

    Raises
    ------
    InputError
        If there are no such scores, groups or coordinates, or the file cannot be written.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("agg")
    >>> import anndata, numpy as np, bftembed as bft
    >>> about = {"CD3E": "T cell receptor.", "CD3D": "The T cell receptor.", "ALB": "Blood plasma.", "APOA1": "Plasma."}
    >>> adata = anndata.AnnData(np.array([[5, 4, 0, 0], [0, 0, 3, 6], [4, 6, 0, 1]], dtype=np.float32))
    >>> adata.var_names = list(about)
    >>> adata.obs["leiden"] = ["0", "1", "0"]
    >>> bft.tl.embed_genes(adata, facts="none", profiles=about)
    >>> bft.tl.score_text(adata, {"T cell": "T cell receptor complex"}, n_genes=2)
    >>> list(bft.pl.text_scores(adata, groupby="leiden", show=False))
    ['mainplot_ax', 'color_legend_ax']
    """
    needs("scanpy")
    import scanpy as sc

    checked_anndata(adata)
    check_save(save)
    names = _names(adata, texts, key)
    columns = [f"{key}_{name}" for name in names]
    check_columns(adata.obs, "adata.obs", [*columns, *([] if groupby is None else [groupby])])
    how = {"cmap": "RdBu_r", "vcenter": 0, "show": False, **kwargs}
    if groupby is None:
        check_embedded(adata.obsm, basis, "obsm", "sc.tl.umap")
        if np.ndim(adata.obsm[basis]) != 2 or np.shape(adata.obsm[basis])[1] < 2:
            msg = f"`adata.obsm[{basis!r}]` has no two coordinates: give the key of a map, e.g. basis='X_umap'."
            raise InputError(msg)
        made = sc.pl.embedding(adata, basis=basis, color=columns, **{"title": names, **how})
    else:
        grouped = _by_category(adata, columns, groupby)
        made = sc.pl.matrixplot(grouped, columns, groupby, **{"colorbar_title": "mean score", **how})
    return finish_scanpy(made, show=show, save=save)


def _by_category(adata: AnnData, columns: list[str], groupby: str) -> AnnData:
    """The cells with numbers or texts of `groupby` as categories, since scanpy cuts numbers into intervals."""
    from anndata import AnnData
    from pandas import Categorical

    if hasattr(adata.obs[groupby], "cat"):
        return adata
    groups = Categorical(adata.obs[groupby])
    obs = adata.obs[columns].assign(**{groupby: groups.rename_categories(str)})
    return AnnData(obs=obs, obsm=dict(adata.obsm), uns=dict(adata.uns))


def _names(adata: AnnData, texts: Sequence[str] | str | None, key: str) -> list[str]:
    info = held_sides(adata.uns, key)
    if "scores" not in info:
        known = [
            name for name, sides in adata.uns.get("bft", {}).items() if hasattr(sides, "keys") and "scores" in sides
        ]
        there = f"there are those of {', '.join(map(repr, known))}" if known else "bft.tl.score_text makes them"
        msg = f"`adata` has no scores of texts under {key!r}: {there}.{did_you_mean(key, known)}"
        raise InputError(msg)
    asked = list(info["scores"]["texts"]["name"])
    wanted = asked if texts is None else [texts] if isinstance(texts, str | int) else list(texts)
    if not wanted:
        msg = f"`texts` is empty: name some of those that were asked, {', '.join(asked)}, or None for all."
        raise InputError(msg)
    if unknown := [name for name in wanted if name not in asked]:
        msg = f"`{unknown[0]}` is no text that was asked under {key!r}; these were {', '.join(asked)}."
        raise InputError(msg + did_you_mean(str(unknown[0]), asked))
    return wanted
