"""Other ways to make cells of an embedding of genes, to be compared with the default."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bftembed.bench.sources.base import Source
from bftembed.bench.sources.grammar import get_source

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray


class _ByRecipe(Source):
    """Another embedding, whose cells are made of its vectors of genes in one certain way."""

    takes_encoder = True

    def __init__(
        self, argument: str, *, label: str | None = None, spec: str | None = None, encoder: Any = "default"
    ) -> None:
        super().__init__(argument, label=label, spec=spec)
        self.source = get_source(argument, encoder=encoder)

    def describe(self) -> dict[str, Any]:
        return {"spec": self.spec, "cells": self.recipe, "of": self.source.describe()}

    def check(self) -> None:
        self.source.check()

    def genes(self, names: Sequence[str]) -> NDArray[np.float32]:
        return self.source.genes(names)

    def drugs(self, names: Sequence[str]) -> NDArray[np.float32]:
        return self.source.drugs(names)

    def all_genes(self) -> NDArray[np.float32] | None:
        self.source.fast = self.fast
        return self.source.all_genes()


class Mean(_ByRecipe):
    """Means of the genes' vectors, weighted by expression (the recipe of GenePT-w)."""

    recipe = "mean"


class Batchwise(_ByRecipe):
    """Contrast with what is usual in the batch of a cell, mean and spread."""

    recipe = "batchwise"
