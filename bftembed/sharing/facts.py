"""Which facts stood in the prompts of texts, and from what sources."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bftembed import data, datasets
from bftembed.genes.fact_sources import GO_DOMAINS
from bftembed.profiles import prompts_with_facts

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from bftembed.profiles import Recipe

#: Manifest of each fact of a gene; what is short enough to stand in a prompt by chance is left out.
_OF_GENES = {
    "full_name": "ncbi_gene_info",
    "summary": "refseq_gene_summary",
    **dict.fromkeys(GO_DOMAINS, "go_annotations"),
    "tissues": "hpa_rna_tissue",
}
_DRUGS = "broad_repurposing"
_NAMES = "hgnc_genes"


def fact_sources(frame: pd.DataFrame, kind: str, recipe: Recipe) -> tuple[list[str], list[str]]:
    """What can be said about the facts in prompts: each is looked for, word for word, in the tables on this machine.

    Parameters
    ----------
    frame
        As `bftembed.profiles.ProfileStore.frame` gives it: ``entity``, ``kind`` and ``prompt``, of one kind and recipe.
    kind, recipe
        That kind and recipe.

    Returns
    -------
    sentences
        In how many prompts facts stood, and those of which source.
    sources
        Title, version, licence and citation of each source whose facts were found.
    """
    told = prompts_with_facts(frame, recipe)
    if told == 0:
        return ["No facts stood in the prompts: the model was asked by the bare name."], []
    tissues = kind == "gene" and bool(frame["prompt"].str.contains("tissues: ", regex=False).any())
    found = _counted(frame, _known(frame["entity"].tolist(), kind, tissues=tissues))
    sentences = [] if told is None else [f"{told:,} of {len(frame):,} prompts held facts beside the name."]
    if not found:
        sentences.append(
            "From which sources, and of which version, cannot be told here: no fact of the tables on the machine that "
            "made this bundle stands in them word for word."
        )
        return sentences, []
    sources = [data.get_manifest(name) for name in dict.fromkeys((*((_NAMES,) if kind == "gene" else ()), *found))]
    sentences += [
        f"{n:,} held, word for word, what this source says: {data.get_manifest(name)}." for name, n in found.items()
    ]
    return sentences, [source.credit for source in sources]


def _known(names: list[str], kind: str, *, tissues: bool) -> dict[str, dict[str, str]]:
    """What the tables on this machine say of each name."""
    with_tissues = tissues and data.available(_OF_GENES["tissues"])
    if kind == "gene" and (genes := datasets.gene_facts(tissues=with_tissues)) is not None:
        of_genes = {name: genes.of(name) for name in names}
        return {
            name: {fact: text for fact, text in facts.items() if fact in _OF_GENES} for name, facts in of_genes.items()
        }
    if kind == "drug" and (drugs := datasets.drug_facts()) is not None:
        return {name: drugs.get(name.casefold(), {}) for name in names}
    return {}


def _counted(frame: pd.DataFrame, known: Mapping[str, Mapping[str, str]]) -> dict[str, int]:
    """In how many prompts a fact of each source stands."""
    counts: dict[str, int] = {}
    for name, prompt in zip(frame["entity"], frame["prompt"], strict=True):
        facts = known.get(name, {})
        stand = {_OF_GENES.get(fact, _DRUGS) for fact, text in facts.items() if text and text in prompt}
        for source in sorted(stand):
            counts[source] = counts.get(source, 0) + 1
    order = list(dict.fromkeys((*_OF_GENES.values(), _DRUGS)))
    return {source: counts[source] for source in order if source in counts}
