"""``bftembed profiles``: the store of texts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bftembed.cli import _arguments as arg
from bftembed.cli._gene_sets import read_gene_sets
from bftembed.errors import InputError

if TYPE_CHECKING:
    from bftembed.profiles import ProfileStore

app = typer.Typer(help="Write, show, export and import profile texts.", no_args_is_help=True)


@app.command()
def write(
    names: Annotated[Path, typer.Argument(help="Names, one per line (.txt, .csv, .tsv), or gene sets.", exists=True)],
    kind: arg.KindOption = "gene",
    engine: arg.EngineOption = "default",
    adapter: arg.AdapterOption = None,
    batch_size: arg.BatchOption = None,
    template: arg.TemplateOption = None,
    facts: arg.FactsOption = "auto",
    store: arg.StoreOption = None,
    max_new_tokens: arg.TokensOption = 512,
    temperature: arg.TemperatureOption = 0.0,
    seed: arg.SeedOption = 0,
) -> None:
    """Have profiles written without encoding them; go on where an earlier run stopped."""
    from bftembed.engines import Sampling
    from bftembed.entities import entities_of
    from bftembed.profiles import ProfileStore, write_profiles

    made = arg.make_engine(engine, adapter, batch_size)
    listed = read_gene_sets(names) if kind == "gene_set" else arg.read_names(names)
    entities, _ = entities_of(listed, kind=kind, facts=facts, needed=not made.generates)
    sampling = Sampling(max_new_tokens=max_new_tokens, temperature=temperature, seed=seed)
    with ProfileStore(store) as opened:
        written = write_profiles(entities, made, store=opened, template=template, sampling=sampling)
        print(", ".join(f"{name} {number:,}" for name, number in written.counts.items()))
        print(f"store: {opened.path}")


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="Name of a gene, drug, ...")],
    kind: arg.AnyKindOption = None,
    store: arg.StoreOption = None,
    prompt: Annotated[bool, typer.Option("--prompt", help="Show the prompt too.")] = False,
) -> None:
    """Print the profiles of one name."""
    with _existing(store) as opened:
        rows = opened.frame(kind=kind, entity=name)
    if rows.empty:
        msg = f"The store has no profile of `{name}`."
        raise InputError(msg)
    for row in rows.to_dict("records"):
        info = json.loads(row["info"])
        print(f"--- {row['kind']} {row['entity']} | {row['status']} {row['issues']} | {row['n_tokens']} tokens")
        print(f"    {info['engine'].get('model', '')} {info['engine']['engine']} | template {info['template']}")
        if prompt:
            print(f"    [system] {row['system']}\n    [user] {row['prompt']}")
        print(row["text"] or row["error"] or row["raw"])


@app.command()
def export(path: Annotated[Path, typer.Argument(help="Parquet file to write.")], store: arg.StoreOption = None) -> None:
    """Write all profiles to a Parquet file."""
    with _existing(store) as opened:
        print(f"wrote {opened.export(path):,} names with their profiles to {path}")


@app.command("import")
def load(
    path: Annotated[Path, typer.Argument(help="Parquet file of `export`.")], store: arg.StoreOption = None
) -> None:
    """Add the profiles of a Parquet file to the store."""
    from bftembed.profiles import ProfileStore

    with ProfileStore(store) as opened:
        print(f"added {opened.load(path):,} profiles to {opened.path}")


@app.command()
def stats(store: arg.StoreOption = None) -> None:
    """Count the profiles by recipe and status."""
    with _existing(store) as opened:
        frame = opened.frame()
        print(f"{opened.path}: {len(opened):,} profiles of {len(frame):,} names")
    for recipe, kind in frame[["recipe", "kind"]].drop_duplicates().itertuples(index=False, name=None):
        group = frame[(frame["recipe"] == recipe) & (frame["kind"] == kind)]
        info = json.loads(group["info"].iloc[0])
        statuses = ", ".join(f"{name} {number:,}" for name, number in group["status"].value_counts().items())
        engine = info["engine"]
        print(f"{recipe[:12]}  {kind}  {engine['engine']} {engine.get('model', '')}  template {info['template']}")
        print(f"    {statuses}; median {group['text'].str.len().median():.0f} characters")


def _existing(store: Path | None) -> ProfileStore:
    from bftembed.profiles import ProfileStore

    if store is not None and not store.exists():
        msg = f"There is no profile store `{store}`."
        raise InputError(msg)
    return ProfileStore(store, read_only=True)
