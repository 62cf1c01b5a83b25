"""Gene property: what a vector tells of a gene, by repeated cross-validation."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pandas as pd

from bftembed import data
from bftembed.bench import (
    LINEAR,
    GeneLabels,
    GeneTerms,
    Published,
    Task,
    TaskInfo,
    canonical,
    few_names,
    gene_labels,
    task,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_GENEFORMER = (
    "Theodoris CV et al. Transfer learning enables predictions in network biology. Nature 618, 616-624 (2023)."
)
_NAMES = ("hgnc_genes", "ncbi_gene_info", "annotables_grch38")
_FAST = 150
_OLFACTORY = re.compile(r"(OR\d+[A-Z]+\d+|VN1R\d+)[A-Z]*\d*P?")


def _fast(labels: pd.Series[Any], fast: bool) -> pd.Series[Any]:
    """A small part that keeps the shares of the classes, as far as there are classes."""
    if not fast or len(labels) <= _FAST:
        return labels
    if labels.dtype == float:
        return labels[few_names(labels.index, _FAST)]
    share = _FAST / len(labels)
    return labels.groupby(labels, group_keys=False).apply(
        lambda of_class: of_class[few_names(of_class.index, max(20, round(share * len(of_class))))]
    )


def _problem(
    names: Sequence[Any],
    labels: Sequence[Any],
    fast: bool,
    *,
    large: bool = False,
    left_out: Mapping[str, int] | None = None,
) -> GeneLabels:
    """Large tasks get the linear probe alone: a forest takes up to a hundred seconds to learn from 14,000 genes."""
    kept, removed = gene_labels(names, labels)
    probes = {"probes": (LINEAR,)} if large else {}
    removed |= left_out or {}
    return GeneLabels(_fast(kept, fast), removed=removed, n_repeats=1 if fast else 5, **probes)


def _geneformer(name: str, file: str, positive: str, title: str, **info: Any) -> Task:
    def load(fast: bool) -> GeneLabels:
        table = data.load("geneformer_labels", file)
        names = [re.findall(r"ENSG\d{11}", ids) for ids in table["gene_ids"]]
        rows = [(gene, label == positive) for label, genes in zip(table["label"], names, strict=True) for gene in genes]
        if not any(is_positive for _, is_positive in rows):
            msg = f"{file} has no class {positive!r}, but {', '.join(table['label'])}"
            raise ValueError(msg)
        return _problem(*zip(*rows, strict=True), fast)

    fields = {
        "kind": "gene",
        "data": ("geneformer_labels", *_NAMES),
        "main_score": "auroc",
        "chance": 0.5,
        "best": 1.0,
        "licence": "none stated",
        "citation": _GENEFORMER,
    }
    return Task(TaskInfo(name=f"gene_property.{name}", title=title, **(fields | info)), load)


def _genept(linear: float, linear_sd: float, forest: float, forest_sd: float) -> tuple[Published, ...]:
    source = "GenePT, stored output of its notebook: unshuffled 5-fold, genes without a vector dropped"
    return (
        Published(model="GenePT ada-002, logistic", metric="auroc", value=linear, spread=linear_sd, source=source),
        Published(model="GenePT ada-002, forest", metric="auroc", value=forest, spread=forest_sd, source=source),
    )


GENEFORMER = [
    _geneformer(
        "dosage",
        "dosage_sensitivity",
        "Dosage-sensitive TFs",
        "Dosage-sensitive against insensitive transcription factors",
        published=_genept(0.889, 0.030, 0.899, 0.031),
        known_traps=("The labels rest on gene constraint (pLI), so this is no test beside `constraint`.",),
    ),
    _geneformer(
        "bivalent_no_methyl",
        "bivalent_no_methyl",
        "bivalent",
        "Bivalent against unmethylated promoters",
        published=_genept(0.912, 0.062, 0.922, 0.059),
        known_traps=("38 genes in the smaller class: the interval is wide.",),
    ),
    _geneformer(
        "bivalent_lys4",
        "bivalent_lys4",
        "bivalent",
        "Bivalent against Lys4-only promoters",
        published=_genept(0.941, 0.034, 0.952, 0.036),
    ),
    _geneformer(
        "tf_range",
        "tf_range",
        "long_range",
        "Long against short range transcription factors",
        ranked=False,
        published=_genept(0.726, 0.261, 0.635, 0.070),
        known_traps=("46 genes in the smaller class and a weak signal: too noisy to rank embeddings.",),
    ),
]


@task(
    name="gene_property.tf",
    kind="gene",
    title="Transcription factors against refused candidates",
    data=("lambert_tfs", *_NAMES),
    main_score="auroc",
    chance=0.5,
    best=1.0,
    licence="none stated",
    citation="Lambert SA et al. The human transcription factors. Cell 172, 650-665 (2018).",
    known_traps=(
        "The negatives were once predicted to be transcription factors: it says nothing of genes in general.",
        "Texts state the label, from the literature that the curators read: 62 % of RefSeq summaries of the positives.",
    ),
)
def tf(fast: bool) -> GeneLabels:
    """`Is TF?` of Lambert et al."""
    table = data.load("lambert_tfs")
    return _problem(table["HGNC symbol"].str.strip(), table["Is TF?"] == "Yes", fast)


@task(
    name="gene_property.essential",
    kind="gene",
    title="Core essential against non-essential genes",
    data=("bagel_essential", *_NAMES),
    main_score="auroc",
    chance=0.5,
    best=1.0,
    licence="MIT",
    citation="Hart T et al. Evaluation and design of genome-wide CRISPR/SpCas9 knockout screens. G3 7 (2017).",
    ranked=False,
    known_traps=("Nearly solved by the words of RefSeq summaries, so it tells embeddings apart hardly at all.",),
)
def essential(fast: bool) -> GeneLabels:
    """CEGv2 against NEGv1."""
    lists = data.load("bagel_essential")
    genes = pd.concat([lists["essential"].assign(y=True), lists["nonessential"].assign(y=False)])
    return _problem(genes["GENE"], genes["y"], fast)


#: Biotypes of two vocabularies, as classes that both have.
_TYPES = {
    "protein_coding": "protein coding",
    "lncRNA": "lncRNA",
    "lincRNA": "lncRNA",
    "antisense": "lncRNA",
    "sense_intronic": "lncRNA",
    "miRNA": "miRNA",
    "snoRNA": "snoRNA",
    "snRNA": "snRNA",
    "rRNA": "rRNA",
}
_PER_CLASS = 500


@task(
    name="gene_property.gene_type",
    kind="gene",
    title="Type of gene: protein coding, lncRNA, miRNA, snRNA, snoRNA, rRNA, pseudogene",
    data=("geneformer_gene_info", *_NAMES),
    main_score="balanced accuracy",
    best=1.0,
    licence="none stated",
    citation=_GENEFORMER,
    known_traps=(
        "At most 500 genes of each class, so the accuracy is none over all genes.",
        "The letters of a symbol tell most of it (MIR, SNORD, LINC): see that baseline.",
    ),
    published=(
        Published(
            model="GenePT ada-002, logistic",
            metric="accuracy",
            value=0.956,
            source="GenePT, stored output of its notebook: 70/30 split of 32,409 genes, all classes as they come",
        ),
    ),
)
def gene_type(fast: bool) -> GeneLabels:
    """Biotype of Ensembl, a few hundred genes of each."""
    table = data.load("geneformer_gene_info").dropna(subset=["gene_name", "gene_type"])
    kinds = table["gene_type"].map(lambda kind: "pseudogene" if "pseudogene" in kind else _TYPES.get(kind))
    labels, removed = gene_labels(table["gene_name"], kinds)
    few = labels.groupby(labels, group_keys=False).apply(
        lambda of_class: of_class.sample(n=min(len(of_class), _PER_CLASS), random_state=0)
    )
    return GeneLabels(_fast(few, fast), removed=removed, n_repeats=1 if fast else 5)


@task(
    name="gene_property.location",
    kind="gene",
    title="Subcellular location: cytoplasm, nucleus, cell membrane",
    data=("subcellular_location", *_NAMES),
    main_score="balanced accuracy",
    chance=1 / 3,
    best=1.0,
    licence="none stated",
    citation="Jararweh A et al. LitGene. bioRxiv 2024.08.07.606674 (2024).",
    ranked=False,
    known_traps=(
        "One place per gene in the data, although many proteins have several.",
        "Nearly solved by words, and families tell it: olfactory receptors, zinc fingers.",
        "Texts with GO terms hold the label (a nucleus in 91 % of nuclear proteins), RefSeq summaries often do.",
    ),
)
def location(fast: bool) -> GeneLabels:
    """The one location that the data give for each gene."""
    table = data.load("subcellular_location")
    return _problem(table["GeneSymbol"], table["Subcellular_location"], fast, large=True)


@task(
    name="gene_property.constraint",
    kind="gene",
    title="Constraint: loss-of-function observed over expected (LOEUF)",
    data=("gnomad_constraint", *_NAMES),
    main_score="spearman",
    chance=0.0,
    best=1.0,
    licence="MPL-2.0",
    citation="Karczewski KJ et al. The mutational constraint spectrum. Nature 581, 434-443 (2020).",
    known_traps=("Rows without an estimate hold 0 in the file and are left out.",),
)
def constraint(fast: bool) -> GeneLabels:
    """Rank genes by LOEUF; of two transcripts the mean."""
    table = data.load("gnomad_constraint")
    known = table[~table["gene_issues"].str.contains("no_exp_lof")]
    genes = known.assign(symbol=canonical(known["gene"])).dropna(subset=["symbol"])
    values = genes.groupby("symbol")["oe_lof_upper"].mean()
    removed = {
        "rows without an estimate": len(table) - len(known),
        "rows without a canonical name": len(known) - len(genes),
        "rows that share a gene": len(genes) - len(values),
    }
    return GeneLabels(_fast(values, fast), removed=removed, n_repeats=1 if fast else 5, probes=(LINEAR,))


def _against_universe(name: str, file: str, title: str, excluded: str, **info: Any) -> Task:
    def load(fast: bool) -> GeneLabels:
        positive = set(data.load("gene_lists", file))
        names = data.load("ncbi_gene_info").set_index("Symbol")["description"]
        universe = [symbol for symbol in data.load("gene_lists", "universe") if not symbol.endswith("@")]
        kept = [symbol for symbol in universe if symbol in positive or not _unsure(symbol, file, names)]
        left_out = {excluded: len(universe) - len(kept)}
        return _problem(kept, [symbol in positive for symbol in kept], fast, large=True, left_out=left_out)

    fields = {
        "kind": "gene",
        "data": ("gene_lists", *_NAMES),
        "main_score": "auroc",
        "chance": 0.5,
        "best": 1.0,
        "licence": "none stated",
        "citation": "The repository macarthur-lab/gene_lists.",
    }
    return Task(TaskInfo(name=f"gene_property.{name}", title=title, **(fields | info)), load)


def _unsure(symbol: str, file: str, names: pd.Series[Any]) -> bool:
    """Genes that are not in a list although they are of the kind."""
    if file == "gpcr_guide":
        return _OLFACTORY.fullmatch(symbol) is not None
    found = names.get(symbol, "")
    return "kinase" in (found if isinstance(found, str) else " ".join(map(str, found)))


_LEAST_POSITIVE = 10


@task(
    name="gene_property.go_terms",
    kind="gene",
    title="GO terms: genes of a term against genes of related terms, mean over terms",
    data=("ylab_go_holdout", *_NAMES),
    main_score="auroc",
    chance=0.5,
    best=1.0,
    licence="BSD-3-Clause",
    citation="Zhong J et al. Benchmarking gene embeddings from sequence, expression, network, and text models for "
    "functional prediction tasks. bioRxiv (2025).",
    known_traps=(
        "Held-out genes alone, cross-validated: less to learn from than in the published figures.",
        "Texts with GO terms hold the label itself; RefSeq summaries often state what the term says.",
    ),
    published=tuple(
        Published(
            model=model,
            metric="auroc",
            value=value,
            source="ylab_results, go_auroc: mean over 56 terms, learned from training folds that are not at hand",
        )
        for model, value in (("GenePT model 3", 0.926), ("GenePT ada-002", 0.895), ("scGPT human", 0.787))
    ),
)
def go_terms(fast: bool) -> GeneTerms:
    """The held-out genes of each term that has at least ten of them."""
    folds = data.load("ylab_go_holdout")
    info = data.load("ncbi_gene_info")
    symbols = dict(zip(info["GeneID"].astype(str), canonical(info["Symbol"]), strict=True))
    terms: dict[str, pd.Series[Any]] = {}
    removed = {"terms with fewer than ten genes": 0, "labels of genes without a canonical name": 0}
    for term, frame in sorted(folds.items()):
        names = frame["gene"].astype(str).map(symbols)
        labels = pd.Series(frame["result"].to_numpy(), index=names)[names.notna().to_numpy()]
        labels = labels[~labels.index.duplicated(keep=False)]
        if labels.sum() < _LEAST_POSITIVE:
            removed["terms with fewer than ten genes"] += 1
            continue
        removed["labels of genes without a canonical name"] += len(frame) - len(labels)
        terms[term] = labels
    if fast:
        terms = dict(list(terms.items())[:2])
    return GeneTerms(terms, removed=removed, n_repeats=1 if fast else 5)


UNIVERSE = [
    _against_universe(
        "kinases",
        "kinases",
        "Protein kinases against all other genes",
        "genes with kinase in their name that the list lacks",
        known_traps=(
            "The list is incomplete; genes with `kinase` in their full name are no negatives.",
            "Texts hold the label: `kinase` is in 84 % of full names, 95 % of RefSeq summaries, 69 % of GO terms.",
        ),
    ),
    _against_universe(
        "gpcrs",
        "gpcr_guide",
        "G protein-coupled receptors against all other genes",
        "olfactory and vomeronasal receptors that the list lacks",
        known_traps=(
            "Olfactory receptors are receptors too, and no negatives.",
            "Texts state the label: `receptor` is in 93 % of full names, 98 % of RefSeq summaries, 71 % of GO terms.",
        ),
    ),
]
