"""The command ``bftembed``: one thin command per verb."""

from __future__ import annotations

import errno
import sys
import warnings
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

import bftembed
from bftembed._optional import advice
from bftembed.cli import (
    _ray,
    bench,
    browse,
    corpus,
    data,
    demo,
    diagnose,
    doctor,
    embed,
    genes,
    name_sets,
    profiles,
    study,
    tune,
    vectors,
)
from bftembed.cli._common import complete, start
from bftembed.errors import BftembedError, InputError

_INTERRUPTED = 130  # what typer makes of Ctrl-C


class _Commands(TyperGroup):
    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Refuse what no file can be called, in whatever option it stands."""
        if wrong := [each for each in args if "\0" in each]:
            msg = f"{wrong[0]!r} has a NUL byte, which no name and no path can have; leave that out."
            raise InputError(msg)
        return super().parse_args(ctx, args)


app = typer.Typer(
    name="bftembed",
    cls=_Commands,
    help="Embeddings of genes, cells and perturbations from profile texts that a language model writes.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)
app.command("embed", cls=_ray.Command)(embed.embed)
app.command("vectors")(vectors.vectors)
app.command("name-sets")(name_sets.name_sets)
app.command("tune")(tune.tune)
app.command("study")(study.study)
app.command("browse")(browse.browse)
app.command("diagnose")(diagnose.diagnose)
app.command("doctor")(doctor.doctor)
app.command("demo")(demo.demo)
app.add_typer(profiles.app, name="profiles")
app.add_typer(genes.app, name="genes")
app.add_typer(data.app, name="data")
app.add_typer(corpus.app, name="corpus")
app.add_typer(bench.app, name="bench")
complete(app)


@app.callback(invoke_without_command=True)
def options(
    version: Annotated[bool, typer.Option("--version", help="Print the version and end.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Warnings and errors only.")] = False,
) -> None:
    """Embed genes, cells and perturbations, and measure what the embeddings are worth."""
    if version:
        print(bftembed.__version__)
        raise typer.Exit
    start(quiet=quiet)
    warnings.showwarning = _show_warning


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
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        print(f"error: a path is too long for a file: {str(error.filename)[:60]!r}...", file=sys.stderr)
        sys.exit(1)
    except ModuleNotFoundError as error:
        if not (line := advice(error.name or "")):
            raise
        print(f"error: {line}", file=sys.stderr)
        sys.exit(1)
    except SystemExit as end:
        if end.code == _INTERRUPTED:
            print("\nstopped; what was finished is stored, run the same command again to go on.", file=sys.stderr)
        raise
