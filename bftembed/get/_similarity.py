"""How near all genes or cells are to genes, cells or free texts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from bftembed.get._nearest import QueryType, compared

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from anndata import AnnData

    from bftembed.encoders import Encoder


def similarity(
    adata: AnnData,
    query: str | Sequence[str],
    *,
    among: Literal["genes", "cells"] | None = None,
    use_rep: str = "X_bft",
    query_type: QueryType | None = None,
    gene_symbols: str | None = None,
    encoder: str | Encoder | None = None,
) -> pd.DataFrame:
    """Cosine of every gene or cell to genes, cells or free texts; :func:`nearest` gives the largest.

    Parameters
    ----------
    adata, query, among, use_rep, query_type, gene_symbols, encoder
        As in :func:`nearest`.

    Returns
    -------
    pandas.DataFrame
        float32, a row for each gene or cell in the order of `adata`, a column for each query; NaN where there is no
        vector.

    Raises
    ------
    InputError
        As :func:`nearest` does.

    Examples
    --------
    >>> import bftembed as bft
    >>> texts = {"CD3E": "T cell receptor.", "CD3D": "The T cell receptor.", "ALB": "Blood plasma."}
    >>> genes = bft.embed(list(texts), facts="none", profiles=texts)
    >>> bft.get.similarity(genes, ["CD3E", "blood"]).idxmax().tolist()
    ['CD3E', 'ALB']
    """
    import pandas as pd

    names, found = compared(
        adata,
        query,
        among=among,
        use_rep=use_rep,
        query_type=query_type,
        gene_symbols=gene_symbols,
        encoder=encoder,
    )
    return pd.DataFrame({one: cosine for one, (cosine, _) in found.items()}, index=pd.Index(names, dtype=object))
