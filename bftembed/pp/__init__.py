"""Preparation of an AnnData."""

from bftembed.pp._make_reference import reference
from bftembed.pp._map_genes import map_genes
from bftembed.pp._reference import Reference
from bftembed.pp._whiten import whiten

__all__ = ["Reference", "map_genes", "reference", "whiten"]
