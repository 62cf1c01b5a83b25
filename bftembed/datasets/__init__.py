"""Data sets and gene tables that are ready to use."""

from bftembed.datasets._drugs import drug_facts
from bftembed.datasets._genes import (
    FACT_SOURCES,
    NAME_SOURCES,
    fetch_gene_tables,
    gene_facts,
    gene_sources,
    gene_table,
    protein_coding_genes,
    required,
)
from bftembed.datasets._pbmc import pbmc68k_reduced

__all__ = [
    "FACT_SOURCES",
    "NAME_SOURCES",
    "drug_facts",
    "fetch_gene_tables",
    "gene_facts",
    "gene_sources",
    "gene_table",
    "pbmc68k_reduced",
    "protein_coding_genes",
    "required",
]
