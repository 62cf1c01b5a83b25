"""Plots."""

from bftembed.pl._confidence import confidence
from bftembed.pl._embedding import embedding
from bftembed.pl._gene_map import gene_map
from bftembed.pl._profile_length import profile_length
from bftembed.pl._query import query
from bftembed.pl._scores import scores
from bftembed.pl._text_scores import text_scores
from bftembed.pl._training import training

__all__ = ["confidence", "embedding", "gene_map", "profile_length", "query", "scores", "text_scores", "training"]
