"""Cells, embedded once before any text is written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bftembed.cli._arguments import check_exists
from bftembed.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from anndata import AnnData

_TRIAL = "bft_trial"


def tried_cells(
    adata: AnnData, mask_var: str | None, source: Path, output: Path | None, *, keep_x: bool, how: dict[str, Any]
) -> dict[str, Any]:
    """Embed the cells once with vectors of length one: what is wrong with them should not come up after hours.

    Returns the reference that was made on the way, as an argument.
    """
    import numpy as np

    import bftembed as bft
    from bftembed.expression import chosen_genes

    if output is not None and keep_x and source.suffix != output.suffix:
        msg = (
            f"`{output}` has another format than `{source}`: use the same suffix, or --no-keep-x for a file without X."
        )
        raise InputError(msg)
    if (table := how.get("table")) is not None:
        check_exists(table, " of the vectors of all genes")
    plain = {name: value for name, value in how.items() if name not in {"whiten", "table", "n_components"}}
    trial = np.full((adata.n_vars, 1), np.nan, dtype=np.float32)
    trial[chosen_genes(adata, mask_var)] = 1
    before, verbosity = dict(adata.uns.get("bft", {})), bft.settings.verbosity
    adata.varm[_TRIAL] = trial
    bft.settings.verbosity = "error" if verbosity == "error" else "warning"
    try:
        bft.tl.embed_cells(adata, use_rep=_TRIAL, key_added=_TRIAL, progress=False, whiten=None, **plain)
        made = adata.uns["bft"][_TRIAL].get("reference")
    finally:
        bft.settings.verbosity = verbosity
        del adata.varm[_TRIAL]
        adata.obsm.pop(_TRIAL, None)
        adata.uns["bft"] = before
    return {} if made is None else {"reference": made}
