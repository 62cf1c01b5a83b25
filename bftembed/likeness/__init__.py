"""How alike genes or drugs are, by vectors or by the words that describe them; a weight that falls off softly."""

from bftembed.likeness.vectors import soft, unit
from bftembed.likeness.words import drug_words, gene_words

__all__ = ["drug_words", "gene_words", "soft", "unit"]
