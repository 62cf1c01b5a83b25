"""Preparation of an AnnData."""

from bftembed.pp._map_genes import map_genes

__all__ = ["map_genes"]
