"""Where an embedding comes from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bftembed.errors import InputError

if TYPE_CHECKING:
    from anndata import AnnData


def provenance(adata: AnnData, key: str = "X_bft") -> dict[str, Any]:
    """Parameters and origin of an embedding.

    Parameters
    ----------
    adata
        With an embedding of this package.
    key
        Its key.

    Returns
    -------
    dict
        By side: ``genes`` (engine, encoder, template, sampling, counts, version, date), ``cells`` (method, weights,
        counts), ``entities`` (of `bft.embed`).

    Raises
    ------
    InputError
        If there is no such embedding.
    """
    known = adata.uns.get("bft", {})
    if key not in known:
        keys = ", ".join(sorted(name for name in known if name != "map_genes")) or "none"
        msg = f"`adata.uns['bft']` has no `{key}`; embeddings there: {keys}."
        raise InputError(msg)
    return dict(known[key])
