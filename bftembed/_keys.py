"""Names under which results and their provenance are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bftembed.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

_IN_OBSM = {"cells", "perturbations", "entities"}


def checked_key(key: str) -> str:
    """A key that AnnData files can hold.

    Raises
    ------
    InputError
        If it is empty or has a slash, which HDF5 and zarr take for a path.
    """
    if not isinstance(key, str) or not key.strip() or "/" in key:
        msg = f"key_added={key!r} cannot be a key: give a name without `/`, e.g. 'X_bft'."
        raise InputError(msg)
    return key


def with_provenance(bft: Mapping[str, Any], key: str, side: str, info: dict[str, Any]) -> dict[str, Any]:
    """``uns["bft"]`` with one side of `key` (genes, cells, perturbations, entities) renewed and all else kept.

    The vectors of cells, perturbations and entities are in ``obsm``: a new one takes the place of the others.
    """
    gone = _IN_OBSM if side in _IN_OBSM else {side}
    kept = {name: known for name, known in bft.get(key, {}).items() if name not in gone}
    return {**bft, key: {**kept, side: info}}
