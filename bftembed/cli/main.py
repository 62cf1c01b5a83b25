"""The command ``bftembed``: one thin command per verb."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from typing import Annotated

import typer

import bftembed
from bftembed.cli import bench, corpus, data, demo, diagnose, doctor, embed, genes, profiles, tune
from bftembed.errors import BftembedError

_INTERRUPTED = 130  # what typer makes of Ctrl-C

app = typer.Typer(
    name="bftembed",
    help="Embeddings of genes, cells and perturbations from profile texts that a language model writes.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("embed")(embed.embed)
app.command("tune")(tune.tune)
app.command("diagnose")(diagnose.diagnose)
app.command("doctor")(doctor.doctor)
app.command("demo")(demo.demo)
app.add_typer(profiles.app, name="profiles")
app.add_typer(genes.app, name="genes")
app.add_typer(data.app, name="data")
app.add_typer(corpus.app, name="corpus")
app.add_typer(bench.app, name="bench")


@app.callback(invoke_without_command=True)
def options(
    version: Annotated[bool, typer.Option("--version", help="Print the version and end.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Warnings and errors only.")] = False,
) -> None:
    """Set up logging for the command line."""
    if version:
        print(bftembed.__version__)
        raise typer.Exit
    logging.basicConfig(format="%(message)s", stream=sys.stderr)
    # Of several processes of one run the first speaks.
    quiet = quiet or os.environ.get("RANK", "0") != "0"
    logging.getLogger("bftembed").setLevel(logging.WARNING if quiet else logging.INFO)
    warnings.showwarning = _show_warning
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


def _show_warning(message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
    """A line for the user; no source line."""
    if category.__module__.startswith("bftembed"):
        print(f"warning: {message}", file=sys.stderr)


def run() -> None:
    """Run the command line; an error of this package is one message, not a traceback."""
    try:
        app()
    except BftembedError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except SystemExit as end:
        if end.code == _INTERRUPTED:
            print("\nstopped; what was finished is stored, run the same command again to go on.", file=sys.stderr)
        raise
