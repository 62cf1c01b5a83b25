"""Free texts asked of genes and cells: a text chooses and weighs genes, and their expression scores cells."""

from bftembed.queries.background import BACKGROUND
from bftembed.queries.choose import Choice, choose_genes, relevance
from bftembed.queries.named import genes_named
from bftembed.queries.scores import Contrast, Scores, coherent, group_means, text_scores

__all__ = [
    "BACKGROUND",
    "Choice",
    "Contrast",
    "Scores",
    "choose_genes",
    "coherent",
    "genes_named",
    "group_means",
    "relevance",
    "text_scores",
]
