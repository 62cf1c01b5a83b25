"""Perturbations: which condition is which, and what its prompt says."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from bftembed.entities.controls import CONTROLS, is_control, plain_name
from bftembed.entities.drugs import drug_facts
from bftembed.entities.genes import described, known_genes, symbols_of
from bftembed.errors import InputError
from bftembed.profiles import Entity

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pandas as pd

    from bftembed.entities.facts import Facts

How = Literal["knockout", "knockdown", "activation", "drug"]
HOW: tuple[How, ...] = get_args(How)
#: What a prompt calls each kind of perturbation.
_PHRASES = {
    "knockout": "knock-out of",
    "knockdown": "knock-down of",
    "activation": "transcriptional activation (overexpression) of",
}
#: What public data sets call them (scPerturb, PerturBench), compared as controls are.
_SYNONYMS: dict[str, How] = {
    **dict.fromkeys(("ko", "crispr", "crisprko", "crisprcas9", "cas9", "deletion"), "knockout"),
    **dict.fromkeys(("kd", "crispri", "interference", "rnai", "shrna", "sirna"), "knockdown"),
    **dict.fromkeys(("crispra", "overexpression", "oe", "orf"), "activation"),
    **dict.fromkeys(("compound", "chemical", "smallmolecule"), "drug"),
}


@dataclass(frozen=True, slots=True)
class Condition:
    """A perturbation, where it happened and how strong; a control has no parts.

    Attributes
    ----------
    label
        As it came.
    parts
        The genes or drugs, without controls, as they came.
    how
        ``"knockout"``, ``"knockdown"``, ``"activation"`` or ``"drug"``; ``""`` of a control.
    dose, cell_line
        ``""`` where they are not known.
    """

    label: str
    parts: tuple[str, ...]
    how: How | Literal[""] = ""
    dose: str = ""
    cell_line: str = ""

    @property
    def row(self) -> str:
        """Name of the row: label, dose and cell line."""
        return " | ".join(part for part in (self.label, self.dose, self.cell_line) if part)


def conditions_of(
    labels: Iterable[str],
    *,
    how: str | Sequence[str] = "knockdown",
    dose: str | Sequence[str] = "",
    cell_line: str | Sequence[str] = "",
    control: Sequence[str] = CONTROLS,
    separator: str | None = None,
) -> list[Condition]:
    """Read labels of perturbations.

    Parameters
    ----------
    labels
        n labels: ``"KLF1"``, ``"KLF1+MAP2K6"``, ``"vorinostat"``, ``"ctrl"``.
    how, dose, cell_line
        Of all, or a sequence of n.
    control
        Names of controls, compared without case, blanks, ``-`` and ``_``; a number at the end is the number of a guide,
        and sg, si or sh before it (``"sgNT"``) makes no difference.
    separator
        Between the parts of a combination; by default ``"+"`` for genes, while names of drugs, such as ``(+)-JQ1``, are
        not split.

    Returns
    -------
    One condition per label, in their order.

    Raises
    ------
    InputError
        If `how` is unknown, a sequence has another length, or there are only controls.
    """
    labels = [str(label).strip() for label in labels]
    controls = {plain_name(name) for name in control}
    fields = {"how": how, "dose": dose, "cell_line": cell_line}
    columns = [_column(name, value, len(labels)) for name, value in fields.items()]
    found = []
    for label, way, amount, line in zip(labels, *columns, strict=True):
        if not label or is_control(label, controls):
            found.append(Condition(label, (), dose=amount, cell_line=line))
            continue
        known = _how(way)
        between = separator if separator is not None else None if known == "drug" else "+"
        parts = [part.strip() for part in (label.split(between) if between else [label])]
        kept = tuple(part for part in parts if part and not is_control(part, controls))
        found.append(Condition(label, kept, known, amount, line))
    if not any(condition.parts for condition in found):
        some = ", ".join(sorted(set(labels))[:5]) or "none at all"
        msg = f"There is no perturbation but controls ({some})."
        raise InputError(msg)
    return found


def condition_table(conditions: Sequence[Condition]) -> pd.DataFrame:
    """One row per condition, in their order: ``perturbation``, ``parts``, ``how``, ``dose``, ``cell_line``, text.

    The index has the names of the rows, with `how` where it alone tells two of them apart.
    """
    import pandas as pd

    rows = [condition.row for condition in conditions]
    doubled = {row for row, n in Counter(rows).items() if n > 1}
    names = [f"{c.row} | {c.how}" if c.row in doubled and c.how else c.row for c in conditions]
    columns = {
        "perturbation": [c.label for c in conditions],
        "parts": [" + ".join(c.parts) for c in conditions],
        "how": [c.how for c in conditions],
        "dose": [c.dose for c in conditions],
        "cell_line": [c.cell_line for c in conditions],
    }
    return pd.DataFrame(columns, index=pd.Index(names, dtype=str))


def perturbation_entities(
    conditions: Sequence[Condition], *, facts: Facts, check: bool = True
) -> tuple[list[Entity], str]:
    """Entities of conditions, none of them a control, and what their facts come from.

    The order, the case and the doubling of parts make no difference: ``A+B`` and ``b+A`` are one entity.

    Parameters
    ----------
    conditions
        At least one.
    facts
        ``"auto"``: what the tables on this machine know of the genes or drugs; ``"none"``: nothing.
    check
        Whether to look for names that the tables do not know: texts that are given may be of anything.

    Raises
    ------
    InputError
        If drugs and genes are mixed: their prompts have different templates.
    """
    if len({condition.how == "drug" for condition in conditions}) > 1:
        msg = "Drugs and perturbations of genes have different templates: embed them in two calls, with two keys."
        raise InputError(msg)
    make = _drug_entities if conditions[0].how == "drug" else _gene_entities
    return make(conditions, _spellings(conditions), facts=facts, check=check)


def _how(value: str) -> How:
    found = value if value in HOW else _SYNONYMS.get(plain_name(value))
    if found is None:
        msg = f"`how` is 'knockout', 'knockdown', 'activation' or 'drug', got {value!r}."
        raise InputError(msg)
    return found


def _column(name: str, value: str | Sequence[str], n: int) -> list[str]:
    column = [value] * n if isinstance(value, str) else [str(one) for one in value]
    if len(column) != n:
        msg = f"`{name}` has {len(column)} values for {n} perturbations."
        raise InputError(msg)
    return column


def _spellings(conditions: Sequence[Condition]) -> dict[str, str]:
    """One spelling of all that differ by case alone: the one with the most capitals."""
    one: dict[str, str] = {}
    names = sorted({part for condition in conditions for part in condition.parts})
    return {name: one.setdefault(name.casefold(), name) for name in names}


def _parts(condition: Condition, names: dict[str, str]) -> list[str]:
    return sorted({names[part] for part in condition.parts}, key=lambda name: (name.casefold(), name))


def _dose_and_place(condition: Condition) -> str:
    dose = f" ({condition.dose})" if condition.dose else ""
    return dose + (f" in {condition.cell_line} cells" if condition.cell_line else "")


def _gene_entities(
    conditions: Sequence[Condition], names: dict[str, str], *, facts: Facts, check: bool
) -> tuple[list[Entity], str]:
    spelled = sorted(set(names.values()))
    remedy = " Other names of controls are given as `control=`, another sign between genes as `separator=`."
    symbols = dict(zip(spelled, symbols_of(spelled, remedy=remedy, check=check), strict=True))
    names = {name: symbols[one] for name, one in names.items()}
    known, used = known_genes(sorted(set(names.values())), facts=facts)
    entities = []
    for condition in conditions:
        parts = _parts(condition, names)
        what = f"{_PHRASES[condition.how]} {' and '.join(parts)}" + (" together" if len(parts) > 1 else "")
        lines = {part: described(known.of(part)) for part in parts} if known else {}
        lines = {part: text for part, text in lines.items() if text}
        entities.append(Entity("perturbation", what + _dose_and_place(condition), lines))
    return entities, used


def _drug_entities(
    conditions: Sequence[Condition], names: dict[str, str], *, facts: Facts, check: bool
) -> tuple[list[Entity], str]:
    known, used = drug_facts(sorted(set(names.values())), facts=facts, check=check)
    entities = []
    for condition in conditions:
        parts = _parts(condition, names)
        lines: dict[str, str] = {}
        for part in parts:
            for name, value in known[part].items():
                lines[name if len(parts) == 1 else f"{part}, {name}"] = value
        entities.append(Entity("drug", " combined with ".join(parts) + _dose_and_place(condition), lines))
    return entities, used
