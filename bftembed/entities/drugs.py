"""Drugs, with what the repurposing table knows of them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from bftembed import datasets
from bftembed._near import did_you_mean
from bftembed._warn import warn
from bftembed.data import get_manifest
from bftembed.entities.facts import checked_facts
from bftembed.profiles import Entity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bftembed.entities.facts import Facts

logger = logging.getLogger("bftembed")


def drug_facts(names: Sequence[str], *, facts: Facts, check: bool = True) -> tuple[dict[str, dict[str, str]], str]:
    """What the repurposing table knows of drugs.

    Parameters
    ----------
    names
        Names of drugs, in any case.
    facts
        ``"auto"``: mechanism, targets and use, where the table is on this machine; ``"none"``: nothing.
    check
        Whether to look for names that the table does not know: texts that are given may be of anything.

    Returns
    -------
    facts
        By name; empty for a drug that the table does not know.
    used
        ``"none"``, or coverage and the table with its version, which are logged.

    Warns
    -----
    BftembedWarning
        If there is a table, and it does not know some of the names.
    """
    known = datasets.drug_facts() if checked_facts(facts) != "none" else None
    if not known:
        return {name: {} for name in names}, "none"
    unknown = [name for name in names if name.casefold() not in known]
    if unknown and check:
        near = {name: did_you_mean(name, known, cutoff=0.8).strip() for name in unknown[:5]}
        shown = ", ".join(f"{name} ({hint})" if hint else name for name, hint in near.items())
        msg = (
            f"{len(unknown)} of {len(names)} names are no drugs of the Drug Repurposing Hub, and nothing but the name "
            f"describes them: {shown}{', ...' if len(unknown) > 5 else ''}."
        )
        warn(msg)
    used = f"{len(names) - len(unknown):,} of {len(names):,} drugs from {get_manifest('broad_repurposing')}"
    logger.info("facts: %s", used)
    return {name: known.get(name.casefold(), {}) for name in names}, used


def drug_entities(names: Sequence[str], *, facts: Facts, check: bool = True) -> tuple[list[Entity], str]:
    """Entities of drugs in the order of `names`, and what their facts come from; see `drug_facts`."""
    known, used = drug_facts(names, facts=facts, check=check)
    return [Entity("drug", name, known[name]) for name in names], used
