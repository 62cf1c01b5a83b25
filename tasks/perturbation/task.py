"""Perturbation: effects of knock-downs on genes, and what vectors of drugs tell of them."""

from __future__ import annotations

from typing import Any

import pandas as pd

from bftembed import data, datasets
from bftembed.bench import (
    LINEAR,
    PERTURBQA_INFO,
    DrugDistances,
    DrugLabels,
    ExpressionResponse,
    PerturbationEffects,
    Task,
    TaskInfo,
    clean_effects,
    drug_labels,
    few_genes,
    few_names,
    perturbqa_published,
    task,
)
from bftembed.entities import compounds
from bftembed.likeness import gene_words

_NAMES = ("hgnc_genes", "ncbi_gene_info", "annotables_grch38")
_FAST_PERTURBATIONS = 300
_FAST_GENES = 200


def _effects(name: str, title: str, **info: Any) -> Task:
    def load(fast: bool) -> PerturbationEffects:
        rows, removed = clean_effects(data.load("perturbqa", name))
        if fast:
            perts = few_names(rows["pert"].unique(), _FAST_PERTURBATIONS)
            rows = few_genes(rows[rows["pert"].isin(perts)], ["gene"], _FAST_GENES)
        return PerturbationEffects(rows, removed=removed, words=gene_words)

    fields = {
        "kind": "perturbation",
        "version": 2,
        **PERTURBQA_INFO,
        "known_traps": (
            "Pooled over genes, each gene's share of positives in train scores up to 0.975: that says nothing.",
            "Negatives are a sample: a perturbation has 64 to 107 rows of all genes.",
            "A perturbation's strength alone scores above chance: see `linear, perturbation alone`.",
            "The letters of the symbols tell gene families (RPL, PSM): by neighbours they score up to 0.60.",
            "The README of another commit than the one read puts the data under CC BY 4.0.",
        ),
        "published": perturbqa_published(name),
    }
    return Task(TaskInfo(name=f"perturbation.{name}", title=title, **(fields | info)), load)


EFFECTS = [
    _effects(f"{line.lower()}_{kind}", f"{title} in {line}")
    for line in ("K562", "RPE1")
    for kind, title in (
        ("de", "Does the knock-down of one gene change another"),
        ("dir", "Does a gene that a knock-down changes go up or down"),
    )
]

_LEAST_COMPOUNDS = 20
_LEAST_STRENGTH = 0.1
_KNOWN_TEXT = (
    "`text:refseq` states mechanism, targets and use of a drug (Broad repurposing table): often the pathway in other "
    "words, so its score says how well a text is read, not what a model knows."
)


def _catalogue() -> tuple[pd.DataFrame, int]:
    """Compounds with target and pathway, and how many rows have none; one row of the file is broken."""
    table = data.load("sciplex_drugs")
    pathway = table["Pathway"].str.split().str.join(" ")
    kept = table.assign(Pathway=pathway)[pathway.str.len().between(2, 40) & ~pathway.isin(["Others", "Vehicle"])]
    return kept, len(table) - len(kept)


@task(
    name="perturbation.drug_pathway",
    kind="perturbation",
    title="Pathway of the compounds of the sci-Plex 3 library",
    data=("sciplex_drugs",),
    main_score="balanced accuracy",
    chance=1 / 16,
    best=1.0,
    licence="none stated",
    citation="Srivatsan SR et al. Massively multiplex chemical transcriptomics. Science 367, 45-51 (2020).",
    known_traps=(
        _KNOWN_TEXT,
        "One pathway per compound, as the vendor's catalogue has it: inhibitors of one kinase family are in several.",
        "Names tell part of it (-tinib, -stat, AZD): see the baseline of the spelling.",
    ),
)
def drug_pathway(fast: bool) -> DrugLabels:
    """Pathways with at least 20 compounds; salts and synonyms of one compound are one."""
    table, without = _catalogue()
    labels, removed = drug_labels(table["Product.Name"].tolist(), table["Pathway"].tolist(), least=_LEAST_COMPOUNDS)
    if fast:
        labels = labels[labels.isin(sorted(set(labels))[:4])]
    removed = {"rows without a pathway": without, **removed}
    return DrugLabels(labels, removed=removed, probes=(LINEAR,), n_repeats=1 if fast else 5)


@task(
    name="perturbation.drug_distance",
    kind="perturbation",
    title="Distances between the effects of compounds of sci-Plex 3, beyond their strengths",
    data=("sciplex_edist", "sciplex_drugs"),
    main_score="spearman beyond strength",
    chance=0.0,
    best=1.0,
    ranked=False,
    licence="MIT",
    citation=(
        "Peidli S et al. scPerturb. Nat Methods 21, 531-540 (2024). Data: Srivatsan SR et al. Science 367, 45-51 "
        "(2020)."
    ),
    known_traps=(
        "Too noisy to rank embeddings: knowing the target of each compound scores 0.07.",
        "A distance tells mostly how strong the stronger compound is: see that baseline of the plain Spearman.",
        "Doses and the three cell lines are mixed in one distance.",
        _KNOWN_TEXT,
    ),
)
def drug_distance(fast: bool) -> DrugDistances:
    """Pairs of compounds that do something: those nearer to control than 0.1 have an effect without a direction."""
    table = data.load("sciplex_edist")
    targets = data.load("sciplex_drugs").set_index("Product.Name")["Target"]
    strengths = table["control"].drop("control")
    strong = strengths[strengths >= _LEAST_STRENGTH]
    kept = strong[~pd.Series(compounds(strong.index.tolist()), index=strong.index).duplicated()]
    removed = {
        f"compounds nearer to control than {_LEAST_STRENGTH}": len(strengths) - len(strong),
        "salts and synonyms of another compound": len(strong) - len(kept),
    }
    if fast:
        kept = kept.sample(n=60, random_state=0)
    names = {name: " ".join(name.split()) for name in kept.index}
    distances = table.loc[kept.index, kept.index].rename(index=names, columns=names)
    classes = targets[kept.index].rename(names)
    return DrugDistances(distances, kept.rename(names), classes, removed=removed)


@task(
    name="perturbation.norman",
    version=2,
    kind="perturbation",
    title="Change of expression under activation of unseen genes, alone and in pairs",
    data=("norman_perturbench", *_NAMES, "refseq_gene_summary", "go_annotations"),
    main_score="normalised pearson delta",
    chance=0.0,
    best=1.0,
    ranked=False,
    licence="BSD-3-Clause",
    citation=(
        "Norman TM et al. Science 365, 786-793 (2019). Subset of Wu Y et al. PerturBench. arXiv:2408.10609 (2024)."
    ),
    known_traps=(
        "Too few perturbations (33) to rank embeddings: the interval of a score is wider than what sets them apart.",
        "Where the genes of a double are seen in others, vectors need but be different: random ones score 0.80.",
        "All changes share the noise of the same 100 control cells, which the mean of the training changes predicts.",
        "Two halves of the cells of a perturbation correlate 0.65: a perfect score cannot be reached.",
    ),
)
def norman(fast: bool) -> ExpressionResponse:
    """The cells of Norman et al.; those of McFaline-Figueroa et al. are noise."""
    cells = datasets.joined_cells("norman")
    if fast:
        few = ["control", *sorted(cells.obs["perturbation"].unique())[:16]]
        cells = cells[cells.obs["perturbation"].isin(few)]
    return ExpressionResponse.from_anndata(
        cells, condition="perturbation", removed=cells.uns["removed"], words=gene_words
    )
