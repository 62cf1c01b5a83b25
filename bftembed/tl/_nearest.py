"""Which genes or cells are near a gene or a free text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bftembed.encoders import encode_cached, get_encoder
from bftembed.errors import InputError

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData
    from numpy.typing import NDArray

    from bftembed.encoders import Encoder


def nearest(
    adata: AnnData,
    query: str,
    *,
    among: str | None = None,
    n: int = 10,
    key: str = "X_bft",
    encoder: str | Encoder | None = None,
) -> pd.DataFrame:
    """Rank genes or cells by cosine similarity to a gene, a cell or a free text.

    Parameters
    ----------
    adata
        With embeddings in ``varm[key]`` or ``obsm[key]``.
    query
        Name of a gene (``var_names`` or ``var["bft_gene"]``) or of an observation that has a vector; anything else is
        a free text, which the encoder of the embedding turns into a vector.
    among
        ``"genes"`` (``varm``) or ``"cells"`` (``obsm``: cells, or the rows of `bft.embed`); by default genes where
        there are any.
    n
        How many.
    key
        Key of the embedding.
    encoder
        For a free text where the embedding was made with an encoder object.

    Returns
    -------
    pandas.DataFrame
        ``name`` and ``similarity`` (cosine), best first; the query itself is left out.

    Raises
    ------
    InputError
        If there is no such embedding, or the encoder is not the one that made it.
    """
    among = among or ("genes" if key in adata.varm else "cells")
    if among not in {"genes", "cells"}:
        msg = f"`among` is 'genes' or 'cells', got {among!r}."
        raise InputError(msg)
    held, names = (adata.varm, adata.var_names) if among == "genes" else (adata.obsm, adata.obs_names)
    if key not in held:
        where = "varm" if among == "genes" else "obsm"
        msg = f"`adata.{where}` has no `{key}`; call bft.tl.embed_{among} first."
        raise InputError(msg)
    import pandas as pd

    vector = _vector(adata, query, key, encoder)
    matrix = np.asarray(held[key], dtype=np.float32)
    norms = np.linalg.norm(matrix, axis=1) * np.linalg.norm(vector)
    similarity = np.divide(matrix @ vector, norms, out=np.full(len(matrix), np.nan, dtype=np.float32), where=norms > 0)
    frame = pd.DataFrame({"name": np.asarray(names, dtype=object), "similarity": similarity}).dropna()
    frame = frame[frame["name"] != query]
    return frame.sort_values("similarity", ascending=False, kind="stable").head(n).reset_index(drop=True)


def _vector(adata: AnnData, query: str, key: str, encoder: str | Encoder | None) -> NDArray[np.float32]:
    sides = ((adata.varm, adata.var_names), (adata.varm, adata.var.get("bft_gene")), (adata.obsm, adata.obs_names))
    for held, names in sides:
        if key in held and names is not None:
            at = np.flatnonzero(np.asarray(names, dtype=object) == query)
            if len(at) and np.isfinite(found := np.asarray(held[key])[at[0]]).all():
                return np.asarray(found, dtype=np.float32)
    made_with = _encoder_of(adata, key)
    spec = encoder or made_with.get("spec") or ""
    if not spec:
        msg = f"`{query}` is no gene or cell with a vector; for a free text pass the `encoder` that made `{key}`."
        raise InputError(msg)
    chosen = get_encoder(spec)
    described = chosen.describe()
    if any(str(made_with.get(name, value)) != value for name, value in described.items() if name != "version"):
        msg = f"The encoder {described} is not the one that made `{key}` ({made_with})."
        raise InputError(msg)
    vectors, _ = encode_cached([query], chosen)
    return np.asarray(vectors[0])


def _encoder_of(adata: AnnData, key: str) -> dict[str, Any]:
    sides = adata.uns.get("bft", {}).get(key, {})
    return next((dict(side["encoder"]) for side in sides.values() if "encoder" in side), {})
