"""``bftembed profiles``: the store of texts."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bftembed.cli import _arguments as arg
from bftembed.cli._gene_sets import read_gene_sets
from bftembed.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from bftembed.profiles import Recipe

app = typer.Typer(help="Write, show, export and import profile texts.", no_args_is_help=True)


OfRecipe = Annotated[
    str | None, typer.Option(help="By this recipe only: the beginning of its digest, see `bftembed profiles stats`.")
]


@app.command()
def write(
    names: Annotated[Path, typer.Argument(help="Names, one per line (.txt, .csv, .tsv), or gene sets.", exists=True)],
    kind: arg.KindOption = "gene",
    engine: arg.EngineOption = "default",
    adapter: arg.AdapterOption = None,
    batch_size: arg.BatchOption = None,
    engine_option: arg.EngineOptionsOption = None,
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

    made = arg.make_engine(engine, adapter, batch_size, engine_option)
    listed = read_gene_sets(names) if kind == "gene_set" else arg.read_names(names)
    entities, _ = entities_of(listed, kind=kind, facts=facts, needed=not made.generates)
    sampling = Sampling(max_new_tokens=max_new_tokens, temperature=temperature, seed=seed)
    with ProfileStore(store) as opened:
        write_profiles(entities, made, store=opened, template=template, sampling=sampling)
        print(f"store: {opened.path}")


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="Name of a gene, drug, ...; upper and lower case alike.")],
    kind: arg.AnyKindOption = None,
    recipe: OfRecipe = None,
    store: arg.StoreOption = None,
    prompt: Annotated[bool, typer.Option("--prompt", help="Show the prompt too.")] = False,
) -> None:
    """Print the profiles of one name."""
    from bftembed._near import did_you_mean
    from bftembed.profiles import ProfileStore

    with ProfileStore(store, read_only=True) as opened:
        frame, recipes = opened.frame(kind=kind, recipe=recipe), opened.recipes()
    rows = frame[frame["entity"] == name]
    if rows.empty:
        rows = frame[frame["entity"].str.casefold() == name.casefold()]
    if rows.empty:
        msg = f"The store has no profile of `{name}`.{did_you_mean(name, frame['entity'].unique())}"
        raise InputError(msg)
    for row in rows.to_dict("records"):
        issues = "; ".join(_issues()[issue] for issue in row["issues"].split())
        status = f"{row['status']} ({issues})" if issues else row["status"]
        print(f"--- {row['kind']} {row['entity']}: {status}, {row['n_tokens']} tokens")
        print(f"    {row['recipe'][:8]}  {recipes[row['recipe']].words}")
        if prompt:
            print(f"    [system] {row['system']}\n    [user] {row['prompt']}")
        print(row["text"] or row["error"] or row["raw"])


@app.command()
def export(
    path: Annotated[Path, typer.Argument(help="File to write: .parquet (for `import`), .csv or .tsv.")],
    store: arg.StoreOption = None,
    kind: arg.AnyKindOption = None,
    recipe: OfRecipe = None,
    names: Annotated[Path | None, typer.Option(help="Of the names in this file only, one per line.")] = None,
) -> None:
    """Write profiles to a file."""
    from bftembed.profiles import ProfileStore

    chosen = None if names is None else arg.read_names(names)
    with ProfileStore(store, read_only=True) as opened:
        print(
            f"wrote {opened.export(path, kind=kind, recipe=recipe, names=chosen):,} names with their profiles to {path}"
        )


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
    """Count the profiles by recipe and kind."""
    from bftembed.profiles import ProfileStore

    with ProfileStore(store, read_only=True) as opened:
        frame, recipes = opened.frame(), opened.recipes()
        print(f"{opened.path}: {len(opened):,} profiles of {len(frame):,} names")
    for recipe, kind in frame[["recipe", "kind"]].drop_duplicates().itertuples(index=False, name=None):
        group = frame[(frame["recipe"] == recipe) & (frame["kind"] == kind)]
        print(f"{recipe[:8]}  {recipes[recipe].words}")
        counts = Counter(map(str, group["status"]))
        counts.update(issue for issues in group["issues"] for issue in issues.split())
        said = [f"{number:,} {_issues().get(name, name)}" for name, number in counts.items()]
        with_facts = _with_facts(group, recipes[recipe])
        facts = "" if with_facts is None else f"; facts in {with_facts:,} prompts"
        median = group["text"].str.len().median()
        print(f"    {len(group):,} x {kind}: {', '.join(said)}; median {median:.0f} characters{facts}")


@app.command()
def check(
    stores: Annotated[
        list[Path], typer.Argument(help="Profile stores, their exports, or tables of texts.", exists=True)
    ],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Report: .md, .tsv, .csv or .json.")] = None,
    genes_output: Annotated[
        Path | None, typer.Option(help="Every text with what is wrong in it: .tsv or .csv.")
    ] = None,
    recipe: OfRecipe = None,
    encoder: Annotated[
        str,
        typer.Option(
            help="Rank annotations by its vectors too; the annotations of all genes are encoded once (minutes). "
            "none | default | sentence-transformers:MODEL | ..."
        ),
    ] = "none",
    controls: Annotated[
        bool, typer.Option(help="Also check the facts, bare symbols, and texts of other genes.")
    ] = True,
) -> None:
    """Hold profiles of genes against the gene tables: how accurate they are.

    Ranks of the gene's own annotation; chromosome, band, full name and family right or wrong; unknown symbols;
    refusals; repetition; length. Several stores are compared on the genes that they share.
    """
    from bftembed.quality import check_profiles, report_path, table_path

    report = None if output is None else report_path(output)
    table = None if genes_output is None else table_path(genes_output)
    checked = check_profiles(list(stores), encoder=encoder, recipe=recipe, controls=controls)
    print(checked.table().to_string())
    for note in checked.notes:
        print(note)
    if report is not None:
        checked.save(report)
        print(f"wrote {report}")
    if table is not None:
        checked.save_genes(table)
        print(f"wrote {len(checked.genes):,} texts to {table}")


def _issues() -> dict[str, str]:
    from bftembed.profiles.clean import ISSUES

    return ISSUES


def _with_facts(group: pd.DataFrame, recipe: Recipe) -> int | None:
    """How many prompts hold more than the name; None where that version of the template is not available."""
    from bftembed.errors import TemplateError
    from bftembed.profiles import Entity, load_template

    try:
        template = load_template(recipe.template)
    except TemplateError:
        return None
    if template.digest != recipe.template_digest:
        return None
    rows = zip(group["kind"], group["entity"], group["prompt"], strict=True)
    return sum(bool(template.render(Entity(kind, entity)).user != prompt) for kind, entity, prompt in rows)
