"""``bftembed browse``: a page to look at an embedding."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from bftembed.cli import _arguments as arg


def browse(
    source: Annotated[Path, typer.Argument(help="AnnData with an embedding: .h5ad or .zarr.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The page: .html.")],
    among: Annotated[
        str | None,
        typer.Option(help="genes, cells, perturbations, ...; by default perturbations, else genes, else cells."),
    ] = None,
    query: Annotated[
        list[str] | None,
        typer.Option(help="A free text that can colour the map, encoded by the file's own encoder; can be repeated."),
    ] = None,
    color: Annotated[
        list[str] | None,
        typer.Option(help="A column to colour by, the first to begin with; can be repeated. By default all that can."),
    ] = None,
    layout: Annotated[
        str | None,
        typer.Option(help="Of the map: a key of obsm (varm for genes), umap or pca. By default X_umap, else umap."),
    ] = None,
    checks: Annotated[
        Path | None, typer.Option(help="What `bftembed profiles check --genes-output` wrote: flags of the texts.")
    ] = None,
    store: arg.StoreOption = None,
    facts: Annotated[
        Literal["auto", "none"], typer.Option(help="Show what the gene tables know of each gene.")
    ] = "auto",
    encoder: Annotated[
        str | None, typer.Option(help="For --query, where the file does not tell how to make its encoder.")
    ] = None,
    use_rep: Annotated[str, typer.Option(help="Key of the embedding.")] = "X_bft",
    title: Annotated[str | None, typer.Option(help="Title of the page; by default the file's name.")] = None,
    max_rows: Annotated[int, typer.Option(help="Of more rows, show a random sample of so many.", min=1)] = 50_000,
    seed: Annotated[int, typer.Option(help="Of the sample and of the UMAP.")] = 0,
) -> None:
    """Write one HTML page to look at an embedding: map, search, texts, neighbours; it needs no network."""
    from bftembed.browse import write_page

    page = write_page(
        source,
        output,
        use_rep=use_rep,
        among=among,
        layout=layout,
        queries=query or (),
        color=color,
        checks=checks,
        store=store,
        facts=facts,
        encoder=encoder,
        title=title,
        max_rows=max_rows,
        seed=seed,
    )
    print(f"wrote {page}: {page.stat().st_size / 1e6:.1f} MB, open it in a browser")
