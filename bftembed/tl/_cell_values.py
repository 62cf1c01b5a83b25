"""Are the values counts, log-normalised, or not usable at all? Settled chunk by chunk, in one pass."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np

from bftembed.errors import InputError
from bftembed.tl._chunks import row_chunks
from bftembed.tl._weighted import FRACTION, LARGE, LARGEST_LOG, NEGATIVE, NONFINITE, NONZERO, OUTSIDE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bftembed.tl._cell_input import CellInput

logger = logging.getLogger("bftembed")

_SHOWN = 3
_SAMPLE = 1000


class ValueCheck:
    """What has been seen of one matrix so far.

    Whether an error is raised depends on the matrix alone, never on how it is cut into chunks: a cell of
    whole numbers beside a cell with fractions is refused wherever the two meet.

    Parameters
    ----------
    cells
        Where the values come from, for the messages.
    values
        ``"auto"``, ``"counts"`` or ``"lognorm"``.
    weights
        ``"log1p"``, ``"raw"``, ``"log"`` or ``"binary"``; the first and third need to know what the values are.
    """

    def __init__(self, cells: CellInput, *, values: str, weights: str) -> None:
        self.cells, self.values = cells, values
        self.undecided = values == "auto" and weights in {"log1p", "log"}
        self.weights = weights
        self._seen = {"whole": -1, "fractions": -1, "large": -1}
        self._nonfinite: list[int] = []
        self._silent: list[int] = []
        self._unknown: list[int] = []

    @property
    def found(self) -> str:
        """``"counts"``, ``"lognorm"`` or ``"other"``: as given, or as the values seen so far are."""
        if self.values != "auto":
            return self.values
        if self._seen["fractions"] < 0:
            return "counts"
        return "lognorm" if self._seen["large"] < 0 and self._seen["whole"] < 0 else "other"

    @property
    def usable(self) -> bool:
        """False once a NaN or infinity was seen: what follows is only counted."""
        return not self._nonfinite

    def add(self, start: int, flags: NDArray[np.uint8]) -> None:
        """Take note of rows ``start, start + 1, ...`` with the flags of `WeightedMean.inspect`.

        Raises
        ------
        InputError
            If the values cannot be used; NaN and infinity are counted to the end first (see `finish`).
        """
        if (flags & OUTSIDE).any():
            msg = f"{self.cells.name} is damaged: column numbers lie outside its {self.cells.x.shape[1]} columns."
            raise InputError(msg)
        if (flags & NEGATIVE).any():
            self._refuse_negative(start + int(np.flatnonzero(flags & NEGATIVE)[0]))
        self._nonfinite += (start + np.flatnonzero(flags & NONFINITE)).tolist()
        fractions = (flags & FRACTION) > 0
        rows = {"whole": ((flags & NONZERO) > 0) & ~fractions, "fractions": fractions, "large": (flags & LARGE) > 0}
        for kind, where in rows.items():
            if self._seen[kind] < 0 and where.any():
                self._seen[kind] = start + int(np.flatnonzero(where)[0])
        if self.undecided and self.usable:
            self._decide()

    def add_empty(self, start: int, flags: NDArray[np.uint8], empty: NDArray[np.bool_]) -> None:
        """Take note of the rows whose weights sum to zero, with and without values on other genes."""
        silent = (flags & NONZERO) == 0
        self._silent += (start + np.flatnonzero(empty & silent)).tolist()
        self._unknown += (start + np.flatnonzero(empty & ~silent)).tolist()

    def finish(self, *, empty: str) -> int:
        """Raise for what had to be counted first; return the number of cells without weight.

        Raises
        ------
        InputError
            If values are NaN or infinite, or a cell has no weight and `empty` is not ``"nan"``.
        """
        if self._nonfinite:
            msg = (
                f"{len(self._nonfinite)} cells of {self.cells.name} hold NaN, infinite or too large values "
                f"(first: {self._named(self._nonfinite[:1])}). Find out where they come from; to leave these cells "
                "out: adata = adata[np.isfinite(adata.X.sum(axis=1))].copy()"
            )
            raise InputError(msg)
        n_empty = len(self._silent) + len(self._unknown)
        if n_empty and empty == "raise":
            raise InputError(self._about_empty())
        logged = self.cells.name == "`.X`" and "log1p" in self.cells.parts.uns
        if logged and self.values == "auto" and self.found == "counts":
            logger.warning("`.uns['log1p']` says that X is log-transformed; it holds whole numbers: taken as counts.")
        return n_empty

    def _decide(self) -> None:
        whole, fractions, large = self._seen.values()
        name = self.cells.name
        explicit = (
            'Pass values="counts" to have them scaled to 10,000 per cell and logged, values="lognorm" to use them '
            "as they are, or layer= with the counts."
        )
        if fractions >= 0 and large >= 0:
            msg = (
                f"The values of {name} are neither counts nor log-normalised: cell {self._named([fractions])} holds "
                f"fractions and cell {self._named([large])} a value above {LARGEST_LOG:.0f}. {explicit}"
            )
            raise InputError(msg)
        if fractions >= 0 and whole >= 0:
            msg = (
                f"{name} mixes kinds of values: cell {self._named([whole])} holds whole numbers only, as counts are, "
                f"and cell {self._named([fractions])} fractions, as log-normalised values are. {explicit}"
            )
            raise InputError(msg)
        if fractions >= 0 and self.weights == "log":
            raise InputError(logged_twice(name))

    def _refuse_negative(self, cell: int) -> None:
        raw, name = self.cells.parts.raw, self.cells.name
        advice = "pass layer= with the counts or log-normalised values"
        if raw is not None and name != "`.raw.X`" and _starts_non_negative(raw.x):
            advice = f"pass use_raw=True (`.raw` of this AnnData holds no negative values), or {advice}"
        msg = f"{name} holds negative values (first in cell {self._named([cell])}), as scaled data do; {advice}."
        raise InputError(msg)

    def _about_empty(self) -> str:
        parts = []
        if self._silent:
            parts.append(
                f"{len(self._silent)} of {self.cells.x.shape[0]} cells have no counts at all "
                f"({self._named(self._silent)}); remove them with sc.pp.filter_cells(adata, min_counts=1)."
            )
        if self._unknown:
            parts.append(
                f"{len(self._unknown)} of {self.cells.x.shape[0]} cells have counts, but none on a gene with a vector "
                f"({self._named(self._unknown)}); embed more genes with bft.tl.embed_genes, or remove these cells."
            )
        parts.append('Or pass empty="nan" to have rows of NaN for them.')
        return " ".join(parts)

    def _named(self, cells: list[int]) -> str:
        more = ", ..." if len(cells) > _SHOWN else ""
        return self.cells.cells(np.array(cells[:_SHOWN])) + more


def logged_twice(name: str) -> str:
    """The message for weights="log" on values that are logarithms already."""
    return f'{name} is log-normalised already and weights="log" would log it twice: pass weights="log1p" or "raw".'


def _starts_non_negative(x: object) -> bool:
    _, _, first = next(row_chunks(x, _SAMPLE))
    return not (first.data < 0).any()
