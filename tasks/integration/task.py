"""Integration: cells of several batches, and RNA with surface proteins of the same cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bftembed.bench import BatchIntegration, JointModalities, ModalityMatching, load_cells, small_part, task

if TYPE_CHECKING:
    from anndata import AnnData

    from bftembed.bench import CellData

_TRAPS = (
    "Half of a total can be had by mixing: compare with `PCA, cells shuffled`, which knows nothing of the cells.",
    "`batchwise:` takes what differs between batches on average out of them, their shares of cell types included.",
    "Totals of other versions of scib-metrics, or of scib, are no comparison: the set of metrics differs.",
)


def _cells(name: CellData, fast: bool) -> AnnData:
    adata = load_cells(name)
    return small_part(adata) if fast else adata


@task(
    name="integration.symphony_pbmc",
    version=3,
    kind="cell",
    title="Blood cells of three 10x technologies, nine cell types",
    data=("symphony_pbmc", "hgnc_genes"),
    main_score="total",
    best=1.0,
    licence="GPL",
    citation="Kang JB et al. Nat Commun 12, 5890 (2021). Metrics: Luecken MD et al. Nat Methods 19, 41-50 (2022).",
    known_traps=(*_TRAPS, "The isolated label, HSC, has three cells."),
)
def symphony_pbmc(fast: bool) -> BatchIntegration:
    """Technology is the batch."""
    return BatchIntegration(_cells("symphony_pbmc", fast))


@task(
    name="integration.pbmc68k",
    version=3,
    kind="cell",
    title="Blood cells of eight wells of one sample, ten cell types",
    data=("hgnc_genes",),
    main_score="total",
    best=1.0,
    licence="BSD-3-Clause (scanpy)",
    citation="Zheng GXY et al. Nat Commun 8, 14049 (2017). Metrics: Luecken MD et al. Nat Methods 19, 41-50 (2022).",
    known_traps=(
        *_TRAPS,
        "The wells hardly differ: little is there to integrate, and PCR comparison divides by next to nothing.",
        "Cell types were assigned by correlation with sorted cells, from the same expression.",
    ),
)
def pbmc68k(fast: bool) -> BatchIntegration:
    """The well, from the suffix of the barcode, is the batch."""
    return BatchIntegration(_cells("pbmc68k_reduced", fast))


@task(
    name="integration.pbmc_stim",
    version=4,
    kind="cell",
    title="Blood cells with and without interferon beta, batches only",
    data=("pbmc_stim", "hgnc_genes"),
    main_score="batch",
    best=1.0,
    licence="GPL-3.0",
    citation="Kang HM et al. Nat Biotechnol 36, 89-94 (2018). Metrics: Luecken MD et al. Nat Methods 19, 41-50 (2022).",
    ranked=False,
    known_traps=(
        "No cell types tell what should stay apart: `PCA, cells shuffled`, which knows nothing of the cells, is best.",
        "The conditions differ in biology, which perfect mixing would lose.",
        *_TRAPS[1:],
    ),
)
def pbmc_stim(fast: bool) -> BatchIntegration:
    """Condition is the batch."""
    return BatchIntegration(_cells("pbmc_stim", fast))


_BREMSC = {
    "kind": "cell",
    "data": ("bremsc_pbmc", "hgnc_genes"),
    "licence": "GPL-3.0",
    "citation": "Wang X et al. BREM-SC. Nucleic Acids Res 48, 5814-5824 (2020).",
}
_BREMSC_TRAP = "Ten proteins alone tell the labels nearly all: a good score needs little of the RNA."


@task(
    name="integration.bremsc_joint",
    version=4,
    title="Cell types in a joint embedding of RNA and ten surface proteins",
    main_score="bio",
    best=1.0,
    known_traps=(
        _BREMSC_TRAP,
        "The score of the proteins alone stands beside, and a joint embedding may well be below.",
    ),
    **_BREMSC,
)
def bremsc_joint(fast: bool) -> JointModalities:
    """Cells of known type."""
    return JointModalities(_cells("bremsc_pbmc", fast))


@task(
    name="integration.bremsc_matching",
    version=4,
    title="RNA and surface proteins of the same cells find each other by the vectors of genes",
    main_score="1 - FOSCTTM",
    chance=0.5,
    best=1.0,
    known_traps=(
        _BREMSC_TRAP,
        "Random vectors are above chance: a protein and its own gene have one vector, whatever it says.",
    ),
    **_BREMSC,
)
def bremsc_matching(fast: bool) -> ModalityMatching:
    """All cells; labels are carried over among those of known type."""
    return ModalityMatching(_cells("bremsc_pbmc", fast))
