"""Names of any kind to what a prompt needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from bftembed import datasets
from bftembed.entities.drugs import drug_entities
from bftembed.entities.facts import checked_facts
from bftembed.entities.genes import gene_entities, gene_set_entities, symbols_of
from bftembed.entities.perturbations import conditions_of, perturbation_entities
from bftembed.errors import InputError
from bftembed.profiles import Entity

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bftembed.entities.facts import Facts

NameKind = Literal["gene", "cell", "drug", "perturbation", "gene_set"]


def entities_of(
    names: Any, *, kind: NameKind, facts: Facts = "auto", needed: bool = False, check: bool = True, **conditions: Any
) -> tuple[list[Entity], str]:
    """Entities of names, and what their facts come from.

    Parameters
    ----------
    names
        Names, or a mapping from sets to genes.
    kind
        ``"gene"``, ``"cell"`` (types of cells), ``"drug"``, ``"gene_set"`` or ``"perturbation"``
        (by default knock-downs; controls among them are left out).
    facts
        ``"auto"`` or ``"none"``.
    needed
        Whether there is no point in going on without facts.
    check
        Whether to look for names that the tables do not know: texts that are given may be of anything.
    conditions
        Of perturbations, as `conditions_of` takes them.

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
        treated = [condition for condition in conditions_of(names, **conditions) if condition.parts]
        return perturbation_entities(treated, facts=facts, check=check)
    msg = f"`kind` is 'gene', 'cell', 'drug', 'perturbation' or 'gene_set', got {kind!r}."
    raise InputError(msg)


def all_human_genes() -> list[str]:
    """Symbols of all protein-coding genes of `human` that HGNC approves.

    Raises
    ------
    InputError
        Without the gene tables.
    """
    genes = datasets.required(datasets.protein_coding_genes(), "genes")
    return genes.index[genes["approved"]].astype(str).tolist()


def listed_names(names: Any) -> list[str]:
    """Names as a list; of a mapping from sets to genes the names of the sets.

    Raises
    ------
    InputError
        If they are no list of texts.
    """
    if isinstance(names, str):
        msg = (
            f"`names` is a list of names, got {names!r}: write [{names!r}] for one name. 'human' stands for all genes; "
            "there is no gene table of another species (mouse genes go by their human orthologs, see pp.map_genes)."
        )
        raise InputError(msg)
    if hasattr(names, "obs"):
        msg = "`names` is a list of names, got an AnnData: see bft.tl for genes, cells and perturbations of an AnnData."
        raise InputError(msg)
    listed = list(names)
    if odd := [name for name in listed if not isinstance(name, str)]:
        msg = f"Names are strings, got {odd[0]!r} ({type(odd[0]).__name__})."
        raise InputError(msg)
    return listed


def check_conditions(kind: str, conditions: Mapping[str, Any]) -> None:
    """Refuse what only perturbations have with names of another kind.

    Raises
    ------
    InputError
        Says what was given.
    """
    if conditions and kind != "perturbation":
        hint = ' Drugs with a dose are kind="perturbation", how="drug".' if kind == "drug" else ""
        msg = f'{sorted(conditions)} can be given only with kind="perturbation", not with kind={kind!r}.{hint}'
        raise InputError(msg)


def check_distinct(names: Sequence[str]) -> None:
    """Refuse names that come twice.

    Raises
    ------
    InputError
        Says which.
    """
    if len(set(names)) != len(names):
        repeated = sorted({name for name in names if names.count(name) > 1})[:5]
        msg = f"Names are repeated: {', '.join(repeated)}. Give each once."
        raise InputError(msg)
