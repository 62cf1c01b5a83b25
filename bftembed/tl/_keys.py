"""Names under which results are kept."""

from __future__ import annotations

from bftembed.errors import InputError


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
