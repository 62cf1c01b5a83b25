"""What a gene name looks like: Ensembl ids, missing entries, names that a spreadsheet turned into dates."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Iterable

ObjectArray: TypeAlias = npt.NDArray[np.object_]
BoolArray: TypeAlias = npt.NDArray[np.bool_]

# A gene id only: ENSA is a symbol, ENST... a transcript. GENCODE marks the Y copy of an X gene with _PAR_Y and what it
# lifted to another assembly with _2; tools that make names unique append -1 or .1.
ENSEMBL_GENE = re.compile(r"(ENS[A-Z]*G\d{11})(?:[._-]\d+|_PAR_Y)*", re.ASCII)
_NUMBER = re.compile(r"\d+(?:\.\d+)?")

_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
# What a spreadsheet reads as the month, beside its three letters.
_LONGER = {"FEB": ("FEBRUARY",), "MAR": ("MARCH", "MARC"), "SEP": ("SEPT",), "APR": ("APRIL",), "DEC": ("DECEMBER",)}
_MONTH = "(?P<month>" + "|".join(_MONTHS) + ")[A-Z]{0,6}"
_DATES = tuple(
    re.compile(pattern, re.IGNORECASE | re.ASCII)
    for pattern in (
        rf"(?P<day>\d{{1,2}})[-/ ]?{_MONTH}(?:[-/ ](?:\d\d|\d{{4}}))?",  # 1-Mar, 1-Mar-21
        rf"{_MONTH}[-/ ](?P<day>\d{{1,2}})",  # Mar-01
        r"(?P<year>\d{4})-(?P<number>\d\d)-(?P<day>\d\d)(?: 00:00:00)?",  # 2021-03-01
    )
)


def is_ensembl_id(name: str) -> bool:
    """Whether `name` is an Ensembl gene id, with or without versions.

    Examples
    --------
    >>> is_ensembl_id("ENSG00000141510.18"), is_ensembl_id("ENSA"), is_ensembl_id("AC000068.10")
    (True, False, False)
    """
    return ENSEMBL_GENE.fullmatch(name) is not None


def strip_version(name: str) -> str:
    """The Ensembl gene id without its versions; any other name as it is.

    Examples
    --------
    >>> strip_version("ENSG00000141510.18"), strip_version("AC000068.10")
    ('ENSG00000141510', 'AC000068.10')
    """
    match = ENSEMBL_GENE.fullmatch(name)
    return match[1] if match else name


def is_number(name: str) -> bool:
    """Whether `name` is a bare number: a position or an Entrez id, which no source means by a gene's name.

    Examples
    --------
    >>> is_number("7157"), is_number("7157.0"), is_number("14-3-3")
    (True, True, False)
    """
    return _NUMBER.fullmatch(name) is not None


def clean_names(names: Iterable[Any]) -> tuple[ObjectArray, BoolArray]:
    """Names as text without surrounding blanks, and which of them are missing.

    Only a value that is missing by its type (NaN, None, pd.NA) or blank counts as missing: the texts ``"NA"`` and
    ``"nan"`` are names, since tables written elsewhere hold symbols that look so.

    Parameters
    ----------
    names
        Any iterable of length n, pandas categoricals and string arrays included.

    Returns
    -------
    clean
        (n,) object array of str, ``""`` where missing.
    missing
        (n,) bool array.
    """
    values = list(names)
    # Not pd.array(): it would guess a dtype and turn 7157 beside a NaN into "7157.0".
    raw = np.empty(len(values), dtype=object)
    raw[:] = values
    absent = pd.isna(raw)
    clean = np.empty(len(values), dtype=object)
    clean[:] = ["" if gone else str(value).strip() for value, gone in zip(values, absent, strict=True)]
    return clean, absent | (clean == "")


def excel_candidates(name: str) -> tuple[str, ...]:
    """Symbols that a spreadsheet may have turned into the date `name`; empty if it is no such date.

    A date has several possible origins (``1-Mar`` was MARCH1 or MARC1); which of them are genes is for a table to say.
    In ISO form the first of a month gives two numbers, since ``SEPT2`` ends as ``2021-09-02``, but ``Sep-02`` as
    ``2002-09-01``.

    Examples
    --------
    >>> excel_candidates("1-Dec")
    ('DEC1', 'DEC-1', 'DECEMBER1', 'DECEMBER-1')
    >>> excel_candidates("DEC1")
    ()
    """
    match = next((m for pattern in _DATES if (m := pattern.fullmatch(name))), None)
    if match is None:
        return ()
    parts = match.groupdict()
    day = int(parts["day"])
    numbers = [day]
    if (text := parts.get("number")) is not None:
        if not 1 <= int(text) <= 12:
            return ()
        month = _MONTHS[int(text) - 1]
        year = int(parts["year"]) - 2000
        if day == 1 and 1 < year <= 31:
            numbers.append(year)
    else:
        month = parts["month"].upper()
    stems = (month, *_LONGER.get(month, ()))
    return tuple(f"{stem}{dash}{number}" for number in numbers for stem in stems for dash in ("", "-"))
