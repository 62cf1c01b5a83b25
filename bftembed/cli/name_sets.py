"""``bftembed name-sets``: a file of gene sets, and a table of their names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bftembed.cli import _arguments as arg
from bftembed.cli._gene_sets import read_gene_sets
from bftembed.errors import DataError, InputError

if TYPE_CHECKING:
    import pandas as pd

_SUFFIXES = (".tsv", ".json")


def name_sets(
    sets: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="Gene sets: .gmt, or lines of name, tab, genes with tabs between.", exists=True
        ),
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Table: .tsv, or .json with all details.", dir_okay=False)
    ] = None,
    engine: arg.EngineOption = "default",
    adapter: arg.AdapterOption = None,
    batch_size: arg.BatchOption = None,
    engine_option: arg.EngineOptionsOption = None,
    cascade: Annotated[
        bool, typer.Option("--cascade", help="Check the claims behind each name against tables, and name again.")
    ] = False,
    terms: Annotated[
        Path | None, typer.Option(help="Processes to test (.gmt) in place of those of GO.", dir_okay=False, exists=True)
    ] = None,
    n_terms: Annotated[int, typer.Option(help="Most enriched processes of a set in the result.", min=1)] = 5,
    store: Annotated[
        Path | None,
        typer.Option(rich_help_panel=arg.TEXTS, help="Store of answers (SQLite); by default in the user cache."),
    ] = None,
    max_new_tokens: arg.TokensOption = 512,
    temperature: arg.TemperatureOption = 0.0,
    seed: arg.SeedOption = 0,
) -> None:
    """Name the process of each gene set; run again to go on after an interruption.

    A language model gives the name; the processes of the Gene Ontology in which the genes are enriched stand beside
    it. With --engine annotation the best of these is the name.
    """
    from bftembed import naming
    from bftembed.engines import Sampling

    if output is not None and (output.suffix not in _SUFFIXES or not output.absolute().parent.is_dir()):
        msg = f"`{output}` cannot be written: give a .tsv or .json file in a directory that exists."
        raise InputError(msg)
    table, info = naming.name_sets(
        read_gene_sets(sets),
        engine="annotation" if engine == "annotation" else arg.make_engine(engine, adapter, batch_size, engine_option),
        checked=cascade,
        terms=terms,
        n_terms=n_terms,
        sampling=Sampling(max_new_tokens=max_new_tokens, temperature=temperature, seed=seed),
        store=store,
    )
    if output is None:
        _show(table)
    else:
        _write(table, info, output)
        print(f"wrote {len(table):,} gene sets to {output}")


def _show(table: pd.DataFrame) -> None:
    for id, row in table.iterrows():
        confidence = "" if row["confidence"] != row["confidence"] else f" ({row['confidence']:.2f})"
        print(f"{id}: {row['name'] or row['kept_at'] or 'no name'}{confidence}")
        if row["best_term"]:
            print(f"    {row['agreement']}: {row['best_term']}, q = {row['q_value']:.2g}")
        for claim in row["claims"]:
            print(f"    {claim['verdict']}: {claim['claim']}")


def _write(table: pd.DataFrame, info: dict[str, Any], output: Path) -> None:
    from bftembed._files import replacing

    try:
        with replacing(output) as made:
            if output.suffix == ".json":
                sets = json.loads(table.reset_index().to_json(orient="records"))
                made.write_text(json.dumps({"about": info, "sets": sets}, indent=1, ensure_ascii=False, default=str))
            else:
                _flat(table).to_csv(made, sep="\t", float_format="%.4g")
    except OSError as error:
        msg = f"`{output}` cannot be written ({error})."
        raise DataError(msg) from error


def _flat(table: pd.DataFrame) -> pd.DataFrame:
    """Lists as texts: a term with its q-value and genes, a claim with its verdict and evidence."""
    words: dict[str, Any] = {
        "terms": lambda each: f"{each['term']} (q={each['q_value']:.2g}: {' '.join(each['overlap'])})",
        "claims": lambda each: f"{each['claim']} [{each['verdict']}: {each['evidence']}]",
        "genes": str,
        "unknown": str,
    }
    listed = {name: ["; ".join(map(word, those)) for those in table[name]] for name, word in words.items()}
    flat = table.assign(**listed)
    texts = flat.select_dtypes(object).columns
    return flat.assign(**{name: [" ".join(str(text).split()) for text in flat[name]] for name in texts})
