"""Data sets and gene tables that are ready to use."""

from bftembed.datasets._bundle import load_bundle
from bftembed.datasets._cells import (
    PROTEIN_GENES,
    bremsc_pbmc,
    hpa_tissues,
    joined_cells,
    norman,
    pbmc_stim,
    symphony_pbmc,
)
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
from bftembed.datasets._symbols import by_symbol, one_per_gene

__all__ = [
    "FACT_SOURCES",
    "NAME_SOURCES",
    "PROTEIN_GENES",
    "bremsc_pbmc",
    "by_symbol",
    "drug_facts",
    "fetch_gene_tables",
    "gene_facts",
    "gene_sources",
    "gene_table",
    "hpa_tissues",
    "joined_cells",
    "load_bundle",
    "norman",
    "one_per_gene",
    "pbmc68k_reduced",
    "pbmc_stim",
    "protein_coding_genes",
    "required",
    "symphony_pbmc",
]
