"""``bftembed genes``: gene names."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from bftembed.cli import _arguments as arg
from bftembed.errors import InputError

app = typer.Typer(help="Gene names.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Gene names."""


@app.command()
def check(
    source: Annotated[Path, typer.Argument(help="AnnData file, or names, one per line.")],
    species: Annotated[Literal["human", "mouse"], typer.Option(help="Species of the names.")] = "human",
    show: Annotated[int, typer.Option(help="Most names to list per rule.")] = 10,
) -> None:
    """Say how the gene names of a file would be mapped, rule by rule."""
    from bftembed import datasets
    from bftembed.cli.embed import open_adata
    from bftembed.genes import check_mapped, map_names

    arg.check_exists(source)
    table = datasets.gene_table()
    if table is None:
        msg = "There are no gene tables; run `bftembed data fetch hgnc_genes ncbi_gene_info annotables_grch38`."
        raise InputError(msg)
    names = arg.read_names(source) if arg.is_list_of_names(source) else open_adata(source).var_names.tolist()
    result = map_names(names, table, species=species)
    print(result.report())
    for rule, rows in result.frame.groupby("rule", sort=False):
        if rule == "approved":
            continue
        print(f"{rule} ({len(rows):,})")
        for row in rows.head(show).to_dict("records"):
            print(f"    {row['original']} -> {row['symbol'] or ' | '.join(row['candidates']) or '-'}")
    check_mapped(result, table)
