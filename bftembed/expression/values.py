"""Are the values counts, log-normalised, or not usable at all? Settled chunk by chunk, in one pass."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Literal

import numpy as np

from bftembed._near import check_choice
from bftembed.errors import InputError
from bftembed.expression.chunks import default_chunk_rows, row_chunks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

    from bftembed.expression.parts import Matrix

logger = logging.getLogger("bftembed")

Values = Literal["auto", "counts", "lognorm"]
COUNTS_PER_CELL = 1e4
LARGEST_Z = 10.0  # of a z-score, as in scanpy's recipe for clustering (`sc.pp.scale(adata, max_value=10)`)
LARGEST_LOG = 30.0  # exp(30) counts in one cell: no logarithm of counts gets there
#: What a row holds: bits of one number per row.
NONZERO, FRACTION, LARGE, NEGATIVE, NONFINITE, UNSORTED, OUTSIDE = (np.uint8(1 << bit) for bit in range(7))
_FLOAT32_MAX = float(np.finfo(np.float32).max)
_SHOWN = 3
_SAMPLE = 1000


def readable(flags: NDArray[np.uint8]) -> bool:
    """Whether all of these rows can be computed with; if not, `ValueCheck` refuses the matrix."""
    return not (flags & (OUTSIDE | NEGATIVE | NONFINITE)).any()


def are_counts(flags: NDArray[np.uint8], values: str) -> bool:
    """Whether these rows alone are counts: as `ValueCheck` finds of all rows, where it decides and raises nothing.

    Parameters
    ----------
    flags
        Of the rows, as `row_flags` gives them.
    values
        ``"auto"``, ``"counts"`` or ``"lognorm"``.
    """
    return values == "counts" or (values == "auto" and not (flags & FRACTION).any())


class ValueCheck:
    """What has been seen of one matrix so far.

    Whether an error is raised depends on the matrix alone, never on how it is cut into chunks: a cell of
    whole numbers beside a cell with fractions is refused wherever the two meet.

    Parameters
    ----------
    matrix
        Where the values come from, for the messages.
    values
        ``"auto"``, ``"counts"`` or ``"lognorm"``.
    decide
        Refuse values that are neither counts nor log-normalised throughout, if `values` is ``"auto"``.
    """

    def __init__(self, matrix: Matrix, *, values: str = "auto", decide: bool = True) -> None:
        check_choice("values", values, ("auto", "counts", "lognorm"))
        self.matrix, self.values = matrix, values
        self.undecided = values == "auto" and decide
        self._seen = {"whole": -1, "fractions": -1, "large": -1}
        self._nonfinite: list[int] = []

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
        """Take note of rows ``start, start + 1, ...`` with their flags, as `row_flags` gives them.

        Raises
        ------
        InputError
            If the values cannot be used; NaN and infinity are counted to the end first (see `finish`).
        """
        if (flags & OUTSIDE).any():
            msg = f"{self.matrix.name} is damaged: column numbers lie outside its {self.matrix.x.shape[1]} columns."
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

    def finish(self) -> None:
        """Raise for what had to be counted first.

        Raises
        ------
        InputError
            If values are NaN or infinite.
        """
        if self._nonfinite:
            msg = (
                f"{len(self._nonfinite)} cells of {self.matrix.name} hold NaN, infinite or too large values "
                f"(first: {self.named(self._nonfinite[:1])}). Find out where they come from; to leave these cells "
                "out: adata = adata[np.isfinite(adata.X.sum(axis=1))].copy()"
            )
            raise InputError(msg)
        logged = self.matrix.name == "`.X`" and "log1p" in self.matrix.parts.uns
        if logged and self.values == "auto" and self.found == "counts":
            logger.warning("`.uns['log1p']` says that X is log-transformed; it holds whole numbers: taken as counts.")

    def named(self, cells: list[int]) -> str:
        """Names of the first few of these rows."""
        more = ", ..." if len(cells) > _SHOWN else ""
        return self.matrix.cells(cells[:_SHOWN]) + more

    def _decide(self) -> None:
        whole, fractions, large = self._seen.values()
        name = self.matrix.name
        explicit = (
            'Pass values="counts" to have them scaled to 10,000 per cell and logged, values="lognorm" to use them '
            "as they are, or layer= with the counts."
        )
        if fractions >= 0 and large >= 0:
            msg = (
                f"The values of {name} are neither counts nor log-normalised: cell {self.named([fractions])} holds "
                f"fractions and cell {self.named([large])} a value above {LARGEST_LOG:.0f}. {explicit}"
            )
            raise InputError(msg)
        if fractions >= 0 and whole >= 0:
            msg = (
                f"{name} mixes kinds of values: cell {self.named([whole])} holds whole numbers only, as counts are, "
                f"and cell {self.named([fractions])} fractions, as log-normalised values are. {explicit}"
            )
            raise InputError(msg)

    def _refuse_negative(self, cell: int) -> None:
        raw, name = self.matrix.parts.raw, self.matrix.name
        advice = "pass layer= with the counts or log-normalised values"
        if raw is not None and name != "`.raw.X`" and _starts_non_negative(raw.x):
            advice = f"pass use_raw=True (`.raw` of this AnnData holds no negative values), or {advice}"
        msg = f"{name} holds negative values (first in cell {self.named([cell])}), as scaled data do; {advice}."
        raise InputError(msg)


def row_flags(rows: csr_matrix) -> NDArray[np.uint8]:
    """What each row holds: the bits ``NONZERO``, ``FRACTION``, ..., shape (rows,)."""
    data, columns = rows.data, rows.indices
    of_row = np.repeat(np.arange(rows.shape[0]), np.diff(rows.indptr))
    where = {
        NONZERO: data != 0,
        FRACTION: data != np.floor(data),
        LARGE: data > LARGEST_LOG,
        NEGATIVE: data < 0,
        NONFINITE: ~(np.abs(data) <= _FLOAT32_MAX),
        OUTSIDE: (columns < 0) | (columns >= rows.shape[1]),
        UNSORTED: np.r_[False, (columns[1:] <= columns[:-1]) & (of_row[1:] == of_row[:-1])][: len(columns)],
    }
    flags = np.zeros(rows.shape[0], dtype=np.uint8)
    for flag, entries in where.items():
        flags[of_row[entries]] |= flag
    return flags


def normalised_chunks(
    matrix: Matrix, *, values: str = "auto", log: bool = True
) -> Iterator[tuple[int, csr_matrix, str]]:
    """Yield ``(start, rows, kind)``: consecutive rows at 10,000 counts per cell, in float64 without stored zeros.

    Parameters
    ----------
    matrix
        Counts or log-normalised values (n_obs, n_vars), in memory, on disk or lazy.
    values
        ``"auto"``, ``"counts"`` or ``"lognorm"``.
    log
        Give ``log(1 + x)``, log-normalised values as they are; otherwise ``x``.

    Raises
    ------
    InputError
        If the values are neither counts nor log-normalised throughout, negative or not finite: where they are not in
        the first rows, after some rows have been given.
    """
    check = ValueCheck(matrix, values=values)
    for start, _, chunk in row_chunks(matrix.x, default_chunk_rows(matrix.x, 1)):
        rows = chunk.astype(np.float64)
        flags = row_flags(rows)
        check.add(start, flags)
        if not check.usable:
            continue
        if (flags & UNSORTED).any():
            rows.sum_duplicates()
        rows.eliminate_zeros()
        logged = check.found == "lognorm"
        if not (logged and log):
            if logged:
                check_logarithms(check, start, flags)
                rows.data = np.expm1(rows.data)
            total = np.asarray(rows.sum(axis=1)).ravel()
            scale = np.divide(COUNTS_PER_CELL, total, out=np.zeros_like(total), where=total > 0)
            rows.data *= np.repeat(scale, np.diff(rows.indptr))
            if log:
                rows.data = np.log1p(rows.data)
        yield start, rows, check.found
    check.finish()


def check_logarithms(check: ValueCheck, start: int, flags: NDArray[np.uint8]) -> None:
    """Refuse values, taken as logarithms, that are none.

    Raises
    ------
    InputError
        If one of the rows ``start, start + 1, ...`` holds a value that no logarithm of counts reaches.
    """
    if (large := np.flatnonzero(flags & LARGE)).size:
        msg = (
            f"{check.matrix.name} is no logarithm of counts: cell {check.named([start + int(large[0])])} holds a value "
            f'above {LARGEST_LOG:.0f}. Pass values="counts", or layer= with the counts or log-normalised values.'
        )
        raise InputError(msg)


class LevelCheck:
    """Whether cells are normalised as those of a reference: by their counts per 10,000 on the genes of both.

    Cells differ in what share of their counts is on some of the genes, so that a few cells alone are not refused
    before they are ten times off. Cells without any of these genes are usual where the genes are few, and count in what
    is expected; where there are many, they may be empty. So cells are refused if they have too much with those
    counted, or too little without them.

    Parameters
    ----------
    expected
        (n_batches,): what a cell of each batch of the reference has on average on these genes.
    batches
        (n_obs,): number of the batch of each cell.
    """

    def __init__(self, expected: NDArray[np.float64], batches: NDArray[np.intp]) -> None:
        self._of_batch, self._batches = expected, batches
        self._found = self._expected = self._expected_there = 0.0
        self._n = 0

    def add(self, start: int, levels: NDArray[np.float64]) -> None:
        """Take note of rows ``start, start + 1, ...`` with these counts per 10,000."""
        expected = self._of_batch[self._batches[start : start + len(levels)]]
        self._found += float(levels.sum())
        self._expected += float(expected.sum())
        self._expected_there += float(expected[levels > 0].sum())
        self._n += len(levels)

    def finish(self) -> None:
        """Refuse cells that are normalised otherwise.

        Raises
        ------
        InputError
            With what was found and what was expected.
        """
        most = 2.0 if self._n >= 100 else 10.0
        if self._found <= most * self._expected and self._expected_there <= most * self._found:
            return
        msg = (
            "These cells are normalised otherwise than those of the reference: on the genes of both they have on "
            f"average {self._found / self._n:.4g} counts per 10,000, the reference {self._expected / self._n:.4g}. "
            "Give counts of all genes, or log(1 + counts per 10,000 of the cell's total over all genes), or make a "
            "reference of these cells (bft.pp.reference)."
        )
        raise InputError(msg)


def _starts_non_negative(x: object) -> bool:
    _, _, first = next(row_chunks(x, _SAMPLE))
    return not (first.data < 0).any()
