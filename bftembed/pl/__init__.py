"""Plots."""

from bftembed.pl._confidence import confidence
from bftembed.pl._embedding import embedding
from bftembed.pl._profile_length import profile_length
from bftembed.pl._text_scores import text_scores

__all__ = ["confidence", "embedding", "profile_length", "text_scores"]
