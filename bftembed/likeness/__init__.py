"""How alike genes or drugs are, by vectors or by the words that describe them, and votes of those that are alike."""

from bftembed.likeness.additive import (
    SHRINKAGES,
    TEMPERATURES,
    Choice,
    Effects,
    additive_effects,
    average_weight,
    cross_validated,
    voted,
)
from bftembed.likeness.vectors import soft, unit
from bftembed.likeness.words import GENE_TEXTS, drug_words, gene_words, text_words

__all__ = [
    "GENE_TEXTS",
    "SHRINKAGES",
    "TEMPERATURES",
    "Choice",
    "Effects",
    "additive_effects",
    "average_weight",
    "cross_validated",
    "drug_words",
    "gene_words",
    "soft",
    "text_words",
    "unit",
    "voted",
]
