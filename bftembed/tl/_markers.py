"""Groups of cells, and the genes that set each apart from the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bftembed import pp
from bftembed.errors import InputError
from bftembed.expression import check_columns, column_of

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData
    from numpy.typing import NDArray

    from bftembed.expression import Values


def marker_genes(
    adata: AnnData,
    groupby: str,
    *,
    n_top: int,
    layer: str | None = None,
    use_raw: bool = False,
    values: Values = "auto",
    progress: bool | None = None,
) -> dict[str, list[str]]:
    """At most `n_top` genes of each group of cells, those with the largest positive t first, ties by name.

    See `welch`; groups go by their names as text, in the order of the categories. A group that is higher in no gene
    has none.

    Raises
    ------
    InputError
        See `group_sizes`; or if the values cannot be used.
    """
    sizes = group_sizes(adata, groupby)
    told = pp.reference(adata, batch_key=groupby, layer=layer, use_raw=use_raw, values=values, progress=progress)
    by_name = dict(zip(told.batches, welch(told), strict=True))
    return {str(name): _highest(by_name[str(name)], told.genes, n_top) for name in sizes.index}


def welch(reference: pp.Reference) -> NDArray[np.float64]:
    """Welch's t of each group of cells against all others, gene by gene, from the moments of the groups.

    Parameters
    ----------
    reference
        With the groups as its batches.

    Returns
    -------
    numpy.ndarray
        (n_groups, n_genes); 0 where neither varies.
    """
    from scipy.stats import ttest_ind_from_stats

    n = reference.n_cells[:, None]
    mean, sd = reference.mean, reference.sd
    squares = (n - 1) * sd**2 + n * mean**2
    n_rest = n.sum() - n
    mean_rest = ((n * mean).sum(axis=0) - n * mean) / n_rest
    variance_rest = np.maximum(squares.sum(axis=0) - squares - n_rest * mean_rest**2, 0) / (n_rest - 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = ttest_ind_from_stats(mean, sd, n, mean_rest, np.sqrt(variance_rest), n_rest, equal_var=False)
    return np.where((sd > 0) | (variance_rest > 0), found.statistic, 0.0)


def _highest(t: NDArray[np.float64], genes: pd.Index, n: int) -> list[str]:
    """At most `n` genes with the largest positive t; ties by name."""
    order = np.lexsort((genes.to_numpy(dtype=str), -t))[:n]
    return [str(genes[i]) for i in order if t[i] > 0]


def group_sizes(adata: AnnData, groupby: str) -> pd.Series[int]:
    """Cells of each cluster, by its name as text, in the order of the categories.

    Raises
    ------
    InputError
        If there are cells without a cluster, fewer than two clusters, or a cluster of one cell.
    """
    check_columns(adata.obs, "adata.obs", [groupby])
    labels = column_of(adata.obs, groupby)
    if n_missing := int((labels.isna() | (labels.astype(str) == "")).sum()):
        msg = (
            f"{n_missing} of {len(labels)} cells have no cluster in `{groupby}`: leave them out, "
            f"`adata[adata.obs[{groupby!r}].notna()]`, or give them one."
        )
        raise InputError(msg)
    dtype = getattr(adata.obs[groupby], "dtype", None)
    categories = getattr(dtype, "categories", labels.astype("category").cat.categories)
    order = dict.fromkeys(map(str, categories))
    sizes = labels.astype(str).value_counts()
    sizes = sizes.reindex([name for name in order if name in sizes.index])
    if len(sizes) < 2:
        msg = (
            f"All {len(labels)} cells are in one cluster of `{groupby}`, and there is nothing to set it apart from: "
            "group by another column, or cluster at a higher resolution."
        )
        raise InputError(msg)
    if len(alone := sizes.index[sizes < 2]):
        msg = (
            f"Cluster {alone[0]!r} of `{groupby}` is one cell, whose genes cannot be tested: leave it out, or merge it."
        )
        raise InputError(msg)
    return sizes
