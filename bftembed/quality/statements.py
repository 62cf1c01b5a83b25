"""What single texts say of their genes, each statement held against the tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from bftembed.quality.families import family_evidence, stated_family, supports
from bftembed.quality.full_names import has_name, right_name, stated_names
from bftembed.quality.loci import agrees, known_sites, stated_sites

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bftembed.quality.known import Known
    from bftembed.quality.loci import Site

#: What is looked for.
STATEMENTS = ("chromosome", "band", "full_name", "family")
_BEGINNING = 60  # characters by which a fact is found in a prompt: of GO terms a prompt has the first eight


class _Truth(NamedTuple):
    facts: Mapping[str, str]
    names: tuple[str, ...]
    symbols: tuple[str, ...]


def statements(text: str, gene: str, known: Known, *, prompt: str | None = None) -> dict[str, Any]:
    """Chromosome, band, full name and family that a text states.

    Of several statements of one sort the first counts. What the tables do not tell of a gene is not looked for in its
    text.

    Parameters
    ----------
    text
        The text.
    gene
        Canonical symbol.
    known
        The tables.
    prompt
        What the text was written from, if that is known.

    Returns
    -------
    dict
        For each of `STATEMENTS`: under its name ``"right"``, ``"wrong"`` or ``"absent"``; under ``<name>_in_prompt``
        whether the truth stood in the prompt (of the family: RefSeq summary or molecular functions), None where the
        prompt is not known; ``said_name`` and ``said_family``,
        the words themselves.
    """
    truth = _Truth(known.of(gene), known.full_names.get(gene, ()), known.symbols.get(gene, (gene,)))
    sites = known_sites(truth.facts.get("locus", ""))
    chromosome, band = agrees(stated_sites(text), sites)
    name, said_name = _name(text, gene, truth)
    family = stated_family(text, gene) if {"summary", "molecular_function"} & truth.facts.keys() else None
    found = {"chromosome": chromosome, "band": band, "full_name": name, "family": "absent"}
    if family:
        evidence = family_evidence(truth.facts, truth.names, truth.symbols)
        found["family"] = "right" if supports(evidence, family) else "wrong"
    said = {"said_name": said_name, "said_family": family[1] if family else ""}
    return found | _in_prompt(prompt, truth, sites) | said


def _name(text: str, gene: str, truth: _Truth) -> tuple[str, str]:
    if not truth.names:
        return "absent", ""
    said = next(iter(stated_names(text, gene)), "")
    if has_name(text, truth.names) or (said and right_name(said, truth.names)):
        return "right", said
    return ("wrong", said) if said else ("absent", "")


def _in_prompt(prompt: str | None, truth: _Truth, sites: Sequence[Site]) -> dict[str, Any]:
    if prompt is None:
        return {f"{name}_in_prompt": None for name in STATEMENTS}
    chromosome, band = agrees(stated_sites(prompt), sites)
    told = [truth.facts[name] for name in ("summary", "molecular_function") if truth.facts.get(name)]
    return {
        "chromosome_in_prompt": chromosome == "right",
        "band_in_prompt": band == "right",
        "full_name_in_prompt": has_name(prompt, truth.names),
        "family_in_prompt": any(fact[:_BEGINNING] in prompt for fact in told),
    }
