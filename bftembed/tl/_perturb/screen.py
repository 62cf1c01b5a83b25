"""A perturbation screen as changes of mean expression, one row per condition."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from bftembed._warn import warn
from bftembed.entities import canonical, conditions_of
from bftembed.errors import InputError
from bftembed.expression import check_columns, checked_anndata, chosen_matrix, column_of, group_moments, parts_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anndata import AnnData
    from numpy.typing import NDArray

    from bftembed.entities import How

logger = logging.getLogger("bftembed")
_DOSE = re.compile(r"\s*([0-9.]+(?:e[+-]?[0-9]+)?)\s*([munpµμ]?m)?\s*", re.IGNORECASE)
_MOLAR = {"m": 1.0, "mm": 1e-3, "um": 1e-6, "µm": 1e-6, "μm": 1e-6, "nm": 1e-9, "pm": 1e-12}


class Part(NamedTuple):
    """A gene or drug of a condition, and the log10 of its dose where it has one."""

    name: str
    dose: float | None = None

    def __str__(self) -> str:
        return self.name if self.dose is None else f"{self.name} at {10**self.dose:.3g}"


class Reading(NamedTuple):
    """How labels of conditions are read: arguments of `bftembed.entities.conditions_of`, and the doses beside them.

    ``molar`` says whether doses have a molar unit; None where that is not settled yet.
    """

    how: How
    control: tuple[str, ...]
    separator: str | None
    molar: bool | None = None


def control_names(control: Any) -> tuple[str, ...]:
    """Names of controls, of one or of several; `InputError` if they are no names."""
    names = (control,) if isinstance(control, str) else tuple(control) if isinstance(control, Iterable) else ()
    if not names or not all(isinstance(name, str) for name in names):
        msg = f"`control` is a name that stands for no perturbation, or a list of such names, got {control!r}."
        raise InputError(msg)
    return names


@dataclass(frozen=True, eq=False)
class Screen:
    """Changes of mean log-normalised expression.

    Attributes
    ----------
    parts
        Of each of n conditions, sorted.
    change, noise
        (n, g) float64: mean of the cells of a condition minus mean of the controls, and the sampling variance of the
        former.
    genes
        (g,) names.
    sizes
        (n,) cells.
    kind
        ``"counts"`` or ``"lognorm"``: what the values were.
    molar
        Whether the doses have a molar unit; None without doses.
    """

    parts: list[tuple[Part, ...]]
    change: NDArray[np.float64]
    noise: NDArray[np.float64]
    genes: pd.Index[str]
    sizes: NDArray[np.intp]
    kind: str
    molar: bool | None


def read_screen(
    adata: AnnData,
    reading: Reading,
    *,
    obs_key: str,
    dose_key: str | None,
    layer: str | None,
    values: str,
    min_cells: int,
) -> Screen:
    """Mean changes of the conditions of an AnnData, in one pass over chunks of its cells.

    Raises
    ------
    InputError
        If a column is missing, there are fewer than two control cells, or no condition with enough cells.
    """
    checked_anndata(adata)
    check_columns(adata.obs, "adata.obs", [obs_key, *([dose_key] if dose_key else [])])
    cells = pd.DataFrame({"label": _text(adata, obs_key), "dose": _text(adata, dose_key) if dose_key else ""})
    distinct = cells.drop_duplicates().reset_index(drop=True)
    parts_of_row = parse(distinct["label"].tolist(), distinct["dose"].tolist() if dose_key else None, reading)
    is_control = [bool(label) and not parts for label, parts in zip(distinct["label"], parts_of_row, strict=True)]
    if not any(is_control):
        some = ", ".join(sorted(set(distinct["label"]) - {""})[:5])
        msg = (
            f"No cell is a control: none of {', '.join(reading.control[:5])}, ... is among the conditions in "
            f"`obs[{obs_key!r}]` ({some}, ...). Pass control= with the name that stands for no perturbation."
        )
        raise InputError(msg)
    parts = sorted({each for each in parts_of_row if each}, key=name_of)
    number = {each: i for i, each in enumerate(parts, start=1)}
    codes = np.array(
        [0 if control else number.get(each, -1) for each, control in zip(parts_of_row, is_control, strict=True)]
    )
    row_of_cell = distinct.reset_index().merge(cells.assign(at=np.arange(len(cells))), on=["label", "dose"])
    group = np.empty(len(cells), dtype=np.intp)
    group[row_of_cell["at"]] = codes[row_of_cell["index"]]
    matrix = chosen_matrix(replace(parts_of(adata), raw=None), layer=layer, use_raw=False)
    sizes, means, variances, kind, _ = group_moments(matrix, group, len(parts) + 1, values)
    if sizes[0] < 2:
        msg = f"Only {sizes[0]} cells with counts are controls; at least two are needed, better a hundred."
        raise InputError(msg)
    kept = np.flatnonzero(sizes[1:] >= min_cells)
    _tell_of_small(parts, sizes[1:], kept, min_cells)
    noise = variances[1 + kept] / sizes[1 + kept, None]
    return Screen(
        [parts[i] for i in kept],
        means[1 + kept] - means[0],
        noise,
        adata.var_names,
        sizes[1 + kept],
        kind,
        _molar([each for each, some in zip(distinct["dose"], parts_of_row, strict=True) if some]) if dose_key else None,
    )


def parse(labels: Sequence[str], doses: Sequence[str] | None, reading: Reading) -> list[tuple[Part, ...]]:
    """Parts of conditions, sorted and each once; none of a control.

    Genes get canonical symbols where the gene tables know them; drugs are compared without case.

    Raises
    ------
    InputError
        If a dose is no number above zero, or only some of them have a unit, also of those that `reading` is from.
    """
    found = conditions_of(labels, how=reading.how, control=reading.control, separator=reading.separator)
    names = sorted({part for each in found for part in each.parts})
    known = [name.casefold() for name in names] if reading.how == "drug" else canonical(names)
    spelled = {name: str(symbol or name) for name, symbol in zip(names, known, strict=True)}
    treated = [i for i, each in enumerate(found) if each.parts]
    dose_of = {}
    if doses is not None:
        dose_of = dict(zip(treated, log_doses([doses[i] for i in treated], molar=reading.molar), strict=True))
    return [tuple(sorted({Part(spelled[part], dose_of.get(i)) for part in each.parts})) for i, each in enumerate(found)]


def asked_conditions(
    conditions: Iterable[str], dose: str | float | Iterable[str | float] | None, reading: Reading
) -> tuple[list[str], list[tuple[Part, ...]]]:
    """Names of conditions that are to be predicted, and their parts.

    Parameters
    ----------
    conditions
        n labels.
    dose
        One for all or one for each; None without doses.
    reading
        As that of the training data; `molar` is None if these had no doses.

    Raises
    ------
    InputError
        If there are no conditions, doses are missing, not expected or of another unit, or a condition is a control or
        repeated, in whatever order its parts are.
    """
    labels = [] if isinstance(conditions, str) or not isinstance(conditions, Iterable) else list(map(str, conditions))
    if not labels:
        msg = f"`conditions` is a list of at least one label, got {conditions!r}: write ['KLF1', 'KLF1+MAP2K6']."
        raise InputError(msg)
    check_dosed(reading, dose is not None, "dose")
    if isinstance(dose, str) or not isinstance(dose, Iterable):
        dose = [] if dose is None else [dose] * len(labels)
    doses = list(map(str, dose)) if reading.molar is not None else None
    if doses is not None and len(doses) != len(labels):
        msg = f"`dose` has {len(doses)} values for {len(labels)} conditions: give one for all, or one for each."
        raise InputError(msg)
    parts = parse(labels, doses, reading)
    if controls := [label for label, each in zip(labels, parts, strict=True) if not each]:
        msg = f"{controls[0]!r} is a control, whose change is zero by definition: leave it out of `conditions`."
        raise InputError(msg)
    names = labels
    if doses is not None:
        names = [f"{label} | {each}" for label, each in zip(labels, doses, strict=True)]
    first: dict[tuple[Part, ...], str] = {}
    for name, each in zip(names, parts, strict=True):
        if each in first:
            as_what = "" if first[each] == name else f", the second time as {name!r}"
            msg = f"`conditions` has {first[each]!r} more than once{as_what}; give each condition once."
            raise InputError(msg)
        first[each] = name
    return names, parts


def check_dosed(reading: Reading, has_doses: bool, name: str) -> None:  # noqa: FBT001
    """Refuse doses for a model without, and the other way round; `name` is that of the argument."""
    if (reading.molar is not None) != has_doses:
        without = f"without doses: leave out {name}="
        msg = f"The model was fitted {without if reading.molar is None else f'with doses: pass {name}='}."
        raise InputError(msg)


def log_doses(doses: Sequence[str], *, molar: bool | None = None) -> list[float]:
    """Base-10 logarithm of doses such as ``"10"``, ``"0.5 uM"`` or ``"100nM"`` (in M where they have a unit).

    `molar` says whether those that they are compared with have a unit, if there are any.

    Raises
    ------
    InputError
        If one is no number above zero, or only some of them, or of them and those that they are compared with, have a
        unit.

    Examples
    --------
    >>> log_doses(["1 uM", "100nM"])
    [-6.0, -7.0]
    """
    matches = [_DOSE.fullmatch(str(dose)) for dose in doses]
    numbers = [_number(match[1]) if match else 0.0 for match in matches]
    if bad := [dose for dose, number in zip(doses, numbers, strict=True) if not number > 0]:
        msg = f"The dose {bad[0]!r} is no number above zero with or without a molar unit (10, 0.5 uM, 100nM); mend it."
        raise InputError(msg)
    units = [(match[2] or "").lower() if match else "" for match in matches]
    if len({bool(unit) for unit in units}) > 1:
        without = next(dose for dose, unit in zip(doses, units, strict=True) if not unit)
        msg = f"Some doses have a unit and others, such as {without!r}, have not: write all of them alike."
        raise InputError(msg)
    if doses and molar is not None and molar != bool(units[0]):
        here, there = ("no unit", "a molar unit") if molar else ("a unit", "none")
        msg = f"The dose {doses[0]!r} has {here} and those of the training data have {there}: write all of them alike."
        raise InputError(msg)
    return [round(math.log10(number * _MOLAR.get(unit, 1.0)), 6) for number, unit in zip(numbers, units, strict=True)]


def _molar(doses: Sequence[str]) -> bool:
    """Whether doses that `log_doses` takes have a molar unit."""
    return any((match := _DOSE.fullmatch(dose)) is not None and match[2] is not None for dose in doses)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def _text(adata: AnnData, column: str) -> list[str]:
    values = column_of(adata.obs, column)
    return [str(value).strip() for value in values.astype(object).where(values.notna(), "")]


def _tell_of_small(
    parts: Sequence[tuple[Part, ...]], sizes: NDArray[np.intp], kept: NDArray[np.intp], min_cells: int
) -> None:
    small = [name_of(parts[i]) for i in np.setdiff1d(np.arange(len(parts)), kept)]
    shown = ", ".join(small[:5]) + (", ..." if len(small) > 5 else "")
    if not len(kept):
        msg = (
            f"No condition has {min_cells} cells or more (the largest has {sizes.max(initial=0)}): {shown}. Lower "
            "`min_cells` if that is what there is."
        )
        raise InputError(msg)
    if small:
        warn(f"{len(small)} conditions have fewer than {min_cells} cells and are left out: {shown}.")


def name_of(parts: Sequence[Part]) -> str:
    """A condition in words."""
    return "+".join(map(str, parts))
