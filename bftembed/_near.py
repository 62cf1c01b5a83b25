"""The nearest known name to one that is not known, and the refusal of values that an argument does not take."""

from __future__ import annotations

import difflib
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

from bftembed.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path


def did_you_mean(name: str, choices: Iterable[str], *, cutoff: float = 0.6) -> str:
    """Give `` Did you mean `x`?`` with the nearest of `choices`, compared without case, or nothing.

    Parameters
    ----------
    name
        The unknown name.
    choices
        All known names.
    cutoff
        Least similarity, 0 to 1, as in :func:`difflib.get_close_matches`.

    Examples
    --------
    >>> did_you_mean("CD3Dd", ["CD3D", "CD19"])
    ' Did you mean `CD3D`?'
    >>> did_you_mean("zzz", ["CD3D", "CD19"])
    ''
    """
    folded = {choice.casefold(): choice for choice in choices}
    near = difflib.get_close_matches(name.casefold(), folded, n=1, cutoff=cutoff)
    return f" Did you mean `{folded[near[0]]}`?" if near else ""


def near_file(path: Path) -> str:
    """Give `` Did you mean `x`?`` with the nearest name in the directory of a file that is not there, or nothing."""
    try:
        names = {entry.name: str(entry) for entry in path.parent.iterdir()}
    except OSError:  # no directory, or none that may be read
        return ""
    near = difflib.get_close_matches(path.name, names, n=1, cutoff=0.8)
    return f" Did you mean `{names[near[0]]}`?" if near else ""


def refuse_anndata(name: str, value: object) -> None:
    """Refuse an AnnData in place of an array: numpy would take minutes to fail on it.

    Raises
    ------
    InputError
        Names the argument, and the arrays that the AnnData has.
    """
    if not (hasattr(value, "varm") and hasattr(value, "obsm")):
        return
    held = [f"adata.{place}[{key!r}]" for place in ("varm", "obsm") for key in getattr(value, place)]
    near = [each for each in held if "'X_bft'" in each] or held or ["adata.varm['X_bft']"]
    msg = f"`{name}` is an AnnData, where vectors are needed: pass `{near[0]}`."
    raise InputError(msg)


def check_choice(name: str, value: object, choices: Sequence[str]) -> None:
    """Refuse a value of an argument that is none of its choices, of which there is at least one.

    Raises
    ------
    InputError
        Names the argument and its choices.
    """
    if value not in choices:
        *others, last = map(repr, choices)
        listed = f"{', '.join(others)} or {last}" if others else f"{last} here"
        msg = f"`{name}` is {listed}, got {value!r}."
        raise InputError(msg)


def check_number(name: str, value: Any, *, least: float, above: bool = False, whole: bool = False) -> None:
    """Refuse a value of an argument that is no number, or is too small.

    Parameters
    ----------
    name
        Of the argument.
    value
        What was given; infinite is a number where it need not be whole.
    least
        The smallest number that is taken.
    above
        Whether it must be larger than `least`.
    whole
        Whether it must be a whole number.

    Raises
    ------
    InputError
        Names the argument and what it takes.

    Examples
    --------
    >>> check_number("n_genes", 2.5, least=1, whole=True)
    Traceback (most recent call last):
    bftembed.errors.InputError: `n_genes` is a whole number, 1 or more, got 2.5.
    """
    kind: Any = Integral if whole else Real
    if isinstance(value, bool) or not isinstance(value, kind) or not (value > least if above else value >= least):
        least_of_all = f" above {least}" if above else f", {least} or more"
        msg = f"`{name}` is a {'whole ' if whole else ''}number{least_of_all}, got {value!r}."
        raise InputError(msg)
