"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from bftembed.errors import InputError

_HEADERS = {"gene", "genes", "gene_name", "gene_symbol", "symbol", "name", "id", "drug", "compound", "perturbation"}
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
FactsOption = Annotated[str, typer.Option(help="auto: facts of the gene tables go into the prompt; none: bare names.")]
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


def read_names(path: Path) -> list[str]:
    """Names of a text file, one per line or the first column of a CSV or TSV; ``#`` starts a comment.

    A first line that names the column (gene, symbol, drug, ...) is left out.

    Raises
    ------
    InputError
        If it is no text, or holds no names.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        msg = f"`{path}` cannot be read as a list of names: it is no UTF-8 text ({error})."
        raise InputError(msg) from error
    names = [line.replace("\t", ",").split(",")[0].strip(" \"'") for line in lines if not line.lstrip().startswith("#")]
    names = [name for name in names if name]
    if names and names[0].casefold() in _HEADERS:
        names = names[1:]
    if not names:
        msg = f"`{path}` holds no names."
        raise InputError(msg)
    return list(dict.fromkeys(names))
