"""The texts behind an embedding."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bftembed.errors import InputError
from bftembed.get._provenance import provenance
from bftembed.profiles import ProfileStore

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd
    from anndata import AnnData


def profiles(adata: AnnData, key: str = "X_bft", *, store: ProfileStore | str | Path | None = None) -> pd.DataFrame:
    """Profile texts of the genes of an embedding.

    Parameters
    ----------
    adata
        After :func:`bftembed.tl.embed_genes`, or the result of :func:`bftembed.embed`.
    key
        Key of the embedding.
    store
        Where the texts are; by default the store that the provenance names.

    Returns
    -------
    pandas.DataFrame
        Indexed by ``var_names`` (or ``obs_names``): ``text``, ``status``, ``issues``, ``n_tokens``; missing where
        there is no profile.

    Raises
    ------
    InputError
        If the embedding was not made from a store.
    """
    sides = provenance(adata, key)
    side = "genes" if "genes" in sides else "entities"
    info = sides.get(side, {})
    annotated, name = (adata.var, "bft_gene") if side == "genes" else (adata.obs, "bft_gene")
    if "recipe" not in info:
        if "bft_profile" in annotated:
            kept: pd.DataFrame = annotated[["bft_profile"]].rename(columns={"bft_profile": "text"})
            return kept.where(kept["text"] != "")
        msg = f"`{key}` was made from given texts, which were not kept; embed again with `add_profiles=True`."
        raise InputError(msg)
    opened = store if isinstance(store, ProfileStore) else ProfileStore(store or info["store"])
    try:
        frame = opened.frame(kind=info["kind"])
    finally:
        if opened is not store:
            opened.close()
    frame = frame[frame["recipe"] == info["recipe"]].drop_duplicates("entity", keep="last").set_index("entity")
    names = annotated[name] if name in annotated else annotated.index.to_series()
    found: pd.DataFrame = frame[["text", "status", "issues", "n_tokens"]].reindex(np.asarray(names, dtype=object))
    return found.set_index(annotated.index)
