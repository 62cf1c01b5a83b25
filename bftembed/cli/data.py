"""``bftembed data``: the data sets that manifests describe."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from bftembed import data
from bftembed._files import make_directory
from bftembed.errors import DataError, InputError

app = typer.Typer(help="List, fetch and verify data sets.", no_args_is_help=True)
Names = Annotated[list[str], typer.Argument(help="Names of data sets; `genes` is all gene tables.")]


def _expand(names: list[str]) -> list[str]:
    from bftembed.datasets import FACT_SOURCES, NAME_SOURCES

    genes = dict.fromkeys((*NAME_SOURCES, *FACT_SOURCES))
    return [each for name in names for each in (genes if name == "genes" else [name])]


@app.command("list")
def list_() -> None:
    """List the data sets, their licence, and whether they are in the cache or the mirror."""
    for manifest in data.list_manifests():
        mark = "*" if data.available(manifest.name) else " "
        size = sum(file.bytes for file in manifest.files) / 1e6
        print(f"{mark} {manifest.name:24} {size:7.1f} MB  {manifest.licence:45.45}  {manifest.title}")
    print("* in the cache or the mirror")


@app.command()
def example(
    directory: Annotated[Path, typer.Argument(help="Where to; made if it is not there.", file_okay=False)] = Path(),
    n_genes: Annotated[int, typer.Option(help="Most variable genes in the list and the mask.", min=1)] = 200,
) -> None:
    """Write cells.h5ad (700 blood cells) and genes.txt, to try other commands on; no download."""
    from bftembed.datasets import pbmc68k_reduced
    from bftembed.expression import write_anndata

    cells, names = directory / "cells.h5ad", directory / "genes.txt"
    for path in (cells, names):
        if path.exists():
            msg = f"`{path}` is there already; choose another directory."
            raise InputError(msg)
    scaled = pbmc68k_reduced()
    adata = scaled.raw.to_adata()
    adata.var["top"] = scaled.var["dispersions_norm"].rank(ascending=False, method="first") <= n_genes
    make_directory(directory)
    write_anndata(adata, cells)
    names.write_text("\n".join(adata.var_names[adata.var["top"]]) + "\n", encoding="utf-8")
    print(
        f"wrote {cells}: {adata.n_obs} cells x {adata.n_vars} genes, log-normalised; var['top'] marks {n_genes} genes"
    )
    print(f"wrote {names}: the {n_genes} genes, one per line")


@app.command()
def fetch(names: Names, force: Annotated[bool, typer.Option(help="Fetch again.")] = False) -> None:
    """Download data sets, check size and SHA-256, and show their licences."""
    for name in _expand(names):
        manifest = data.get_manifest(name)
        for path in data.fetch(name, force=force).values():
            print(path)
        print(f"{name}: licence {manifest.licence}; cite {manifest.citation}")


@app.command()
def verify(names: Annotated[list[str] | None, typer.Argument(help="By default all available.")] = None) -> None:
    """Hash the files again, in the cache or else in the mirror. Ends with status 1 if one is missing or damaged."""
    bad: dict[str, None] = {}
    for name in _expand(names or [m.name for m in data.list_manifests() if data.available(m.name)]):
        for row in data.verify(name):
            print(f"{row.status:14} {name} {row.name}")
            if row.status != "ok":
                bad[name] = None
    if bad:
        command = shlex.join(["bftembed", "data", "fetch", "--force", *bad])
        msg = f"Files are missing or damaged; `{command}` fetches them again."
        raise DataError(msg)
