"""`embed_cells`: chunks of cells through the kernels, into memory or a file."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bftembed import pp
from bftembed._keys import check_place, with_provenance
from bftembed._progress import Progress, progress
from bftembed.errors import InputError
from bftembed.expression import (
    AnnDataParts,
    checked_target,
    cluster_of,
    default_chunk_rows,
    made_actual,
    opened,
    prefetched,
    row_chunks,
)
from bftembed.expression.writing import BULK, TABLES, check_writable, mapping_group, write_element, write_elements
from bftembed.tl._stream import DEPARTURES
from bftembed.tl._stream.blocks import CellChecks, Weighing, embed_block, logged_twice
from bftembed.tl._stream.contrast import contrast_of
from bftembed.tl._stream.copy_parts import copy_from_file
from bftembed.tl._stream.input import CellInput, choose
from bftembed.tl._stream.output import ArrayOutput, EmbeddingFile, embedding_file
from bftembed.tl._stream.weighted import WeightedSum
from bftembed.tl._stream.workers import embed_on_workers

logger = logging.getLogger("bftembed")
if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class WeightedOptions:
    """Arguments of `embed_cells` that decide what is computed."""

    use_rep: str
    weights: str
    values: str
    layer: str | None
    use_raw: bool
    center: bool
    normalize: bool
    reference: Any
    batch_key: str | None
    whiten: float | None
    table: Any
    n_components: int | None
    empty: str
    chunk_size: int | None
    progress: bool | None


def embed_weighted(
    adata: Any, options: WeightedOptions, *, key_added: str, output: str | os.PathLike[str] | None, keep_x: bool
) -> None:
    """See `embed_cells`."""
    is_path = isinstance(adata, str | os.PathLike)
    if is_path and output is None:
        msg = f"adata={str(adata)!r} is a path: pass output=, the .h5ad or .zarr to write (it may be the same path)."
        raise InputError(msg)
    if hasattr(adata, "uns"):
        check_place(adata, key_added)
    if options.values == "lognorm" and options.weights == "log":
        raise InputError(logged_twice('A matrix with values="lognorm"'))
    with opened(adata) as parts:
        cells = choose(parts, use_rep=options.use_rep, layer=options.layer, use_raw=options.use_raw)
        cells = replace(cells, vectors=_prepared(cells.vectors, options))
        client = cluster_of(cells.matrix.x)
        if output is None:
            array = ArrayOutput(cells.shape)
            info, beside = _run(adata, cells, options, array, client)
            with made_actual():
                adata.uns["bft"] = with_provenance(adata.uns.get("bft", {}), key_added, "cells", info, **beside)
                adata.obsm[key_added] = array.array
        else:
            _embed_to_file(adata, cells, options, Path(output).expanduser(), key_added, client=client, keep_x=keep_x)


def _embed_to_file(
    adata: Any, cells: CellInput, options: WeightedOptions, output: Path, key_added: str, *, client: Any, keep_x: bool
) -> None:
    source = Path(adata).expanduser() if isinstance(adata, str | os.PathLike) else None
    _check_formats(source, adata, output, keep_x=keep_x)
    if source is None:
        check_writable(adata, output)
    group = cells.matrix.parts.group
    replaced = {f"obsm/{key_added}", "uns/bft"}

    def copy(names: tuple[str, ...]) -> None:
        if source is None:
            with file.filling() as root:
                write_elements(root, adata, names, but=replaced)
        else:
            copy_from_file(file, group, source, names, replaced=replaced)

    zarr_format = _zarr_format(group) if output.suffix == ".zarr" else 3
    # Pieces of the length of the blocks are written where these are embedded.
    rows = {} if client is None else {"piece_rows": max(cells.matrix.x.chunks[0])}
    with embedding_file(output, key_added, cells.shape, zarr_format=zarr_format, **rows) as file:
        # Tables first: what cannot be converted should not come up after hours of work.
        copy(TABLES)
        info, beside = _run(adata, cells, options, file, client)
        if keep_x:
            copy(BULK)
        # From here on anndata is needed, which takes as long to load as the disk needs for the last rows.
        bft = with_provenance(_bft(cells.matrix.parts), key_added, "cells", info, **beside)
        with file.filling() as root:
            write_element(mapping_group(root, "uns"), "bft", bft, name="uns['bft']")
        if hasattr(group, "close"):
            group.close()  # Windows puts no file in the place of an open one


def _prepared(vectors: NDArray[np.float32], options: WeightedOptions) -> NDArray[np.float32]:
    """The gene vectors whitened or centred, as asked for."""
    if options.whiten is not None:
        return pp.whiten(vectors, table=options.table, alpha=options.whiten, n_components=options.n_components)
    if options.center:
        return (vectors - np.nanmean(vectors, axis=0, dtype=np.float64)).astype(np.float32)
    return vectors


def _run(
    adata: Any, cells: CellInput, options: WeightedOptions, sink: ArrayOutput | EmbeddingFile, client: Any
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Embed all cells into `sink`; returns what is noted about it in `.uns`, and what is kept beside that."""
    matrix, contrast, reference, vectors = cells.matrix, None, None, cells.vectors
    if options.weights in DEPARTURES:
        reference = _reference(adata, options)
        contrast = contrast_of(
            matrix.parts,
            vectors,
            reference,
            scaled=options.weights == "zscore",
            batch_key=options.batch_key,
            use_raw=options.use_raw,
        )
        vectors = contrast.vectors
    given = contrast is not None and options.reference is not None
    how = Weighing(options.weights, options.values, contrast.known if given and contrast is not None else None)
    checks = CellChecks(matrix, how, contrast)
    batches = None if contrast is None else contrast.batches
    kernel = WeightedSum(vectors, normalize=options.normalize, contrast=contrast)
    with progress(cells.shape[0], "embed cells", "cell", show=options.progress) as bar:
        if client is None:
            _embed_here(
                matrix.x, kernel, how, batches=batches, checks=checks, sink=sink, bar=bar, chunk_size=options.chunk_size
            )
        else:
            embed_on_workers(client, matrix.x, kernel, how, batches=batches, checks=checks, sink=sink, bar=bar)
    n_used, n_empty = int((~np.isnan(vectors[:, 0])).sum()), checks.finish(empty=options.empty)
    kind, shape = "means" if contrast is None else "contrasts", cells.shape
    logger.info("%s cells: %s of %s genes, %s dimensions, %s without weight", shape[0], kind, n_used, shape[1], n_empty)
    info = {
        **_noted(options),
        "values": checks.values.found,
        "matrix": matrix.name,
        "n_genes_used": n_used,
        "n_cells": int(cells.shape[0]),
        "n_empty": n_empty,
        "bftembed_version": version("bftembed"),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    return info, {} if reference is None else {"reference": reference.table}


def _embed_here(
    x: Any,
    kernel: WeightedSum,
    how: Weighing,
    *,
    batches: NDArray[np.intp] | None,
    checks: CellChecks,
    sink: ArrayOutput | EmbeddingFile,
    bar: Progress,
    chunk_size: int | None,
) -> None:
    with kernel:
        for start, stop, rows in prefetched(row_chunks(x, chunk_size or default_chunk_rows(x, kernel.dim))):
            out = sink.block(start, stop)
            mine = None if batches is None else batches[start:stop]
            if checks.add(start, *embed_block(kernel, rows, out, mine, how)):
                sink.commit(start, out)
            bar.update(stop - start)


def _reference(adata: Any, options: WeightedOptions) -> pp.Reference:
    if options.reference is not None:
        return pp.Reference.of(options.reference)
    return pp.reference(
        adata,
        batch_key=options.batch_key,
        layer=options.layer,
        use_raw=options.use_raw,
        values=options.values,  # type: ignore[arg-type]
        progress=options.progress,
    )


def _noted(options: WeightedOptions) -> dict[str, Any]:
    """Parameters, as far as files can hold them."""
    names = ["use_rep", "weights", "use_raw", "center", "normalize", "empty"]
    noted: dict[str, Any] = {"method": "weighted", **{name: getattr(options, name) for name in names}}
    if options.whiten is not None:
        noted |= {"whiten": options.whiten, "table": "these genes" if options.table is None else "given"}
    if options.n_components is not None:
        noted["n_components"] = options.n_components
    if options.weights in DEPARTURES:
        noted["method"] = "contrast"
        noted["reference"] = "these cells" if options.reference is None else "given"
    if options.batch_key is not None:
        noted["batch_key"] = options.batch_key
    return noted


def _check_formats(source: Path | None, adata: Any, output: Path, *, keep_x: bool) -> None:
    """Refuse what would load a matrix as a whole just to change its format."""
    to_zarr = checked_target(output)
    if source is not None:
        from_zarr, loaded = source.is_dir(), False
    else:
        from_zarr, loaded = False, not adata.isbacked
    if keep_x and not loaded and from_zarr != to_zarr:
        msg = (
            f"output={str(output)!r} has another format than the input, and keep_x=True would convert the whole "
            "matrix: pass keep_x=False for a file without it, or an output with the suffix of the input."
        )
        raise InputError(msg)


def _zarr_format(group: Any) -> int:
    if (metadata := getattr(group, "metadata", None)) is not None:
        return int(metadata.zarr_format)
    import anndata

    return int(anndata.settings.zarr_write_format)


def _bft(parts: AnnDataParts) -> dict[str, Any]:
    from anndata.io import read_elem

    found = parts.uns.get("bft", {})
    return dict(found if isinstance(found, dict) else read_elem(found))
