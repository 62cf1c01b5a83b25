"""The texts behind an embedding."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bftembed.errors import InputError
from bftembed.get._provenance import provenance
from bftembed.profiles import ProfileStore

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd
    from anndata import AnnData

_COLUMNS = ["text", "status", "issues", "n_tokens"]


def profiles(adata: AnnData, key: str = "X_bft", *, store: ProfileStore | str | Path | None = None) -> pd.DataFrame:
    """Profile texts of the genes (or cells, or perturbations) of an embedding.

    Parameters
    ----------
    adata
        After :func:`bftembed.tl.embed_genes`, :func:`bftembed.tl.embed_cells` with ``method="profile"``, or the
        result of :func:`bftembed.embed` or :func:`bftembed.tl.embed_perturbations`.
    key
        Key of the embedding.
    store
        Where the texts are; by default the store that the provenance names.

    Returns
    -------
    pandas.DataFrame
        Indexed by ``var_names`` (genes) or ``obs_names``: ``text``, ``status``, ``issues``, ``n_tokens``; missing
        where there is no profile. Of texts that were given, ``text`` alone.

    Raises
    ------
    InputError
        If the embedding was not made from texts, or from given ones that were not kept.
    """
    import pandas as pd

    sides = provenance(adata, key)
    column = f"{key}_profile"
    side = next((side for side in ("genes", "entities", "cells") if "encoder" in sides.get(side, {})), None)
    annotated = adata.var if side == "genes" else adata.obs
    if side is None or column not in annotated:
        msg = f"`{key}` was not made from texts of this package."
        raise InputError(msg)
    info = sides[side]
    if "recipe" not in info:
        if "bft_profile" in annotated:
            kept: pd.DataFrame = annotated[["bft_profile"]].rename(columns={"bft_profile": "text"})
            return kept.where(kept["text"] != "")
        msg = f"`{key}` was made from given texts, which were not kept; embed again with `add_profiles=True`."
        raise InputError(msg)
    keys = annotated[column].astype(str)
    opened = store if isinstance(store, ProfileStore) else ProfileStore(store or info["store"], read_only=True)
    try:
        found = opened.get(k for k in keys if k)
    finally:
        if opened is not store:
            opened.close()
    rows = [[getattr(found.get(k), name, None) for name in _COLUMNS] for k in keys]
    return pd.DataFrame(rows, columns=_COLUMNS, index=annotated.index)
