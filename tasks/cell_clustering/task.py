"""Cell clustering: whether the geometry of an embedding keeps the types of cells apart."""

from __future__ import annotations

from typing import Any

from bftembed.bench import CellData, CellLabels, Task, TaskInfo, load_cells, small_part

_TRAPS = (
    "Random gene vectors keep much of the geometry of expression: a text embedding has to beat them.",
    "k-means is told the number of types.",
)


def _task(name: str, cells: CellData, *, version: int = 3, batch: str | None = None, trap: str, **info: Any) -> Task:
    def load(fast: bool) -> CellLabels:
        adata = load_cells(cells)
        removed = adata.uns["removed"]
        return CellLabels(small_part(adata) if fast else adata, batch=batch, removed=removed, n_seeds=2 if fast else 10)

    fields = {
        "version": version,
        "kind": "cell",
        "main_score": "ari",
        "chance": 0.0,
        "best": 1.0,
        "known_traps": (*_TRAPS, trap),
    }
    return Task(TaskInfo(name=f"cell_clustering.{name}", **fields, **info), load)


TASKS = [
    _task(
        "symphony_pbmc",
        "symphony_pbmc",
        batch="batch",
        title="Blood cells of three 10x technologies, 9 types",
        data=("symphony_pbmc", "hgnc_genes"),
        licence="GPL",
        citation="Kang JB et al. Efficient and precise single-cell reference atlas mapping with Symphony. "
        "Nat Commun 12, 5890 (2021).",
        trap="Clusters may follow the technologies instead of the types.",
    ),
    _task(
        "pbmc68k",
        "pbmc68k_reduced",
        batch="batch",
        title="Blood cells as they come with scanpy, 10 types",
        data=("hgnc_genes",),
        licence="none stated; comes with scanpy (BSD-3-Clause)",
        citation="Zheng GXY et al. Massively parallel digital transcriptional profiling of single cells. "
        "Nat Commun 8, 14049 (2017).",
        trap="Types were given by correlation with sorted cells and overlap; 765 genes were kept.",
    ),
    _task(
        "bremsc_pbmc",
        "bremsc_pbmc",
        version=4,
        title="Blood cells by RNA alone, 6 types",
        data=("bremsc_pbmc", "hgnc_genes"),
        licence="GPL-3 (DESCRIPTION)",
        citation="Wang X et al. BREM-SC: a Bayesian random effects mixture model for joint clustering single cell "
        "multi-omics data. Nucleic Acids Res 48, 5814-5824 (2020).",
        trap="Two types of T cells are most of the cells, and RNA tells them apart badly.",
    ),
]
