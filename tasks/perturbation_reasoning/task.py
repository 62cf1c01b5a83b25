"""Perturbation reasoning: what a language model says of the effects of knock-downs (PerturbQA), and of drugs."""

from __future__ import annotations

from typing import Any

import pandas as pd

from bftembed import data
from bftembed.bench import (
    PERTURBQA_INFO,
    PerturbationReasoning,
    Task,
    TaskInfo,
    gene_documents,
    gene_summaries,
    perturbqa_published,
)
from bftembed.bench.language.drugs.problem import drug_reasoning
from bftembed.bench.language.perturbations.evidence import alike_by_words
from bftembed.bench.language.perturbations.questions import PRESETS
from bftembed.entities import canonical

_NAMES = ("hgnc_genes", "ncbi_gene_info", "annotables_grch38")
_LINES = {"k562": "K562", "rpe1": "RPE1"}
_EFFECTS = {
    "de": "Does the knock-down of one gene change another",
    "dir": "Does a gene that a knock-down changes go up or down",
}
_WHAT = {
    "bare": "names alone",
    "described": "texts of both genes",
    "evidence": "texts and the nearest training outcomes",
    "evidence_as_released": "texts and random training outcomes, as in the published code of VCWorld",
    "evidence_shuffled": "texts and the nearest training outcomes, answers permuted within the gene",
    "steps": "texts, the nearest training outcomes and reasoning in steps",
}


def _one_line(line: str, effect: str) -> tuple[pd.DataFrame, dict[str, int]]:
    """Pairs of one cell line, with the published split."""
    pairs = data.load("perturbqa", f"{line}_{effect}").assign(cell=_LINES[line])
    return _without_tested(pairs[pairs["split"] == "train"], pairs[pairs["split"] == "test"])


def _across(line: str, other: str, effect: str) -> tuple[pd.DataFrame, dict[str, int]]:
    """The test of one cell line, with all training pairs from another."""
    train = data.load("perturbqa", f"{line}_{effect}").assign(cell=_LINES[line])
    test = data.load("perturbqa", f"{other}_{effect}").assign(cell=_LINES[other])
    return _without_tested(train[train["split"] == "train"], test[test["split"] == "test"])


def _without_tested(train: pd.DataFrame, test: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, int]]:
    """Both parts, without training pairs of a perturbation that is tested, under whatever name."""
    names = pd.unique(pd.concat([train["pert"], test["pert"]]))
    symbols = {name: symbol or name for name, symbol in zip(names, canonical(names), strict=True)}
    unseen = ~train["pert"].map(symbols).isin(set(test["pert"].map(symbols)))
    lost = int((~unseen).sum())
    removed = {"training pairs of a perturbation that is tested": lost} if lost else {}
    return pd.concat([train[unseen], test]), removed


def _problem(pairs: pd.DataFrame, removed: dict[str, int], **options: Any) -> PerturbationReasoning:
    perts, genes = (sorted(set(pairs[column])) for column in ("pert", "gene"))
    return PerturbationReasoning(
        pairs,
        perturbation="crispri",
        pert_texts=gene_summaries(perts),
        gene_texts=gene_summaries(genes),
        alike=alike_by_words(gene_documents(perts)),
        genes_alike=alike_by_words(gene_documents(genes)),
        removed=removed,
        **options,
    )


def _task(name: str, title: str, effect: str, preset: str, **info: Any) -> Task:
    train, _, test = name.rpartition("_")[0].partition("_to_")

    def load(fast: bool) -> PerturbationReasoning:
        pairs, removed = _across(train, test, effect) if test else _one_line(train, effect)
        return _problem(pairs, removed, mode=effect, preset=preset, fast=fast)

    usual = preset == "described"
    fields = {
        "kind": "language",
        "mode": "generate" if preset == "steps" else "rank",
        "preset": preset,
        "is_default": usual and not test,  # the same test pairs again: run where they are asked for
        "title": f"{title}: {_WHAT[preset]}",
        **PERTURBQA_INFO,
        "known_traps": (
            "Pooled over genes, each gene's share of yes in train scores up to 0.978: that says nothing.",
            "A vote of the training outcomes by words of RefSeq and GO, without a language model, scores 0.59 to 0.76.",
            "A constant answer is right in up to 87 % of the test: read the accuracy balanced within genes.",
            "A language model may have read the screens, which are public since 2022.",
        ),
    }
    return Task(TaskInfo(name=f"perturbation_reasoning.{name}{'' if usual else f'.{preset}'}", **(fields | info)), load)


WITHIN = [
    _task(
        f"{line}_{effect}",
        f"{title} in {_LINES[line]}",
        effect,
        preset,
        published=perturbqa_published(f"{line}_{effect}"),
    )
    for line in _LINES
    for effect, title in _EFFECTS.items()
    for preset in PRESETS
]
ACROSS = [
    _task(
        f"{line}_to_{other}_{effect}",
        f"{title} in {_LINES[other]}, all else from {_LINES[line]}",
        effect,
        preset,
    )
    for line, other in (("k562", "rpe1"), ("rpe1", "k562"))
    for effect, title in _EFFECTS.items()
    for preset in PRESETS
]

_DRUG_FILES = (
    "h5ad",
    "held_out",
    "drug_descriptions",
    "gene_descriptions",
    "drug_similarity",
    "gene_similarity",
)
_DRUG_EFFECTS = {
    "de": "Does a drug change a gene",
    "dir": "Does a gene that a drug changes go up or down",
}


def _vcworld(effect: str, preset: str) -> Task:
    pairs = f"pairs_{effect}"

    def load(fast: bool) -> PerturbationReasoning:
        given = {name: data.given_file(name) for name in _DRUG_FILES if data.is_given(name)}
        table = data.given_file(pairs) if data.is_given(pairs) else None
        return drug_reasoning(effect, pairs=table, preset=preset, fast=fast, **given)

    name = f"perturbation_reasoning.vcworld_{effect}"
    info = TaskInfo(
        name=name if preset == "described" else f"{name}.{preset}",
        kind="language",
        mode="generate" if preset == "steps" else "rank",
        preset=f"drug_{preset}",  # it needs files of the user, so `--preset evidence` does not run it
        is_default=False,
        files=(pairs, *_DRUG_FILES),
        title=f"{_DRUG_EFFECTS[effect]}, on data of yours: {_WHAT[preset]}",
        data=(*_NAMES, "refseq_gene_summary", "go_annotations", "broad_repurposing"),
        main_score="auroc per gene",
        chance=0.5,
        best=1.0,
        licence="of your data; mechanisms and targets of the Drug Repurposing Hub: none stated",
        citation=(
            "The questions are those of VCWorld (GENTEL-lab/VCWorld), in other words. Drugs: Corsello SM et al. "
            "Nat Med 23, 405-408 (2017)."
        ),
        known_traps=(
            "Two results compare only where the files are the same: what is held out stands beside them.",
            "Where a cell line is held out, the same drug's outcomes in other lines train: read `retrieval only`.",
            "Of the unchanged genes of a drug at most 200 are asked: accuracy depends on that number.",
        ),
    )
    return Task(info, load)


VCWORLD = [_vcworld(effect, preset) for effect in _DRUG_EFFECTS for preset in PRESETS]
