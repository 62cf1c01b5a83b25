"""Embeddings of many names on many machines, by Ray Data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bftembed._lazy import attach

if TYPE_CHECKING:
    from bftembed.scale.names import embed_names

__all__ = ["embed_names"]

__getattr__, __dir__ = attach(__name__, {"embed_names": "names"})
