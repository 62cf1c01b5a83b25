"""Where an embedding comes from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bftembed._html import Shown
from bftembed._keys import made_by
from bftembed._near import did_you_mean
from bftembed.errors import InputError
from bftembed.expression import checked_anndata

if TYPE_CHECKING:
    from collections.abc import Iterator

    from anndata import AnnData

_LONGEST = 300
_SIDES = {"genes", "cells", "perturbations", "entities"}


class Provenance(Shown, dict[str, Any]):
    """Nested dictionaries that print as an indented list."""

    def __repr__(self) -> str:
        return "\n".join(_lines(self))


def _lines(known: Mapping[str, Any], indent: str = "") -> Iterator[str]:
    for name, value in known.items():
        if isinstance(value, Mapping):
            yield f"{indent}{name}:"
            yield from _lines(value, f"{indent}  ")
        else:
            text = str(value)
            yield f"{indent}{name}: {text if len(text) <= _LONGEST else text[:_LONGEST] + '...'}"


def provenance(adata: AnnData, use_rep: str = "X_bft") -> Provenance:
    """Parameters and origin of an embedding.

    Parameters
    ----------
    adata
        With an embedding of this package.
    use_rep
        Its key.

    Returns
    -------
    dict
        By side: ``genes`` (engine, encoder, template, sampling, counts, version, date), ``cells`` (method, weights,
        counts), ``perturbations``, ``entities`` (of `bft.embed`). It prints as an indented list.

    Raises
    ------
    InputError
        If there is no such embedding.

    Examples
    --------
    >>> import bftembed as bft
    >>> genes = bft.embed(["TP53"], facts="none", profiles={"TP53": "Guards the genome."})
    >>> bft.get.provenance(genes)["entities"]["n_embedded"]
    1
    """
    checked_anndata(adata)
    known = adata.uns.get("bft", {})
    if use_rep not in known:
        keys = sorted(name for name, held in known.items() if hasattr(held, "keys") and not _SIDES.isdisjoint(held))
        remedy = did_you_mean(use_rep, keys) if keys else f" {made_by()}"
        msg = f"`adata.uns['bft']` has no `{use_rep}`; embeddings there: {', '.join(keys) or 'none'}.{remedy}"
        raise InputError(msg)
    return Provenance(known[use_rep])
