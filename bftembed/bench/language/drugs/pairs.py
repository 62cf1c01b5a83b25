"""Pairs of a drug and a gene on data of the user: read from a table, and which drugs or cell lines are held out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from bftembed._warn import warn
from bftembed.bench.scoring.scores import digest_of
from bftembed.entities import compounds
from bftembed.entities.controls import CONTROLS, is_control, plain_name
from bftembed.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

#: Of the drugs, so many are held out where no list says which.
_HELD_OUT = 0.2


def read_pairs(path: Path) -> pd.DataFrame:
    """Pairs as a table has them, all as text without blanks around it: a gene may be called NA.

    Parameters
    ----------
    path
        ``.csv``, ``.tsv`` or ``.parquet``. Without a column ``cell`` all is of one nameless line.

    Raises
    ------
    DataError
        If it cannot be read as a table, or is none of pairs.
    """
    if path.suffix not in {".csv", ".tsv", ".parquet"}:
        msg = f"`{path}` is no table of pairs; give a .csv, .tsv or .parquet."
        raise DataError(msg)
    try:
        if path.suffix == ".parquet":
            table = pd.read_parquet(path).astype("string").fillna("").astype(object)
        else:
            sep = "\t" if path.suffix == ".tsv" else ","
            table = pd.read_csv(path, sep=sep, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (OSError, ValueError) as error:  # those of pandas and Arrow are ValueErrors
        msg = f"`{path}` cannot be read as a table: {error}"
        raise DataError(msg) from error
    if "pert" not in table:
        msg = f"`{path}` has no column `pert`; pairs have pert, gene, label, and perhaps split and cell."
        raise DataError(msg)
    stripped: pd.DataFrame = table.apply(lambda column: column.str.strip())
    return stripped if "cell" in stripped else stripped.assign(cell="")


def check_drugs(pairs: pd.DataFrame) -> None:
    """Refuse a split by which a drug that is tested trains under another name, unless in other cell lines.

    Parameters
    ----------
    pairs
        ``pert``, ``cell``, ``split`` (train or test).

    Raises
    ------
    DataError
        It names the drug.
    """
    drugs = pairs[["pert", "split"]].drop_duplicates()
    drugs = drugs.assign(compound=compounds(drugs["pert"].tolist()))
    both = drugs.loc[drugs.groupby("compound")["split"].transform("nunique") > 1, "compound"]
    if len(both) and set.intersection(*pairs.groupby("split")["cell"].agg(set)):
        names = " and ".join(sorted({*drugs.loc[drugs["compound"] == both.min(), "pert"]}))
        msg = f"The split is broken: one drug, {names}, is in training and in the test. Hold out whole drugs or lines."
        raise DataError(msg)


def check_controls(pairs: pd.DataFrame) -> None:
    """Refuse controls among the drugs, ``pert``.

    Raises
    ------
    DataError
        It names one.
    """
    known = {plain_name(name) for name in CONTROLS}
    if controls := sorted(name for name in set(pairs["pert"]) if is_control(name, known)):
        msg = f"The pairs have rows of the control `{controls[0]}`; leave it out, since nothing is asked about it."
        raise DataError(msg)


def held_out_drugs(drugs: Iterable[str], *, seed: int = 0) -> list[str]:
    """A fifth of the drugs, at least one, sorted: those whose names, with the seed, have the smallest SHA-256.

    Neither the order of the drugs nor that of their cells makes a difference; salts and synonyms of one drug stay
    together.

    Raises
    ------
    DataError
        If there are fewer than two.

    Examples
    --------
    >>> held_out_drugs(["vorinostat", "nutlin-3", "erlotinib", "erlotinib HCl"])
    ['vorinostat']
    """
    names = sorted(set(drugs))
    if len(names) < 2:
        msg = f"To hold a drug out, two are needed at least; the data have {', '.join(names) or 'none'}."
        raise DataError(msg)
    first: dict[int, str] = {}
    one = {name: first.setdefault(number, name) for name, number in zip(names, compounds(names).tolist(), strict=True)}
    n = max(1, round(_HELD_OUT * len(first)))
    taken = sorted(first.values(), key=lambda name: digest_of([f"{seed}|{name}"]))[:n]
    return [name for name in names if one[name] in taken]


def with_split(rows: pd.DataFrame, held_out: Iterable[str]) -> pd.DataFrame:
    """Rows with ``split``: ``test`` for the drugs, or the cell lines, that are held out, else ``train``.

    Parameters
    ----------
    rows
        ``pert``, ``cell``.
    held_out
        Names of drugs, or of cell lines; not of both.

    Raises
    ------
    DataError
        If there are none, or of both, or nothing is left to train on.

    Warns
    -----
    BftembedWarning
        If some names are of neither.
    """
    names = set(held_out)
    drugs, lines = ({*rows[column]} & names for column in ("pert", "cell"))
    column, known = ("cell", lines) if lines else ("pert", drugs)
    if bool(drugs) == bool(lines) or known == {*rows[column]}:
        wrong = "both" if drugs and lines else "all" if known else "none"
        msg = (
            f"What is held out is a list of some of the drugs, or some of the cell lines, of the data; it has {wrong}."
        )
        raise DataError(msg)
    if unknown := sorted(names - known):
        warn(f"{len(unknown)} of the names that are held out are not in the data: {', '.join(unknown[:5])}.")
    return rows.assign(split=np.where(rows[column].isin(known), "test", "train"))
