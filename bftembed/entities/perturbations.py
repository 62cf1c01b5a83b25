"""Perturbations: which condition is which, and what its prompt says."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bftembed import datasets
from bftembed.entities.drugs import drug_facts
from bftembed.entities.genes import canonical, facts_used
from bftembed.errors import InputError
from bftembed.profiles import Entity

if TYPE_CHECKING:
    from collections.abc import Sequence

#: What a prompt calls each kind of perturbation.
_PHRASES = {
    "knockout": "knock-out of",
    "knockdown": "knock-down of",
    "activation": "transcriptional activation (overexpression) of",
}
HOW = (*_PHRASES, "drug")
CONTROLS = ("control", "ctrl", "non-targeting", "NT", "DMSO", "DMSO_TF", "vehicle", "untreated")


@dataclass(frozen=True, slots=True)
class Condition:
    """A perturbation, where it happened and how strong."""

    label: str
    parts: tuple[str, ...]
    dose: str = ""
    cell_line: str = ""

    @property
    def row(self) -> str:
        """Name of the row."""
        return " | ".join(part for part in (self.label, self.dose, self.cell_line) if part)


def conditions_of(
    rows: Sequence[tuple[str, ...]],
    *,
    fields: Sequence[str] = (),
    control: Sequence[str] = CONTROLS,
    separator: str = "+",
) -> list[Condition]:
    """Different conditions of (perturbation, *fields) rows, sorted, controls left out."""
    skip = {name.casefold() for name in control}
    conditions = []
    for row in dict.fromkeys(rows):
        parts = tuple(p.strip() for p in row[0].split(separator) if p.strip() and p.strip().casefold() not in skip)
        if parts:
            conditions.append(Condition(row[0], parts, **dict(zip(fields, row[1:], strict=False))))
    if not conditions:
        found = ", ".join(sorted({row[0] for row in rows})[:5]) or "none at all"
        msg = f"There is no perturbation but controls ({found})."
        raise InputError(msg)
    return sorted(conditions, key=lambda condition: condition.row)


def perturbation_entities(conditions: Sequence[Condition], how: str, facts: str) -> tuple[list[Entity], str]:
    """Entities of conditions, and what their facts come from."""
    return _drug_entities(conditions, facts) if how == "drug" else _gene_entities(conditions, how, facts)


def _gene_entities(conditions: Sequence[Condition], how: str, facts: str) -> tuple[list[Entity], str]:
    genes = sorted({part for condition in conditions for part in condition.parts})
    symbols = {gene: symbol or gene for gene, symbol in zip(genes, canonical(genes), strict=True)}
    known = datasets.gene_facts() if facts == "auto" else None
    entities = []
    for condition in conditions:
        parts = [symbols[part] for part in condition.parts]
        what = f"{_PHRASES[how]} {' and '.join(parts)}" + (" together" if len(parts) > 1 else "")
        where = f" in {condition.cell_line} cells" if condition.cell_line else ""
        dose = f" ({condition.dose})" if condition.dose else ""
        lines = {}
        for part in parts if known else ():
            of_gene = known.of(part) if known else {}
            if text := " ".join(
                re.sub(r"(?<![.!?])$", ".", of_gene[f]) for f in ("full_name", "summary") if f in of_gene
            ):
                lines[part] = text
        entities.append(Entity("perturbation", what + dose + where, lines))
    return entities, facts_used(known, sorted(set(symbols.values()))) if known else "none"


def _drug_entities(conditions: Sequence[Condition], facts: str) -> tuple[list[Entity], str]:
    known, used = drug_facts(facts, (part for condition in conditions for part in condition.parts))
    entities = []
    for condition in conditions:
        lines: dict[str, str] = {}
        for part in condition.parts:
            for name, value in known.get(part.casefold(), {}).items():
                lines[name if len(condition.parts) == 1 else f"{part}, {name}"] = value
        if condition.dose:
            lines["dose"] = condition.dose
        if condition.cell_line:
            lines["cell line"] = condition.cell_line
        entities.append(Entity("drug", " combined with ".join(condition.parts), lines))
    return entities, used
