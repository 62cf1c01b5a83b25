"""Preparation of an AnnData."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bftembed._lazy import attach

if TYPE_CHECKING:
    from bftembed.pp._make_reference import reference
    from bftembed.pp._map_genes import map_genes
    from bftembed.pp._reference import Reference
    from bftembed.pp._whiten import whiten

__all__ = ["Reference", "map_genes", "reference", "whiten"]

_HOMES = {"Reference": "_reference", "map_genes": "_map_genes", "reference": "_make_reference", "whiten": "_whiten"}
__getattr__, __dir__ = attach(__name__, _HOMES)
