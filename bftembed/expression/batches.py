"""Which batch each cell is of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bftembed.errors import InputError
from bftembed.expression.parts import check_columns, column_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bftembed.expression.parts import AnnDataParts


def cell_batches(parts: AnnDataParts, batch_key: str) -> tuple[NDArray[np.intp], list[str]]:
    """Number of the batch of each cell, (n_obs,), and the names of the batches, in order.

    Parameters
    ----------
    parts
        Of an AnnData.
    batch_key
        Column of ``obs``.

    Raises
    ------
    InputError
        If there is no such column of ``obs``, or cells have no entry in it.
    """
    check_columns(parts.obs, "adata.obs", [batch_key])
    column = column_of(parts.obs, batch_key)
    missing = (column.isna() | (column.astype(str) == "")).to_numpy()
    if missing.any():
        first = parts.obs_names()[int(np.flatnonzero(missing)[0])]
        msg = (
            f"{int(missing.sum())} of {len(column)} cells have no entry in `adata.obs[{batch_key!r}]` (first: "
            f"{str(first)!r}): name their batch, or leave these cells out."
        )
        raise InputError(msg)
    # As objects: an array of texts drops NUL at their end.
    names, codes = np.unique(column.astype(str).to_numpy(dtype=object), return_inverse=True)
    return codes.astype(np.intp), names.tolist()
