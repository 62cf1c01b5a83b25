"""Names of any kind to what a prompt needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from bftembed.entities.drugs import drug_entities
from bftembed.entities.facts import checked_facts
from bftembed.entities.genes import gene_entities, gene_set_entities, symbols_of
from bftembed.entities.perturbations import conditions_of, perturbation_entities
from bftembed.errors import InputError
from bftembed.profiles import Entity

if TYPE_CHECKING:
    from bftembed.entities.facts import Facts

NameKind = Literal["gene", "cell", "drug", "perturbation", "gene_set"]


def entities_of(
    names: Any, *, kind: NameKind, facts: Facts = "auto", needed: bool = False, check: bool = True
) -> tuple[list[Entity], str]:
    """Entities of names, and what their facts come from.

    Parameters
    ----------
    names
        Names, or a mapping from sets to genes.
    kind
        ``"gene"``, ``"cell"`` (types of cells), ``"drug"``, ``"gene_set"`` or ``"perturbation"``
        (knock-downs; controls among them are left out).
    facts
        ``"auto"`` or ``"none"``.
    needed
        Whether there is no point in going on without facts.
    check
        Whether to look for names that the tables do not know: texts that are given may be of anything.

    Raises
    ------
    InputError
        If `kind` or `facts` is unknown, facts are needed and there are none, or almost no name is a gene's.
    """
    checked_facts(facts)
    if kind == "gene":
        return gene_entities(symbols_of(list(names), check=check), facts=facts, needed=needed)
    if kind == "cell":
        if needed:
            msg = "The annotation engine needs facts, and there are none of types of cells: choose another engine."
            raise InputError(msg)
        return [Entity("cell_type", name) for name in names], "none"
    if kind == "drug":
        return drug_entities(list(names), facts=facts, check=check)
    if kind == "gene_set":
        return gene_set_entities(names, facts=facts, check=check)
    if kind == "perturbation":
        treated = [condition for condition in conditions_of(names) if condition.parts]
        return perturbation_entities(treated, facts=facts, check=check)
    msg = f"`kind` is 'gene', 'cell', 'drug', 'perturbation' or 'gene_set', got {kind!r}."
    raise InputError(msg)
