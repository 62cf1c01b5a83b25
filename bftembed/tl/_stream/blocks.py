"""One block of cells: its vectors, and what is to be known of its values; the same in this process and in others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bftembed.errors import InputError
from bftembed.expression import LevelCheck, ValueCheck
from bftembed.expression.kernels import inspected
from bftembed.expression.values import are_counts, check_logarithms, readable
from bftembed.tl._stream import DEPARTURES
from bftembed.tl._stream.empty import UNWEIGHED, EmptyCells

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

    from bftembed.expression import Matrix
    from bftembed.tl._stream.contrast import Contrast
    from bftembed.tl._stream.weighted import WeightedSum

    #: Flags of the rows, and their counts per 10,000 on the genes of a given reference.
    Seen = tuple[NDArray[np.uint8], NDArray[np.float64] | None]


@dataclass(frozen=True)
class Weighing:
    """How values become weights.

    Parameters
    ----------
    weights, values
        As `embed_cells` takes them.
    known
        Where a reference was given: columns that are genes of it, bool (n_vars,).
    """

    weights: str
    values: str
    known: NDArray[np.bool_] | None = None


def embed_block(
    kernel: WeightedSum, rows: csr_matrix, out: NDArray[np.float32], batches: NDArray[np.intp] | None, how: Weighing
) -> Seen:
    """Write the vectors of some cells into `out`; what is returned is for `CellChecks`.

    It depends on these rows alone. Whether they are counts does too: where cells of counts and of logarithms meet,
    `CellChecks` refuses all of them.
    """
    rows, totals, flags = inspected(rows, kernel.pool)
    if not readable(flags):
        return flags, None
    scaled = totals if how.weights in {"log1p", *DEPARTURES} and are_counts(flags, how.values) else None
    log, binary = how.weights == "log" or scaled is not None, how.weights == "binary"
    kernel.embed(rows, out, batches=batches, totals=scaled, log=log, binary=binary)
    levels = None if how.known is None else kernel.levels(rows, how.known, totals=scaled)
    return flags | UNWEIGHED * np.isnan(out[:, 0]), levels


class CellChecks:
    """What all cells must be for their vectors to count; blocks are added in the order of the rows.

    Parameters
    ----------
    matrix
        Where the values come from, for the messages.
    how
        With what `embed_block` was called.
    contrast
        The contrast by which cells were weighed, if so.
    """

    def __init__(self, matrix: Matrix, how: Weighing, contrast: Contrast | None) -> None:
        decide = how.weights in {"log1p", "log", *DEPARTURES}
        self.values = ValueCheck(matrix, values=how.values, decide=decide)
        self._empty, self._how, self._is_contrast = EmptyCells(), how, contrast is not None
        self._levels: LevelCheck | None = None
        if contrast is not None and how.known is not None:
            self._levels = LevelCheck(contrast.levels, contrast.batches)

    def add(self, start: int, flags: NDArray[np.uint8], levels: NDArray[np.float64] | None) -> bool:
        """Take note of rows ``start, start + 1, ...``; False if there are cells, here or before, without vectors.

        Raises
        ------
        InputError
            If the values cannot be used.
        """
        self.values.add(start, flags)
        if not self.values.usable:
            return False
        if self._how.weights == "log" and self.values.found == "lognorm":
            raise InputError(logged_twice(self.values.matrix.name))
        if self._is_contrast and self.values.found != "counts":
            check_logarithms(self.values, start, flags)
        if self._levels is not None and levels is not None:
            self._levels.add(start, levels)
        self._empty.add(start, flags)
        return True

    def finish(self, *, empty: str) -> int:
        """The number of cells without weight.

        Raises
        ------
        InputError
            For what had to be counted first.
        """
        self.values.finish()
        if self._levels is not None:
            self._levels.finish()
        return self._empty.finish(
            self.values, empty=empty, genes="highly variable gene" if self._is_contrast else "gene"
        )


def logged_twice(name: str) -> str:
    """Message that the logarithm would be taken of logarithms."""
    return f'{name} is log-normalised already and weights="log" would log it twice: pass weights="log1p" or "raw".'
