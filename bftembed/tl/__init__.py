"""Tools: embeddings of genes, cells and perturbations, and what to ask of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bftembed.tl._embed import embed
    from bftembed.tl._embed_cell_profiles import embed_cell_profiles
    from bftembed.tl._embed_cells import embed_cells
    from bftembed.tl._embed_genes import embed_genes
    from bftembed.tl._embed_perturbations import embed_perturbations
    from bftembed.tl._nearest import nearest

__all__ = ["embed", "embed_cell_profiles", "embed_cells", "embed_genes", "embed_perturbations", "nearest"]


def __getattr__(name: str) -> Any:
    # One module each, so that the cell stage, which streams millions of cells, does not carry torch in its memory.
    if name not in __all__:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    import importlib

    return getattr(importlib.import_module(f"bftembed.tl._{name}"), name)
