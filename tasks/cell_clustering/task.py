"""Cell clustering: whether the geometry of an embedding keeps the types of cells apart."""

from __future__ import annotations

from typing import Any

from bftembed.bench import CELL_DATA_INFO, CellData, CellLabels, Task, TaskInfo, load_cells, small_part

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
        **CELL_DATA_INFO[cells],
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
        trap="Clusters may follow the technologies instead of the types.",
    ),
    _task(
        "pbmc68k",
        "pbmc68k_reduced",
        batch="batch",
        title="Blood cells as they come with scanpy, 10 types",
        trap="Types were given by correlation with sorted cells and overlap; 765 genes were kept.",
    ),
    _task(
        "bremsc_pbmc",
        "bremsc_pbmc",
        version=4,
        title="Blood cells by RNA alone, 6 types",
        trap="Two types of T cells are most of the cells, and RNA tells them apart badly.",
    ),
]
