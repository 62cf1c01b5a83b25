"""Cells that have no embedding, since no gene with a vector has weight in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bftembed.errors import InputError
from bftembed.expression.values import NONZERO

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bftembed.expression import ValueCheck


UNWEIGHED = np.uint8(1 << 7)  # beside the bits of `row_flags`


class EmptyCells:
    """Rows whose weights sum to zero: with and without values on other genes."""

    def __init__(self) -> None:
        self._silent: list[int] = []
        self._unknown: list[int] = []

    def add(self, start: int, flags: NDArray[np.uint8]) -> None:
        """Take note of those among the rows ``start, start + 1, ...`` that have the flag `UNWEIGHED`."""
        empty, silent = (flags & UNWEIGHED) > 0, (flags & NONZERO) == 0
        self._silent += (start + np.flatnonzero(empty & silent)).tolist()
        self._unknown += (start + np.flatnonzero(empty & ~silent)).tolist()

    def finish(self, check: ValueCheck, *, empty: str, genes: str = "gene") -> int:
        """Return their number; `genes` is what the message calls those that count.

        Raises
        ------
        InputError
            If there are any and `empty` is not ``"nan"``.
        """
        n_empty = len(self._silent) + len(self._unknown)
        if not n_empty or empty == "nan":
            return n_empty
        parts, n_cells = [], check.matrix.x.shape[0]
        if self._silent:
            parts.append(
                f"{len(self._silent)} of {n_cells} cells have no counts at all "
                f"({check.named(self._silent)}); remove them with sc.pp.filter_cells(adata, min_counts=1)."
            )
        if self._unknown:
            parts.append(
                f"{len(self._unknown)} of {n_cells} cells have counts, but none on a {genes} with a vector "
                f"({check.named(self._unknown)}); embed more genes with bft.tl.embed_genes, or remove these cells."
            )
        parts.append('Or pass empty="nan" to have rows of NaN for them.')
        raise InputError(" ".join(parts))
