"""Drugs, with what the repurposing table knows of them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from bftembed import datasets
from bftembed.data import get_manifest
from bftembed.profiles import Entity

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

logger = logging.getLogger("bftembed")


def drug_facts(facts: str, drugs: Iterable[str]) -> tuple[dict[str, dict[str, str]], str]:
    """What the repurposing table knows by drug name in lower case, and in words how many of `drugs` from where.

    Nothing and ``"none"`` where facts are not asked for or the table is not on this machine.
    """
    known = datasets.drug_facts() if facts == "auto" else None
    if known is None:
        return {}, "none"
    names = {drug.casefold() for drug in drugs}
    used = f"{len(names & set(known)):,} of {len(names):,} drugs from {get_manifest('broad_repurposing')}"
    logger.info("facts: %s", used)
    return known, used


def drug_entities(names: Sequence[str], *, facts: str) -> tuple[list[Entity], str]:
    """Entities of drugs in the order of `names`, and what their facts come from.

    Parameters
    ----------
    names
        Names of drugs, of any case.
    facts
        ``"auto"``: mechanism, targets and use where the repurposing table is available; ``"none"``: the bare name.
    """
    known, used = drug_facts(facts, names)
    return [Entity("drug", name, known.get(name.casefold(), {})) for name in names], used
