"""One page to look at what is in an AnnData: a map of genes, cells or perturbations, with their texts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bftembed._lazy import attach

if TYPE_CHECKING:
    from bftembed.browse.page import write_page

__all__ = ["write_page"]

__getattr__, __dir__ = attach(__name__, {"write_page": "page"})
