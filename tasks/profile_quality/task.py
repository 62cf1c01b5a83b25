"""Profile quality: are the texts that a language model writes of genes accurate, by the gene tables."""

from __future__ import annotations

from typing import Literal

from bftembed import datasets
from bftembed.bench import ProfileQuality, Task, TaskInfo
from bftembed.bench.scoring.scores import digest_of
from bftembed.entities import gene_entities
from bftembed.quality import MAIN

_DATA = ("hgnc_genes", "ncbi_gene_info", "annotables_grch38", "refseq_gene_summary", "go_annotations")
_N, _FAST, _FAST_TOKENS = 200, 8, 64
_PRESETS: dict[str, tuple[Literal["none", "auto"], str]] = {
    "names": ("none", "Profiles of genes by their bare symbols: what a model knows"),
    "facts": ("auto", "Profiles of genes with facts in the prompt: what a model keeps of them"),
}


def _genes() -> tuple[list[str], dict[str, int]]:
    """Protein-coding genes that every check applies to, in the order of their hash; and how many others there are."""
    coding = datasets.required(datasets.protein_coding_genes(), "genes")
    facts = datasets.required(datasets.gene_facts(), "genes").frame.set_index("symbol").loc[coding.index]
    told = (coding["facts"] == "RefSeq and GO") & (facts[["locus", "full_name"]] != "").all(axis=1)
    chosen = coding.index[coding["approved"] & told]
    ordered = sorted(chosen.astype(str), key=lambda gene: digest_of([gene]))
    removed = {
        "genes without approved symbol, RefSeq summary, GO term, locus or full name": len(coding) - len(chosen),
        "genes that were not drawn": len(chosen) - _N,
    }
    return ordered[:_N], removed


def _task(preset: str) -> Task:
    facts, title = _PRESETS[preset]

    def load(fast: bool) -> ProfileQuality:
        genes, removed = _genes()
        entities, _ = gene_entities(genes[:_FAST] if fast else genes, facts=facts)
        return ProfileQuality(entities, removed=removed, **({"max_new_tokens": _FAST_TOKENS} if fast else {}))

    info = TaskInfo(
        name="profile_quality.genes" + ("" if preset == "names" else f".{preset}"),
        kind="language",
        mode="generate",
        preset=preset,
        is_default=preset == "names",
        title=title,
        data=_DATA,
        main_score=MAIN,
        best=1.0,
        licence="NCBI Gene CC0-1.0; HGNC table MIT; RefSeq public domain; annotables GPL-3; GO annotations none stated",
        citation=(
            "O'Leary NA et al. Reference sequence (RefSeq) database at NCBI: current status, taxonomic expansion, and "
            "functional annotation. Nucleic Acids Res 44, D733-D745 (2016)."
        ),
        known_traps=(
            "A symbol alone retrieves its annotation: the main score is of texts without symbols and full names.",
            "The floor is above 0.5 (0.55): any text resembles long annotations more, and these genes have such.",
            "With facts in the prompt a copy is perfect.",
            "RefSeq summaries are likely in the training data of any model.",
        ),
    )
    return Task(info, load)


TASKS = [_task(preset) for preset in _PRESETS]
