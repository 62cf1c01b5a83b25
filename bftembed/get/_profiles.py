"""The texts behind an embedding."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bftembed.errors import InputError, StoreError
from bftembed.get._provenance import provenance
from bftembed.profiles import ProfileStore

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

_DETAILS = ["status", "issues", "n_tokens"]


def profiles(adata: AnnData, use_rep: str = "X_bft", *, store: ProfileStore | str | Path | None = None) -> pd.DataFrame:
    """Profile texts of the genes (or cells, or perturbations) of an embedding.

    Parameters
    ----------
    adata
        After :func:`bftembed.tl.embed_genes` or another function of `tl` that embeds texts, or the result of
        :func:`bftembed.embed`.
    use_rep
        Key of the embedding.
    store
        Where the texts are; by default the store that the provenance names, if it is on this machine. Texts that are
        kept in `adata` itself are found without it.

    Returns
    -------
    pandas.DataFrame
        Indexed by ``var_names`` (genes), ``obs_names``, or names of conditions (`tl.embed_perturbations`): ``text``,
        ``status``, ``issues``, ``n_tokens``. Texts are missing where there is none; the other columns, where the text
        is not in the store.

    Raises
    ------
    InputError
        If the embedding was not made from texts, or they are neither in `adata` nor in the store.
    StoreError
        If `store` cannot be read.

    Examples
    --------
    >>> import bftembed as bft
    >>> genes = bft.embed(["TP53"], facts="none", profiles={"TP53": "Guards the genome."})
    >>> bft.get.profiles(genes).loc["TP53", "text"]
    'Guards the genome.'
    """
    info, annotated = _side(adata, use_rep)
    keys = _column(annotated, f"{use_rep}_text_key", f"{use_rep}_profile")
    kept = _kept_texts(adata, annotated, use_rep, info)
    if keys is None and kept is None:
        msg = f"`{use_rep}` was not made from texts of this package."
        raise InputError(msg)
    found = _stored(keys if keys is not None else [], info, store)
    if kept is None and not found:
        raise InputError(_nowhere(use_rep, info, store))
    rows = []
    for i in range(len(annotated.index)):
        profile = found.get(keys[i]) if keys is not None else None
        text = kept[i] if kept is not None else profile.text if profile is not None and profile.status == "ok" else ""
        rows.append([text or None, *(getattr(profile, name, None) for name in _DETAILS)])
    import pandas as pd

    return pd.DataFrame(rows, columns=["text", *_DETAILS], index=annotated.index)


def _side(adata: AnnData, use_rep: str) -> tuple[dict[str, Any], pd.DataFrame]:
    """Provenance of the side that has texts, and the frame that has a row for each."""
    sides = provenance(adata, use_rep)
    conditions = adata.uns.get(f"{use_rep}_conditions", {}).get("obs")
    frames = {"genes": adata.var, "entities": adata.obs, "perturbations": conditions, "cells": adata.obs}
    for side, frame in frames.items():
        if "encoder" in sides.get(side, {}):
            return sides[side], frame
    msg = f"`{use_rep}` was not made from texts of this package."
    raise InputError(msg)


def _column(frame: pd.DataFrame, *names: str) -> list[str] | None:
    """The first of these columns that exists; missing values are ``""``."""
    for name in names:
        if name in frame:
            return [value if isinstance(value, str) else "" for value in np.asarray(frame[name], dtype=object)]
    return None


def _kept_texts(adata: AnnData, frame: pd.DataFrame, use_rep: str, info: dict[str, Any]) -> list[str] | None:
    """Texts in the AnnData itself; in files of version 0.1, one column for all embeddings, which may be of another."""
    if f"{use_rep}_text" in frame or f"{use_rep}_text_key" in frame:
        return _column(frame, f"{use_rep}_text")
    others = [key for key in adata.uns["bft"] if key != use_rep and f"{key}_profile" in frame]
    if "bft_profile" not in frame or (others and "recipe" in info):
        return None
    if others:
        msg = (
            f"This file keeps the texts of one embedding in `bft_profile`, and does not say of which: `{use_rep}` or "
            f"{', '.join(f'`{key}`' for key in others)}. Embed again to have them apart."
        )
        raise InputError(msg)
    return _column(frame, "bft_profile")


def _stored(keys: list[str], info: dict[str, Any], store: ProfileStore | str | Path | None) -> dict[str, Any]:
    """Profiles by key, of `store`, or of the store that the provenance names where it can be read here."""
    wanted = [key for key in keys if key]
    if isinstance(store, ProfileStore):
        return store.get(wanted)
    path = Path(store or info.get("store", "")).expanduser()
    if not wanted or (store is None and not path.is_file()):
        return {}
    try:
        with ProfileStore(path, read_only=True) as opened:
            return opened.get(wanted)
    except StoreError:
        if store is not None:
            raise
        return {}


def _nowhere(use_rep: str, info: dict[str, Any], store: ProfileStore | str | Path | None) -> str:
    if "recipe" not in info:
        return f"`{use_rep}` was made from given texts, which were not kept; embed again with `add_profiles=True`."
    place = getattr(store, "path", store) or info["store"]
    return (
        f"The texts of `{use_rep}` are neither in this AnnData nor in the profile store `{place}`. The machine that "
        f"made it kept them in `{info['store']}`: pass a copy as `store=` (`bftembed profiles export` there and "
        "`import` here make one), or embed there again with `add_profiles=True`."
    )
