"""What a name stands for: genes, cell types, drugs, gene sets and perturbations, with what is known about them."""

from bftembed.entities.drugs import drug_entities, drug_facts
from bftembed.entities.genes import canonical, gene_entities, gene_set_entities
from bftembed.entities.names import entities_of
from bftembed.entities.perturbations import CONTROLS, HOW, Condition, conditions_of, perturbation_entities

__all__ = [
    "CONTROLS",
    "HOW",
    "Condition",
    "canonical",
    "conditions_of",
    "drug_entities",
    "drug_facts",
    "entities_of",
    "gene_entities",
    "gene_set_entities",
    "perturbation_entities",
]
