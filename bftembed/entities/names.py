"""Names of any kind to what a prompt needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bftembed.entities.drugs import drug_entities
from bftembed.entities.genes import canonical, gene_entities, gene_set_entities
from bftembed.entities.perturbations import conditions_of, perturbation_entities
from bftembed.errors import InputError

if TYPE_CHECKING:
    from bftembed.profiles import Entity


def entities_of(
    names: Any, *, kind: str, facts: str, needed: bool = False, check: bool = True
) -> tuple[list[Entity], str]:
    """Entities of names, and what their facts come from.

    Parameters
    ----------
    names
        Names, or a mapping from sets to genes.
    kind
        ``"gene"``, ``"drug"``, ``"gene_set"`` or ``"perturbation"`` (knock-downs).
    facts
        ``"auto"`` or ``"none"``.
    needed
        Whether there is no point in going on without facts.
    check
        Refuse names of genes of which next to none is known; texts that are given may be of anything.

    Raises
    ------
    GeneNameError
        With `check`.
    """
    if kind == "gene":
        found = canonical(names, check=check)
        symbols = [name if symbol is None else symbol for name, symbol in zip(names, found, strict=True)]
        return gene_entities(symbols, facts=facts, needed=needed)
    if kind == "drug":
        return drug_entities(list(names), facts=facts)
    if kind == "gene_set":
        return gene_set_entities(names)
    if kind == "perturbation":
        return perturbation_entities(conditions_of([(name,) for name in names]), "knockdown", facts)
    msg = f"`kind` is 'gene', 'drug', 'gene_set' or 'perturbation', got {kind!r}; cells need `tl.embed_cells`."
    raise InputError(msg)
