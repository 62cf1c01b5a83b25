"""``bftembed vectors``: from a file of embeddings to a table of vectors."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from bftembed.cli import _arguments as arg
from bftembed.errors import InputError


def vectors(
    source: Annotated[
        Path,
        typer.Argument(help="Embeddings: .h5ad, .zarr, or a table (.csv, .parquet, .vec, .npz, .safetensors, ...)."),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Table to write: .csv, .parquet, .vec, .npz or .safetensors.")
    ],
    use_rep: Annotated[str, typer.Option(help="Key in varm or obsm.")] = "X_bft",
    among: Annotated[
        Literal["genes", "cells"] | None, typer.Option(help="Of which side; by default genes where there are any.")
    ] = None,
    vocabulary: Annotated[
        Path | None, typer.Option(help="Rows in the order of this file, such as scGPT's vocab.json.")
    ] = None,
) -> None:
    """Write vectors of genes or cells, with their names, as a table: of a result of `embed`, or of another table."""
    import bftembed as bft
    from bftembed.cli.embed import open_adata
    from bftembed.vectors import check_target

    check_target(output)
    if source.resolve() == output.resolve():
        msg = f"`{output}` is the file that is read: give another output."
        raise InputError(msg)
    arg.check_exists(source)
    if source.suffix.lower() in {".h5ad", ".zarr"}:
        adata = open_adata(source)
    elif among is None:
        adata = bft.read_vectors(source, key_added=use_rep)
    else:
        msg = f"--among is of .h5ad and .zarr: `{source}` is a table, whose rows are of one kind."
        raise InputError(msg)
    bft.write_vectors(adata, output, use_rep=use_rep, among=among, vocabulary=vocabulary)
    print(f"wrote {output}")
