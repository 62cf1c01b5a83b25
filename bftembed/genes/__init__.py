"""Gene names to canonical symbols, and what is known about a gene: pure tables and functions."""

from bftembed.genes.checks import check_mapped
from bftembed.genes.facts import FACTS, GeneFacts
from bftembed.genes.ids import excel_candidates, is_ensembl_id, strip_version
from bftembed.genes.mapping import MAPPED, MappingResult, map_names
from bftembed.genes.orthologs import Orthologs
from bftembed.genes.table import GeneTable

__all__ = [
    "FACTS",
    "MAPPED",
    "GeneFacts",
    "GeneTable",
    "MappingResult",
    "Orthologs",
    "check_mapped",
    "excel_candidates",
    "is_ensembl_id",
    "map_names",
    "strip_version",
]
