"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from bftembed.cli._names import is_list_of_names, read_names

__all__ = ["is_list_of_names", "read_names"]

EngineOption = Annotated[
    str,
    typer.Option(
        help="default | annotation | transformers:MODEL | openai:MODEL@http://host:port/v1 | vllm:MODEL. "
        "MODEL is a directory or a hub id."
    ),
]
AdapterOption = Annotated[
    Path | None, typer.Option(help="PEFT adapter directory to put on a transformers model.", file_okay=False)
]
BatchOption = Annotated[
    int | None, typer.Option(help="Sequences decoded together (transformers), requests in flight (openai).", min=1)
]
EncoderOption = Annotated[
    str, typer.Option(help="default | sentence-transformers:MODEL | openai:MODEL@http://host:port/v1.")
]
TemplateOption = Annotated[str | None, typer.Option(help="Name or file of a prompt template.")]
FactsOption = Annotated[
    Literal["auto", "none"], typer.Option(help="auto: facts of the gene tables go into the prompt; none: bare names.")
]
KindOption = Annotated[
    Literal["gene", "cell", "drug", "perturbation", "gene_set"],
    typer.Option(help="Of a list of names. Gene sets: a .gmt file, or lines of name, tab, genes with tabs between."),
]
StoreOption = Annotated[Path | None, typer.Option(help="Profile store (SQLite); by default in the user cache.")]
TokensOption = Annotated[int, typer.Option(help="Most tokens of one profile.", min=1)]
TemperatureOption = Annotated[float, typer.Option(help="0 is greedy.", min=0)]
SeedOption = Annotated[int, typer.Option(help="Seed of the draw.")]


def make_engine(engine: str, adapter: Path | None, batch_size: int | None) -> Any:
    """Engine of the command line's options."""
    from bftembed.engines import get_engine

    options: dict[str, Any] = {"adapter": str(adapter)} if adapter else {}
    if batch_size and engine.partition(":")[0] in {"default", "transformers"}:
        options["batch_size"] = batch_size
    if batch_size and engine.startswith("openai:"):
        options["concurrency"] = batch_size
    if engine == "default":
        engine = "transformers:default"
    return get_engine(engine, **options)
