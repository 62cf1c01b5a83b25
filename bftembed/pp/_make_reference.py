"""One pass over the cells that finds out what is usual for each gene."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bftembed._near import check_number
from bftembed._progress import progress as shown
from bftembed.errors import InputError
from bftembed.expression import (
    ValueCheck,
    block_tasks,
    cell_batches,
    chosen_matrix,
    cluster_of,
    default_chunk_rows,
    gathered,
    gene_names,
    opened,
    prefetched,
    row_chunks,
)
from bftembed.expression.kernels import inspected, n_threads
from bftembed.expression.values import are_counts, check_logarithms, readable
from bftembed.pp._moments import GeneMoments, Moments, add_cells, dispersions
from bftembed.pp._reference import Reference

if TYPE_CHECKING:
    import os

    from anndata import AnnData
    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

    from bftembed._progress import Progress
    from bftembed.expression import AnnDataParts, Matrix, Values

log = logging.getLogger("bftembed")
_MERGED = 16  # moments of blocks that one task of a cluster puts together


def reference(
    adata: AnnData | str | os.PathLike[str],
    *,
    batch_key: str | None = None,
    layer: str | None = None,
    use_raw: bool = False,
    values: Values = "auto",
    n_top_genes: int = 2000,
    min_detection: float = 0.005,
    progress: bool | None = None,
) -> Reference:
    """Find out what is usual for each gene: mean, s.d. and detection of its log-normalised expression.

    A cell's expression can then be said relative to it, as `tl.embed_cells` with ``weights="contrast"`` does, in these
    cells and in others. The matrix is read once, in chunks of rows, and is never made dense; sums are in float64 and
    merged so that the size of the chunks changes nothing but the last digits. The blocks of a Dask array are read by
    the workers of its cluster, where a `dask.distributed` client is active (see :func:`bftembed.tl.embed_cells`).

    Parameters
    ----------
    adata
        In memory, backed, or lazy, or the path of an .h5ad or .zarr file. Counts are scaled to 10,000 per cell and
        logged: ``log(1 + x)``; log-normalised values are used as they are.
    batch_key
        Column of ``.obs``: one mean, s.d. and detection for each batch.
    layer
        Use this layer instead of `.X`.
    use_raw
        Use ``.raw.X`` instead of `.X`.
    values
        What the matrix holds. ``"auto"`` takes whole numbers as counts and fractions up to 30 as log-normalised.
    n_top_genes
        Genes that are marked as highly variable: those of the largest dispersion over all cells (of all batches
        together), standardised among genes of similar mean, as `scanpy.pp.highly_variable_genes` finds them
        (``flavor="seurat"``) where each gene is expressed by some cell: genes without expression take no part here,
        while there they share a bin with genes of low mean.
    min_detection
        Only genes that more than this share of the cells express are marked as highly variable.
    progress
        Show a bar, by default if the error stream is a terminal.

    Returns
    -------
    Reference

    Raises
    ------
    InputError
        If the matrix or its values cannot be used, a batch is a single cell, or no gene varies.

    Examples
    --------
    >>> import anndata, numpy as np
    >>> import bftembed as bft
    >>> counts = np.random.default_rng(0).poisson(2, (100, 30)).astype(np.float32)
    >>> bft.pp.reference(anndata.AnnData(counts), n_top_genes=10)
    Reference(30 genes, 10 highly variable, of 100 cells)
    """
    check_number("n_top_genes", n_top_genes, least=1, whole=True)
    check_number("min_detection", min_detection, least=-np.inf)
    if not 0 <= min_detection < 1:
        msg = f"min_detection={min_detection} is a share of the cells: 0 or more, and less than 1."
        raise InputError(msg)
    with opened(adata) as parts:
        made = streamed_reference(
            parts,
            batch_key=batch_key,
            layer=layer,
            use_raw=use_raw,
            values=values,
            n_top_genes=n_top_genes,
            min_detection=min_detection,
            progress=progress,
        )
    log.info("%s", made)
    return made


def streamed_reference(
    parts: AnnDataParts,
    *,
    batch_key: str | None,
    layer: str | None,
    use_raw: bool,
    values: str,
    n_top_genes: int,
    min_detection: float,
    progress: bool | None,
    chunk_size: int | None = None,
) -> Reference:
    """See `reference`."""
    matrix = chosen_matrix(parts, layer=layer, use_raw=use_raw)
    names = gene_names(parts, use_raw=use_raw)
    codes, batches = cell_batches(parts, batch_key) if batch_key else (np.zeros(matrix.x.shape[0], dtype=np.intp), [""])
    sizes = np.bincount(codes)
    if (alone := np.flatnonzero(sizes < 2)).size:
        whose = f"Batch {batches[alone[0]]!r} of `adata.obs[{batch_key!r}]` is" if batch_key else "The data are"
        msg = f"{whose} a single cell, which has no s.d.: leave it out, or put it into another batch."
        raise InputError(msg)
    named = names != ""
    columns, pooled = _moments_of_batches(matrix, codes, len(batches), values, chunk_size=chunk_size, progress=progress)
    _check_spread(columns["sd"][:, named], batches, batch_key)
    candidates = named & (sizes @ columns["detection"] / sizes.sum() > min_detection)
    spread = np.full(len(names), np.nan)
    spread[candidates] = dispersions(pooled.mean[candidates], pooled.variance[candidates])
    genes = names[named]
    return Reference(
        pd.DataFrame(
            {
                "gene": pd.Categorical(np.tile(genes, len(batches)), categories=genes),
                "batch": pd.Categorical(np.repeat(batches, len(genes)), categories=batches),
                "n_cells": np.repeat(sizes, len(genes)),
                **{name: columns.pop(name)[:, named].ravel() for name in list(columns)},
                "highly_variable": np.tile(_highest(spread[named], n_top_genes), len(batches)),
            }
        )
    )


def _moments_of_batches(
    matrix: Matrix,
    codes: NDArray[np.intp],
    n_batches: int,
    values: str,
    *,
    chunk_size: int | None,
    progress: bool | None,
) -> tuple[dict[str, NDArray[np.float64]], Moments]:
    """Columns of the reference, (n_batches, n_vars) each, and the moments of counts per 10,000 of all cells."""
    n_cells, n_genes = matrix.x.shape
    client, check = cluster_of(matrix.x), ValueCheck(matrix, values=values)
    with shown(n_cells, "reference", "cell", show=progress) as bar:
        if client is None:
            moments = [GeneMoments(n_genes) for _ in range(n_batches)]
            _read_here(moments, check, codes, chunk_size, bar)
        else:
            found = _read_on_workers(client, check, codes, bar)
            moments = [found[batch] for batch in range(n_batches)] if check.usable else []
    check.finish()
    pooled = Moments(n_genes)
    for batch in moments:
        pooled.include(batch.levels)
    columns = {name: np.empty((n_batches, n_genes)) for name in ("mean", "sd", "detection", "level")}
    while moments:  # each is given up for its row: the table of many batches is large
        batch = moments.pop()
        row = len(moments)
        columns["mean"][row], columns["sd"][row] = batch.logs.mean, np.sqrt(batch.logs.variance)
        columns["detection"][row], columns["level"][row] = batch.detection, batch.levels.mean
    return columns, pooled


def _read_here(
    moments: list[GeneMoments], check: ValueCheck, codes: NDArray[np.intp], chunk_size: int | None, bar: Progress
) -> None:
    x = check.matrix.x
    with ThreadPoolExecutor(n_threads(), thread_name_prefix="bftembed-reference") as pool:
        for start, stop, chunk in prefetched(row_chunks(x, chunk_size or default_chunk_rows(x, 1))):
            rows, totals, flags = inspected(chunk, pool)
            _note(check, start, flags)
            if check.usable:
                add_cells(moments, rows, totals if check.found == "counts" else None, codes[start:stop], pool)
            bar.update(stop - start)


def _note(check: ValueCheck, start: int, flags: NDArray[np.uint8]) -> None:
    check.add(start, flags)
    if check.usable and check.found != "counts":
        check_logarithms(check, start, flags)


def _read_on_workers(client: Any, check: ValueCheck, codes: NDArray[np.intp], bar: Progress) -> dict[int, GeneMoments]:
    """Moments of each batch, of blocks that stay where they are: what comes here is the sum of all, and the flags."""
    from dask.delayed import delayed

    x = check.matrix.x
    tasks = block_tasks(x, _moments_of_block, codes, values=check.values)
    flags, parts = ([delayed(itemgetter(i))(task) for task in tasks] for i in (0, 1))
    while len(parts) > 1:
        parts = [delayed(_merged)(parts[i : i + _MERGED]) for i in range(0, len(parts), _MERGED)]
    start = 0
    with closing(gathered(client, [*flags, *parts])) as results:
        for rows, found in zip(x.chunks[0], results, strict=False):
            _note(check, start, found)
            start += rows
            bar.update(rows)
        return next(results) if check.usable else {}


def _moments_of_block(
    rows: csr_matrix, _start: int, batches: NDArray[np.intp], values: str
) -> tuple[NDArray[np.uint8], dict[int, GeneMoments]]:
    with ThreadPoolExecutor(1) as pool:  # the cluster gives each processor a block
        rows, totals, flags = inspected(rows, pool)
        if not readable(flags):
            return flags, {}
        numbers, mine = np.unique(batches, return_inverse=True)
        moments = [GeneMoments(rows.shape[1]) for _ in numbers]
        add_cells(moments, rows, totals if are_counts(flags, values) else None, mine, pool)
    return flags, dict(zip(numbers.tolist(), moments, strict=True))


def _merged(parts: list[dict[int, GeneMoments]]) -> dict[int, GeneMoments]:
    """All cells of each batch; what comes in is left as it is, since other tasks may see the same object."""
    whole: dict[int, GeneMoments] = {}
    for part in parts:
        for batch, moments in part.items():
            whole.setdefault(batch, GeneMoments(len(moments.detection))).include(moments)
    return whole


def _highest(values: NDArray[np.float64], n: int) -> NDArray[np.bool_]:
    """The `n` largest, and those equal to the last of these, as in `scanpy`."""
    known = np.sort(values[~np.isnan(values)])[::-1]
    least = known[min(n, len(known)) - 1] if len(known) else np.inf
    return np.asarray(np.nan_to_num(values, nan=-np.inf) >= least)


def _check_spread(sd: NDArray[np.float64], batches: list[str], batch_key: str | None) -> None:
    if (flat := np.flatnonzero(~(sd > 0).any(axis=1))).size:
        whose = f"the cells of {batches[flat[0]]!r} in `adata.obs[{batch_key!r}]`" if batch_key else "the data"
        msg = (
            f"No gene varies in {whose}: all s.d. are zero. Are all cells copies of one, or empty? Leave these cells "
            "out, or take a reference of other cells."
        )
        raise InputError(msg)
