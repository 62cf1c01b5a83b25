"""``bftembed profiles``: the store of texts."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from bftembed.cli import _arguments as arg
from bftembed.cli._gene_sets import read_gene_sets
from bftembed.errors import InputError

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
    from bftembed.entities import near_name
    from bftembed.profiles import ProfileStore

    with ProfileStore(store, read_only=True) as opened:
        frame, recipes = opened.frame(kind=kind, recipe=recipe), opened.recipes()
    rows = frame[frame["entity"] == name]
    if rows.empty:
        rows = frame[frame["entity"].str.casefold() == name.casefold()]
    if rows.empty:
        msg = f"The store has no profile of `{name}`.{near_name(name, frame['entity'].unique())}"
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


@app.command()
def bundle(
    store: Annotated[
        Path, typer.Argument(help="Profile store (SQLite), an export of one (.parquet), or a bundle.", exists=True)
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Directory to write: a new one, or a bundle to replace.")
    ],
    kind: arg.AnyKindOption = None,
    recipe: OfRecipe = None,
    encoder: Annotated[
        str | None, typer.Option(help="Vectors too, by this encoder: default | sentence-transformers:MODEL | ...")
    ] = None,
    licence: Annotated[str, typer.Option(help="Of the bundle, as the hub calls it: cc-by-4.0, ...")] = "unknown",
    name: Annotated[str | None, typer.Option(help="What it is called; by default as the directory.")] = None,
    check: Annotated[bool, typer.Option(help="Hold texts of genes against the gene tables.")] = True,
) -> None:
    """Write profiles into a directory for others: texts, vectors, and a card with licences and how they were made.

    Read by `bft.datasets.load_bundle(DIRECTORY or URL)` and `bftembed embed --profiles DIRECTORY`; the directory can be
    uploaded to the Hugging Face hub as a dataset as it is.
    """
    from bftembed.sharing import bundle_profiles

    made = bundle_profiles(
        store, output, kind=kind, recipe=recipe, encoder=encoder, licence=licence, name=name, check=check
    )
    print(f"wrote {len(made):,} texts to {output}")
    print(f'read by: bft.datasets.load_bundle("{output}", sha256="{made.sha256}")')


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
    from bftembed.profiles import ProfileStore, prompts_with_facts

    with ProfileStore(store, read_only=True) as opened:
        frame, recipes = opened.frame(), opened.recipes()
        print(f"{opened.path}: {len(opened):,} profiles of {len(frame):,} names")
    for recipe, kind in frame[["recipe", "kind"]].drop_duplicates().itertuples(index=False, name=None):
        group = frame[(frame["recipe"] == recipe) & (frame["kind"] == kind)]
        print(f"{recipe[:8]}  {recipes[recipe].words}")
        counts = Counter(map(str, group["status"]))
        counts.update(issue for issues in group["issues"] for issue in issues.split())
        said = [f"{number:,} {_issues().get(name, name)}" for name, number in counts.items()]
        with_facts = prompts_with_facts(group, recipes[recipe])
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
