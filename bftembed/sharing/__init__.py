"""Texts for others: a directory with a card, that `bftembed.datasets.load_bundle` reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bftembed._lazy import attach

if TYPE_CHECKING:
    from bftembed.sharing.bundle import bundle_profiles

__all__ = ["bundle_profiles"]

__getattr__, __dir__ = attach(__name__, {"bundle_profiles": "bundle"})
