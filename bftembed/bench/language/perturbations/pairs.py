"""Pairs of perturbation and read-out gene with an answer: checked, and which of them are asked and balanced."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bftembed.bench.scoring.scores import digest_of
from bftembed.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_COLUMNS = ("pert", "gene", "label", "split")
_LABELS = {"0": 0, "1": 1, "0.0": 0, "1.0": 1, "False": 0, "True": 1}
FAST_GENES, FAST_OF_EACH = 12, 4


def checked_pairs(pairs: pd.DataFrame, *, cell: str = "") -> pd.DataFrame:
    """Pairs as they can be asked, in the order of their names.

    Parameters
    ----------
    pairs
        ``pert``, ``gene``, ``label`` (0 or 1), ``split`` (``train`` or ``test``) and, if they are of several cell
        lines, ``cell``. Names are texts: read files with ``keep_default_na=False``, since there are genes like ``NA``.
    cell
        The cell line where there is no such column; it may be empty.

    Returns
    -------
    The same columns and ``readout``, what an answer is compared within: the gene, in one cell line.

    Raises
    ------
    DataError
        If a column is missing, a name is none, a label is not 0 or 1, a split is another, a pair is repeated, or a
        perturbation of the test is in train too, unless the cell lines of the test are new.

    Examples
    --------
    >>> pairs = pd.DataFrame({"pert": ["A", "B"], "gene": "G", "label": [0, 1], "split": ["train", "test"]})
    >>> checked_pairs(pairs, cell="K562")["readout"].tolist()
    ['G|K562', 'G|K562']
    """
    if lacking := [column for column in _COLUMNS if column not in pairs]:
        msg = f"The pairs have no column {', '.join(lacking)}; they need {', '.join(_COLUMNS)}, and may have `cell`."
        raise DataError(msg)
    frame = pairs.reset_index(drop=True)
    frame = frame.assign(cell=frame.get("cell", cell))
    for column in ("pert", "gene"):
        named = frame[column].map(lambda name: isinstance(name, str) and bool(name.strip()))
        _refuse(frame, ~named, f"has no name in `{column}`; read the file with `keep_default_na=False`")
    label = frame["label"].astype(str).map(_LABELS)
    _refuse(frame, label.isna(), "has a label other than 0 and 1")
    _refuse(frame, ~frame["split"].isin(["train", "test"]), "has a split other than `train` and `test`")
    frame = frame.assign(label=label.astype(bool), cell=frame["cell"].fillna("").astype(str))
    _refuse(frame, frame.duplicated(["pert", "gene", "cell"]), "is there twice")
    train, test = (frame[frame["split"] == split] for split in ("train", "test"))
    same_line = bool({*train["cell"]} & {*test["cell"]})
    leaks = (frame["split"] == "train") & frame["pert"].isin(set(test["pert"])) & same_line
    _refuse(frame, leaks, "is of train, but its perturbation is tested too, so the split is broken")
    frame = frame.assign(readout=frame["gene"] + np.where(frame["cell"] == "", "", "|" + frame["cell"]))
    return frame.sort_values(["pert", "gene", "cell"], ignore_index=True)


def _refuse(frame: pd.DataFrame, wrong: pd.Series[bool], why: str) -> None:
    if wrong.any():
        row = frame[wrong].iloc[0]
        name = f"row {int(frame.index[wrong][0]) + 1} ({row['pert']}, {row['gene']}, label {row['label']})"
        others = f" ({int(wrong.sum())} rows like this)" if wrong.sum() > 1 else ""
        msg = f"Of the pairs, {name} {why}{others}."
        raise DataError(msg)


def ids_of(pairs: pd.DataFrame) -> list[str]:
    """A name for each pair: perturbation, gene and, if there is one, cell line."""
    return (pairs["pert"] + "|" + pairs["readout"]).tolist()


def asked_pairs(pairs: pd.DataFrame, *, fast: bool = False) -> pd.DataFrame:
    """Pairs of the test that are asked: those of read-outs that have both answers there.

    A read-out with one answer has no AUC, and answers to it would count in pooled scores alone, which say nothing.

    Parameters
    ----------
    pairs
        As `checked_pairs` gives them.
    fast
        Of 12 read-outs 4 pairs with each answer, chosen by SHA-256.

    Raises
    ------
    DataError
        If there is none.
    """
    test = pairs[pairs["split"] == "test"]
    test = test[test.groupby("readout")["label"].transform("nunique") == 2]
    if fast:
        rarer = pd.crosstab(test["readout"], test["label"]).min(axis=1)
        large = rarer.index[rarer >= min(FAST_OF_EACH, rarer.max())] if len(rarer) else rarer.index
        few = sorted(large, key=_digest)[:FAST_GENES]
        test = test[test["readout"].isin(few)]
        test = test[balanced(test, most=FAST_OF_EACH)]
    if test.empty:
        msg = "No gene has both answers in the test, so none can be scored: more pairs of the test are needed."
        raise DataError(msg)
    return test.reset_index(drop=True)


def balanced(pairs: pd.DataFrame, *, most: int | None = None) -> NDArray[np.bool_]:
    """Which pairs (n,) to take so that each read-out has both answers equally often, by SHA-256 of ``pert|gene``.

    Parameters
    ----------
    pairs
        As `checked_pairs` gives them.
    most
        At most so many of an answer for each read-out.

    Examples
    --------
    >>> pairs = pd.DataFrame({"pert": ["A", "B", "C"], "gene": "G", "label": [0, 1, 1], "split": "test"})
    >>> int(balanced(checked_pairs(pairs)).sum())
    2
    """
    by: Any = [pairs["readout"], pairs["label"]]
    place = (
        (pairs["pert"] + "|" + pairs["gene"])
        .map(lambda name: digest_of([name]))
        .to_numpy(dtype=str)
        .argsort()
        .argsort()
    )
    size = pairs.groupby(by)["pert"].transform("size")
    of_readout = pairs.groupby("readout")["pert"].transform("size")
    rarer = np.minimum(size.to_numpy(), (of_readout - size).to_numpy())
    if most is not None:
        rarer = np.minimum(rarer, most)
    return np.asarray(pd.Series(place, index=pairs.index).groupby(by).rank().to_numpy() <= rarer)


def _digest(name: str) -> str:
    return digest_of([name])
