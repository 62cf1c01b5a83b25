"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from bftembed._near import near_file
from bftembed._options import read_option
from bftembed.cli._names import is_list_of_names, read_names
from bftembed.errors import InputError

__all__ = ["is_list_of_names", "read_names"]

TEXTS, VECTORS = "Texts", "Vectors"
Kind = Literal["gene", "cell", "drug", "perturbation", "gene_set"]


def check_exists(path: Path, what: str = "") -> None:
    """Refuse a file that is not there, with the nearest name beside it; `what` says what it is of."""
    if not path.exists():
        msg = f"There is no file `{path}`{what}.{near_file(path)}"
        raise InputError(msg)


KindOption = Annotated[
    Kind,
    typer.Option(
        rich_help_panel=TEXTS,
        help="Of a list of names. Gene sets: a .gmt file, or lines of name, tab, genes with tabs between.",
    ),
]
AnyKindOption = Annotated[
    Literal["gene", "cell", "cell_type", "cluster", "drug", "perturbation", "gene_set"] | None,
    typer.Option(help="Names of this kind only; a cell or a cluster was measured, a cell_type named."),
]
EngineOption = Annotated[
    str,
    typer.Option(
        rich_help_panel=TEXTS,
        help="default | annotation | transformers:MODEL | openai:MODEL@http://host:port/v1 | vllm:MODEL, or a "
        "plug-in. MODEL is a directory or a hub id.",
    ),
]
AdapterOption = Annotated[
    Path | None,
    typer.Option(rich_help_panel=TEXTS, help="PEFT adapter to put on a transformers model.", file_okay=False),
]
BatchOption = Annotated[
    int | None,
    typer.Option(
        rich_help_panel=TEXTS, help="Sequences decoded together (transformers), requests in flight (openai).", min=1
    ),
]
EngineOptionsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--engine-option",
        rich_help_panel=TEXTS,
        metavar="NAME=VALUE",
        help="Further option of the engine's class, its value as JSON or text; may be repeated: dtype=bfloat16, "
        "extra_body='{\"temperature\": null}'.",
    ),
]
TemplateOption = Annotated[str | None, typer.Option(rich_help_panel=TEXTS, help="Name or file of a prompt template.")]
FactsOption = Annotated[
    Literal["auto", "auto+tissues", "none"],
    typer.Option(
        rich_help_panel=TEXTS,
        help="Facts of the gene tables in the prompt, also with tissues of RNA, or bare names.",
    ),
]
StoreOption = Annotated[
    Path | None, typer.Option(rich_help_panel=TEXTS, help="Profile store (SQLite); by default in the user cache.")
]
TokensOption = Annotated[int, typer.Option(rich_help_panel=TEXTS, help="Most tokens of one profile.", min=1)]
TemperatureOption = Annotated[float, typer.Option(rich_help_panel=TEXTS, help="0 is greedy.", min=0)]
SeedOption = Annotated[int, typer.Option(rich_help_panel=TEXTS, help="Seed of the sampling.")]
EncoderOption = Annotated[
    str,
    typer.Option(
        rich_help_panel=VECTORS,
        help="default | sentence-transformers:MODEL | openai:MODEL@http://host:port/v1 | file:VECTORS.parquet | none "
        "(texts only), or a plug-in.",
    ),
]
EncoderBatchOption = Annotated[int | None, typer.Option(rich_help_panel=VECTORS, help="Texts encoded together.", min=1)]
EncoderPromptOption = Annotated[
    str | None,
    typer.Option(rich_help_panel=VECTORS, help="Words before every text, e.g. 'passage: '; '' for none."),
]
EncoderPromptNameOption = Annotated[
    str | None,
    typer.Option(rich_help_panel=VECTORS, help="Name of one of the encoder's own prompts, e.g. document."),
]
EncoderQueryPromptOption = Annotated[
    str | None,
    typer.Option(rich_help_panel=VECTORS, help="Words before a text that is searched for later, e.g. 'query: '."),
]
EncoderDtypeOption = Annotated[
    Literal["float32", "float16", "bfloat16"] | None,
    typer.Option(rich_help_panel=VECTORS, help="By default float32; the others on a GPU, bfloat16 on some CPUs."),
]
EncoderBackendOption = Annotated[
    Literal["torch", "openvino"] | None,
    typer.Option(rich_help_panel=VECTORS, help="By default torch; openvino is faster on a CPU."),
]


def make_encoder(encoder: str, **options: Any) -> Any:
    """Encoder of the command line's options, made where there are any, else its name."""
    from bftembed.encoders import get_encoder

    given = {name: value for name, value in options.items() if value is not None}
    return get_encoder(encoder, **given) if given else encoder


def make_engine(
    engine: str, adapter: Path | None, batch_size: int | None, engine_options: list[str] | None = None
) -> Any:
    """Engine of the command line's options."""
    from bftembed.engines import get_engine

    given: dict[str, Any] = {"adapter": str(adapter)} if adapter else {}
    if batch_size and engine.partition(":")[0] in {"default", "transformers"}:
        given["batch_size"] = batch_size
    if batch_size and engine.startswith("openai:"):
        given["concurrency"] = batch_size
    return get_engine(engine, **given | read_options(engine, engine_options))


def read_options(engine: str, options: list[str] | None) -> dict[str, Any]:
    """Options of an engine as `NAME=VALUE`, read as its class wants them."""
    from bftembed.engines import engine_class

    found = {}
    for given in options or []:
        name, equals, value = given.partition("=")
        if not equals or not name.isidentifier():
            msg = f"`{given}` is no option of an engine; write it as NAME=VALUE, e.g. `dtype=bfloat16`."
            raise InputError(msg)
        found[name] = read_option(engine_class(engine), name, value)
    return found
