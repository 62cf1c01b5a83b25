"""Gene names to canonical symbols, and what is known about a gene: pure tables and functions."""

from bftembed.genes.checks import check_human, check_mapped
from bftembed.genes.facts import GeneFacts
from bftembed.genes.mapping import MappingResult, map_names
from bftembed.genes.orthologs import Orthologs
from bftembed.genes.table import GeneTable

__all__ = [
    "GeneFacts",
    "GeneTable",
    "MappingResult",
    "Orthologs",
    "check_human",
    "check_mapped",
    "map_names",
]
