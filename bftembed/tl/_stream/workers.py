"""Cells of a Dask array embedded on the workers of a cluster."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import numpy as np

from bftembed.expression import block_tasks, gathered, on_cluster
from bftembed.tl._stream.blocks import embed_block
from bftembed.tl._stream.output import EmbeddingFile, write_piece

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

    from bftembed._progress import Progress
    from bftembed.tl._stream.blocks import CellChecks, Weighing
    from bftembed.tl._stream.output import ArrayOutput
    from bftembed.tl._stream.weighted import WeightedSum

    Place = tuple[Path, Path]  # array of a .zarr, and what messages call the file


def embed_on_workers(
    client: Any,
    x: Any,
    kernel: WeightedSum,
    how: Weighing,
    *,
    batches: NDArray[np.intp] | None,
    checks: CellChecks,
    sink: ArrayOutput | EmbeddingFile,
    bar: Progress,
) -> None:
    """Embed the cells of a Dask array block by block, each where it lies.

    What comes here of a block are its flags, and its vectors unless the workers write them: into a .zarr, where all
    blocks have the length of its pieces, so that no two of them write the same one.
    """
    codes = np.zeros(x.shape[0], dtype=np.intp) if batches is None else batches
    place = None
    if isinstance(sink, EmbeddingFile) and sink.is_zarr and {*x.chunks[0][:-1]} <= {sink.piece_rows}:
        place = sink.array_path, sink.target
    with on_cluster(client, (kernel, how, place)) as shared:
        tasks = block_tasks(x, _embed, codes, shared=shared)
        with closing(gathered(client, tasks)) as results:
            start = 0
            for rows, (vectors, flags, levels) in zip(x.chunks[0], results, strict=True):
                if checks.add(start, flags, levels) and vectors is not None:
                    out = sink.block(start, start + rows)
                    out[:] = vectors
                    sink.commit(start, out)
                start += rows
                bar.update(rows)


def _embed(
    rows: csr_matrix, start: int, batches: NDArray[np.intp], shared: tuple[WeightedSum, Weighing, Place | None]
) -> tuple[NDArray[np.float32] | None, NDArray[np.uint8], NDArray[np.float64] | None]:
    kernel, how, place = shared
    vectors = np.full((rows.shape[0], kernel.dim), np.nan, dtype=np.float32)
    with kernel.alone() as mine:  # the cluster gives each processor a block
        flags, levels = embed_block(mine, rows, vectors, batches, how)
    if place is None:
        return vectors, flags, levels
    write_piece(vectors, start, *place)
    return None, flags, levels
