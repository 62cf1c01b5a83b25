"""What a name stands for: genes, types of cells, drugs, gene sets, perturbations, with what is known about them."""

from bftembed.entities.drugs import drug_entities, drug_facts
from bftembed.entities.facts import Facts
from bftembed.entities.genes import canonical, gene_entities, gene_set_entities, symbols_of
from bftembed.entities.names import NameKind, entities_of
from bftembed.entities.perturbations import (
    CONTROLS,
    HOW,
    Condition,
    How,
    condition_table,
    conditions_of,
    perturbation_entities,
)

__all__ = [
    "CONTROLS",
    "HOW",
    "Condition",
    "Facts",
    "How",
    "NameKind",
    "canonical",
    "condition_table",
    "conditions_of",
    "drug_entities",
    "drug_facts",
    "entities_of",
    "gene_entities",
    "gene_set_entities",
    "perturbation_entities",
    "symbols_of",
]
