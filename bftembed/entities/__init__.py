"""What a name stands for: genes, types of cells, drugs, gene sets, perturbations, with what is known about them."""

from bftembed.entities.cell_types import read_cell_types
from bftembed.entities.compounds import compounds, drug_names
from bftembed.entities.controls import CONTROLS
from bftembed.entities.drugs import drug_entities
from bftembed.entities.facts import Facts
from bftembed.entities.genes import absent_gene, canonical, gene_entities, gene_set_entities, near_name
from bftembed.entities.names import (
    NameKind,
    all_human_genes,
    check_conditions,
    check_distinct,
    entities_of,
    listed_names,
)
from bftembed.entities.perturbations import How, condition_table, conditions_of, perturbation_entities

__all__ = [
    "CONTROLS",
    "Facts",
    "How",
    "NameKind",
    "absent_gene",
    "all_human_genes",
    "canonical",
    "check_conditions",
    "check_distinct",
    "compounds",
    "condition_table",
    "conditions_of",
    "drug_entities",
    "drug_names",
    "entities_of",
    "gene_entities",
    "gene_set_entities",
    "listed_names",
    "near_name",
    "perturbation_entities",
    "read_cell_types",
]
