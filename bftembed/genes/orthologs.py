"""Mouse names to human symbols, by a table of orthologs that the user gives."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import pandas as pd

from bftembed.errors import InputError
from bftembed.genes.claims import SEPARATOR, unique_folds
from bftembed.genes.ids import clean_names, excel_candidates, strip_version

if TYPE_CHECKING:
    from bftembed.genes.ids import ObjectArray
    from bftembed.genes.table import GeneTable

Orthologs: TypeAlias = pd.DataFrame | Mapping[str, str | Iterable[str]]


def ortholog_pairs(orthologs: Orthologs) -> pd.DataFrame:
    """The table as distinct rows ``mouse, human`` of text.

    Parameters
    ----------
    orthologs
        A DataFrame with the columns ``mouse`` and ``human``, one pair a row, or a mapping of a mouse name to one human
        name or several. Mouse names may be symbols and Ensembl ids.

    Raises
    ------
    InputError
        If it is neither, e.g. a path, the columns are not there, or no pair is.
    """
    if isinstance(orthologs, pd.DataFrame):
        if not {"mouse", "human"} <= set(orthologs.columns):
            msg = f"`orthologs` needs the columns 'mouse' and 'human'; it has {list(map(str, orthologs.columns))}."
            raise InputError(msg)
        pairs = orthologs[["mouse", "human"]]
    elif isinstance(orthologs, str | os.PathLike):
        msg = (
            f"`orthologs` is a path: read it first, e.g. `pandas.read_csv({str(orthologs)!r})`, with the columns "
            "'mouse' and 'human'."
        )
        raise InputError(msg)
    elif not hasattr(orthologs, "items"):
        found = type(orthologs).__name__
        msg = f"`orthologs` is a DataFrame with the columns 'mouse' and 'human', or a mapping; got {found}."
        raise InputError(msg)
    else:
        listed = [(m, h) for m, hs in orthologs.items() for h in ([hs] if isinstance(hs, str) else hs)]
        pairs = pd.DataFrame(listed, columns=["mouse", "human"])
    mouse, no_mouse = clean_names(pairs["mouse"])
    human, no_human = clean_names(pairs["human"])
    keep = ~(no_mouse | no_human)
    if not keep.any():
        msg = "`orthologs` holds no pair of a mouse and a human gene name."
        raise InputError(msg)
    names = [strip_version(str(name)) for name in mouse[keep]]
    return pd.DataFrame({"mouse": names, "human": human[keep]}).drop_duplicates(ignore_index=True)


def map_orthologs(names: ObjectArray, orthologs: Orthologs, table: GeneTable | None) -> ObjectArray:
    """Human symbols of mouse names.

    A name is looked up as it is, then as the only one that differs by case, then as a date that was a symbol
    (``1-Mar``). Human names go through `table`, so that an outdated ortholog table does no harm.

    Parameters
    ----------
    names
        (n,) object array of str, Ensembl ids without version.

    Returns
    -------
    (n,) object array: a symbol, ``A|B`` if there are several orthologs, or None.
    """
    pairs = ortholog_pairs(orthologs)
    if table is not None:
        pairs["human"] = table.lookup(pairs["human"].to_numpy(dtype=object))[1]
        pairs = pairs.dropna().astype(str)
        pairs["human"] = pairs["human"].str.split(SEPARATOR, regex=False)
        pairs = pairs.explode("human").drop_duplicates()
    joined = pairs.sort_values(["mouse", "human"]).groupby("mouse")["human"].agg(SEPARATOR.join)
    answers = {str(mouse): human for mouse, human in joined.items()}
    folds = {str(fold): mouse for fold, mouse in unique_folds(joined.index.to_series()).items()}
    return np.array([_find(str(name), answers, folds) for name in names], dtype=object)


def _find(name: str, answers: dict[str, str], folds: dict[str, str]) -> str | None:
    if name in answers:
        return answers[name]
    if (fold := name.casefold()) in folds:
        return answers[folds[fold]]
    old = [candidate.capitalize() for candidate in excel_candidates(name)]
    found = {symbol for one in old if one in answers for symbol in answers[one].split(SEPARATOR)}
    return SEPARATOR.join(sorted(found)) or None
