"""Drugs, with what the repurposing table knows of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bftembed import datasets
from bftembed.profiles import Entity

if TYPE_CHECKING:
    from collections.abc import Sequence


def drug_facts(facts: str) -> tuple[dict[str, dict[str, str]], str]:
    """What the repurposing table knows by drug name in lower case, and its name; nothing and ``"none"`` without it."""
    known = datasets.drug_facts() if facts == "auto" else None
    return (known, "broad_repurposing") if known else ({}, "none")


def drug_entities(names: Sequence[str], *, facts: str) -> tuple[list[Entity], str]:
    """Entities of drugs in the order of `names`, and what their facts come from.

    Parameters
    ----------
    names
        Names of drugs, of any case.
    facts
        ``"auto"``: mechanism, targets and use where the repurposing table is available; ``"none"``: the bare name.
    """
    known, used = drug_facts(facts)
    return [Entity("drug", name, known.get(name.casefold(), {})) for name in names], used
