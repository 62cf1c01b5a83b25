"""Gene interaction: pairs of genes, scored on genes that were never seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from bftembed import data
from bftembed.bench import PairLabels, Published, clean_pairs, degree_matched, few_genes, task, without_leaks

if TYPE_CHECKING:
    from collections.abc import Mapping

_GENES = ("gene_a", "gene_b")
_TRAPS = (
    "Split at random, the share of positives of each gene alone scores near 1: only gene-disjoint splits say anything.",
)


@task(
    name="gene_interaction.gene2vec",
    version=1,
    kind="pair",
    title="Pairs of genes that share a pathway or GO term, official gene-disjoint split",
    data=("gene2vec_ggi", "hgnc_genes"),
    main_score="auroc",
    chance=0.5,
    best=1.0,
    licence="MIT",
    citation="Du J et al. Gene2vec. BMC Genomics 20 (Suppl 1), 82 (2019).",
    known_traps=(*_TRAPS, "Positives share a GO term or a pathway: texts with GO terms share their source."),
    published=(
        Published(model="GenePT ada-002", metric="auroc", value=0.83, source="GenePT, stored figure of its notebook"),
        Published(model="gene2vec", metric="auroc", value=0.67, source="GenePT, stored figure of its notebook"),
        Published(model="random vectors", metric="auroc", value=0.49, source="GenePT, stored figure of its notebook"),
    ),
)
def gene2vec(fast: bool) -> PairLabels:
    """The official split: learn from train, choose on valid, score test."""
    parts = []
    for part in ("train", "valid", "test"):
        pairs = data.load("gene2vec_ggi", f"{part}_pairs")
        labels = data.load("gene2vec_ggi", f"{part}_labels")["label"]
        pairs = pairs.assign(label=labels, split=part)
        parts.append(few_genes(pairs, _GENES, 80) if fast else pairs)
    pairs, removed = clean_pairs(pd.concat(parts, ignore_index=True))
    pairs, leaks = without_leaks(pairs)
    return PairLabels(pairs, removed=removed | leaks)


def _matched(positives: pd.DataFrame, fast: bool, *, left_out: Mapping[str, int] | None = None) -> PairLabels:
    """Positives and as many negatives of the same degrees, on gene-disjoint folds; `left_out` is what was before."""
    unique = positives.drop_duplicates().reset_index(drop=True)
    pairs, removed = clean_pairs(degree_matched(unique))
    if fast:
        pairs = few_genes(pairs, _GENES, 120)
    return PairLabels(pairs, removed={**removed, **(left_out or {})}, n_repeats=1 if fast else 5)


@task(
    name="gene_interaction.trrust",
    kind="pair",
    title="Transcription factor and target of TRRUST against pairs of equal degrees",
    data=("trrust", "hgnc_genes"),
    main_score="auroc",
    chance=0.5,
    best=1.0,
    licence="none stated",
    citation="Han H et al. TRRUST v2. Nucleic Acids Res 46, D380-D386 (2018).",
    known_traps=(*_TRAPS, "Positives come from the literature, negatives are pairs that nobody reported."),
)
def trrust(fast: bool) -> PairLabels:
    """Regulation of a target by a factor, in either direction and mode."""
    table = data.load("trrust").rename(columns={"Gene1": "gene_a", "Gene2": "gene_b"})
    return _matched(table[["gene_a", "gene_b"]], fast)


@task(
    name="gene_interaction.ligand_receptor",
    kind="pair",
    title="Ligand and receptor of LIANA's consensus against pairs of equal degrees",
    data=("liana", "hgnc_genes"),
    main_score="auroc",
    chance=0.5,
    best=1.0,
    licence="GPL-3.0",
    citation="Dimitrov D et al. Nat Commun 13, 3224 (2022).",
    known_traps=(*_TRAPS, "Negatives keep ligand and receptor apart: else a score tells the kinds, not the pairing."),
)
def ligand_receptor(fast: bool) -> PairLabels:
    """Pairs of single genes; complexes are left out."""
    table = data.load("liana")
    names = {"source_genesymbol": "gene_a", "target_genesymbol": "gene_b"}
    pairs = table[table["resource"] == "consensus"].rename(columns=names)[["gene_a", "gene_b"]]
    single = ~(pairs["gene_a"].str.contains("_") | pairs["gene_b"].str.contains("_"))
    return _matched(pairs[single], fast, left_out={"pairs with a complex": int((~single).sum())})


@task(
    name="gene_interaction.genetic_interaction",
    kind="pair",
    title="Negative genetic interactions, published gene-disjoint folds",
    data=("ylab_ng", "ncbi_gene_info", "hgnc_genes"),
    main_score="auroc",
    chance=0.5,
    best=1.0,
    licence="BSD-3-Clause",
    citation="Zhong J et al. Benchmarking gene embeddings. bioRxiv 2025.01.29.635607 (2025).",
    known_traps=(
        *_TRAPS,
        "EGFR, KRAS and RIT1 hold 40 % of the positives: recognising hubs scores by itself.",
        "Negatives are pairs without a record, not pairs that were tested.",
    ),
    published=tuple(
        Published(model=model, metric="auroc", value=value, source="results table of the gene embedding benchmarks")
        for model, value in (("GenePT model-3-large", 0.709), ("GenePT ada-002", 0.606), ("ESM2", 0.740))
    ),
)
def genetic_interaction(fast: bool) -> PairLabels:
    """Three outer folds as published; the feature is chosen on the first inner fold."""
    content = data.load("ylab_ng")
    info = data.load("ncbi_gene_info").astype({"GeneID": str}).set_index("GeneID")["Symbol"]
    frame = pd.DataFrame(content["pairs"], columns=["gene_a", "gene_b"]).apply(lambda ids: ids.map(info))
    frame["label"] = content["labels"]
    for fold, split in content["cv_splits"].items():
        part = np.full(len(frame), "", dtype=object)
        part[split["train_idx"]], part[split["inner_splits"][0][1]], part[split["test_idx"]] = "train", "valid", "test"
        frame[f"split_{fold}"] = part
    in_one = (frame.filter(like="split_") != "").any(axis=1)
    pairs, removed = clean_pairs(frame[in_one].reset_index(drop=True))
    removed["pairs in no fold"] = int((~in_one).sum())
    if fast:
        pairs = few_genes(pairs, _GENES, 500)
    return PairLabels(pairs, removed=removed)
