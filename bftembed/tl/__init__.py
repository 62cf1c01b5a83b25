"""Tools: embeddings of genes, cells and perturbations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bftembed._lazy import attach

if TYPE_CHECKING:
    from bftembed.tl._annotate import annotate
    from bftembed.tl._describe_clusters import describe_clusters
    from bftembed.tl._embed import embed
    from bftembed.tl._embed_cell_profiles import embed_cell_profiles
    from bftembed.tl._embed_cells import embed_cells
    from bftembed.tl._embed_genes import embed_genes
    from bftembed.tl._embed_perturbations import embed_perturbations
    from bftembed.tl._name_gene_set import name_gene_set
    from bftembed.tl._perturbation_model import PerturbationModel
    from bftembed.tl._score_text import score_text
    from bftembed.tl._transfer_labels import transfer_labels

__all__ = [
    "PerturbationModel",
    "annotate",
    "describe_clusters",
    "embed",
    "embed_cell_profiles",
    "embed_cells",
    "embed_genes",
    "embed_perturbations",
    "name_gene_set",
    "score_text",
    "transfer_labels",
]


# One module each, so that the cell stage, which streams millions of cells, does not carry torch in its memory.
__getattr__, __dir__ = attach(
    __name__, {name: f"_{name}" for name in __all__} | {"PerturbationModel": "_perturbation_model"}
)
