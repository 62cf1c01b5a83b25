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
from bftembed._progress import progress
from bftembed.errors import InputError
from bftembed.expression import (
    AnnDataParts,
    LevelCheck,
    ValueCheck,
    checked_target,
    default_chunk_rows,
    made_actual,
    opened,
    prefetched,
    row_chunks,
)
from bftembed.expression.kernels import inspected
from bftembed.expression.values import check_logarithms
from bftembed.expression.writing import BULK, TABLES, check_writable, mapping_group, write_element, write_elements
from bftembed.tl._stream import DEPARTURES
from bftembed.tl._stream.contrast import contrast_of
from bftembed.tl._stream.copy_parts import copy_from_file
from bftembed.tl._stream.empty import EmptyCells
from bftembed.tl._stream.input import CellInput, choose
from bftembed.tl._stream.output import ArrayOutput, EmbeddingFile, embedding_file
from bftembed.tl._stream.weighted import WeightedSum

logger = logging.getLogger("bftembed")
if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix


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
        raise InputError(_logged_twice('A matrix with values="lognorm"'))
    with opened(adata) as parts:
        cells = choose(parts, use_rep=options.use_rep, layer=options.layer, use_raw=options.use_raw)
        cells = replace(cells, vectors=_prepared(cells.vectors, options))
        if output is None:
            array = ArrayOutput(cells.shape)
            info, beside = _run(adata, cells, options, array)
            with made_actual():
                adata.uns["bft"] = with_provenance(adata.uns.get("bft", {}), key_added, "cells", info, **beside)
                adata.obsm[key_added] = array.array
        else:
            _embed_to_file(adata, cells, options, Path(output).expanduser(), key_added, keep_x=keep_x)


def _embed_to_file(
    adata: Any, cells: CellInput, options: WeightedOptions, output: Path, key_added: str, *, keep_x: bool
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

    with embedding_file(
        output, key_added, cells.shape, zarr_format=_zarr_format(group) if output.suffix == ".zarr" else 3
    ) as file:
        # Tables first: what cannot be converted should not come up after hours of work.
        copy(TABLES)
        info, beside = _run(adata, cells, options, file)
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
    adata: Any, cells: CellInput, options: WeightedOptions, sink: ArrayOutput | EmbeddingFile
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
    levels = None
    if contrast is not None and options.reference is not None:
        levels = LevelCheck(contrast.levels, contrast.batches), contrast.known
    check = ValueCheck(matrix, values=options.values, decide=options.weights in {"log1p", "log", *DEPARTURES})
    empty = EmptyCells()
    chunk_size = options.chunk_size or default_chunk_rows(matrix.x, cells.shape[1])
    n_used = int((~np.isnan(vectors[:, 0])).sum())
    with (
        WeightedSum(vectors, normalize=options.normalize, contrast=contrast) as kernel,
        progress(cells.shape[0], "embed cells", "cell", show=options.progress) as bar,
    ):
        for start, stop, rows in prefetched(row_chunks(matrix.x, chunk_size)):
            _embed_chunk(kernel, check, empty, start, rows, weights=options.weights, sink=sink, levels=levels)
            bar.update(stop - start)
    check.finish()
    if levels is not None:
        levels[0].finish()
    n_empty = empty.finish(check, empty=options.empty, genes="gene" if contrast is None else "highly variable gene")
    kind, shape = "means" if contrast is None else "contrasts", cells.shape
    logger.info("%s cells: %s of %s genes, %s dimensions, %s without weight", shape[0], kind, n_used, shape[1], n_empty)
    info = {
        **_noted(options),
        "values": check.found,
        "matrix": matrix.name,
        "n_genes_used": n_used,
        "n_cells": int(cells.shape[0]),
        "n_empty": n_empty,
        "bftembed_version": version("bftembed"),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    return info, {} if reference is None else {"reference": reference.table}


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


def _embed_chunk(
    kernel: WeightedSum,
    check: ValueCheck,
    empty: EmptyCells,
    start: int,
    rows: csr_matrix,
    *,
    weights: str,
    sink: ArrayOutput | EmbeddingFile,
    levels: tuple[LevelCheck, NDArray[np.bool_]] | None,
) -> None:
    rows, totals, flags = inspected(rows, kernel.pool)
    check.add(start, flags)
    if not check.usable:
        return
    counts = check.found == "counts"
    if weights == "log" and check.found == "lognorm":
        raise InputError(_logged_twice(check.matrix.name))
    if weights in DEPARTURES and not counts:
        check_logarithms(check, start, flags)
    out = sink.block(start, start + rows.shape[0])
    scaled = totals if weights in {"log1p", *DEPARTURES} and counts else None
    kernel.embed(
        rows, out, start=start, totals=scaled, log=weights == "log" or scaled is not None, binary=weights == "binary"
    )
    if levels is not None:
        check_level, known = levels
        check_level.add(start, kernel.levels(rows, known, totals=scaled))
    empty.add(start, flags, np.isnan(out[:, 0]))
    sink.commit(start, out)


def _logged_twice(name: str) -> str:
    return f'{name} is log-normalised already and weights="log" would log it twice: pass weights="log1p" or "raw".'


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
