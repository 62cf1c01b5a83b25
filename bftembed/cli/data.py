"""``bftembed data``: the data sets that manifests describe."""

from __future__ import annotations

import shlex
from typing import Annotated

import typer

from bftembed import data
from bftembed.errors import DataError

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
