"""Expression matrices of an AnnData in memory, lazy, backed or in a file: chunks of rows, and what their values are."""

from bftembed.expression.batches import cell_batches
from bftembed.expression.chunks import default_chunk_rows, prefetched, row_blocks, row_chunks
from bftembed.expression.cluster import block_tasks, cluster_of, gathered, on_cluster
from bftembed.expression.files import checked_target
from bftembed.expression.genes import chosen_genes, gene_names, mask_of_genes
from bftembed.expression.groups import group_moments
from bftembed.expression.parts import (
    AnnDataParts,
    Matrix,
    check_columns,
    checked_anndata,
    chosen_matrix,
    column_of,
    made_actual,
    opened,
    parts_of,
)
from bftembed.expression.values import LevelCheck, ValueCheck, Values, normalised_chunks, row_flags
from bftembed.expression.writing import check_writable, mapping_group, write_anndata, write_element

__all__ = [
    "AnnDataParts",
    "LevelCheck",
    "Matrix",
    "ValueCheck",
    "Values",
    "block_tasks",
    "cell_batches",
    "check_columns",
    "check_writable",
    "checked_anndata",
    "checked_target",
    "chosen_genes",
    "chosen_matrix",
    "cluster_of",
    "column_of",
    "default_chunk_rows",
    "gathered",
    "gene_names",
    "group_moments",
    "made_actual",
    "mapping_group",
    "mask_of_genes",
    "normalised_chunks",
    "on_cluster",
    "opened",
    "parts_of",
    "prefetched",
    "row_blocks",
    "row_chunks",
    "row_flags",
    "write_anndata",
    "write_element",
]
