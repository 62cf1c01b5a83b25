"""What every command has: options that stand behind its name, and examples in its help."""

from __future__ import annotations

import functools
import inspect
import os
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bftembed._settings import settings

if TYPE_CHECKING:
    from collections.abc import Callable

#: Examples by command, shown in its help.
EXAMPLES = {
    "embed": (
        "bftembed embed cells.h5ad -o embedded.h5ad --engine annotation",
        "bftembed embed genes.txt -o vectors.csv --engine annotation",
        "bftembed embed genes.txt --dry-run",
    ),
    "browse": (
        "bftembed browse embedded.h5ad -o page.html",
        "bftembed browse genes.h5ad -o genes.html --query 'interferon response' --query 'DNA repair'",
    ),
    "demo": ("bftembed demo", "bftembed demo -o demo_annotation --engine annotation"),
    "doctor": ("bftembed doctor",),
    "name-sets": (
        "bftembed name-sets sets.gmt --engine annotation",
        "bftembed name-sets sets.gmt -o names.json --engine transformers:MODEL --cascade",
    ),
    "tune": ("bftembed tune embedded-cpu --show > tune.yaml", "bftembed tune tune.yaml --objective dft"),
    "study": (
        "bftembed study objectives embedded-cpu --dry-run",
        "bftembed study window embedded-cpu -o runs/window",
    ),
    "diagnose": ("bftembed diagnose refseq alpaca -o runs/diagnosis --limit 12",),
    "bench list": ("bftembed bench list -t gene_property",),
    "bench run": (
        "bftembed bench run -o runs/first -e random -e tfidf -e mine=file:vectors.csv -t gene_property --fast",
    ),
    "bench answers": ("bftembed bench answers runs/first -t medical.medqa -e model:default -o answers.jsonl",),
    "bench report": ("bftembed bench report runs/first -o report.html",),
    "bench overlap": ("bftembed bench overlap corpus/train.jsonl -t medical --results runs/first",),
    "corpus build": ("bftembed corpus build genes -o corpus/genes --limit 400",),
    "data example": ("bftembed data example", "bftembed data example trial --n-genes 20"),
    "data fetch": ("bftembed data fetch genes",),
    "data verify": ("bftembed data verify genes",),
    "genes check": ("bftembed genes check genes.txt",),
    "profiles write": ("bftembed profiles write genes.txt --max-new-tokens 128",),
    "profiles show": ("bftembed profiles show TP53 --prompt",),
    "profiles check": ("bftembed profiles check profiles.sqlite -o checks.md --genes-output genes.tsv",),
    "profiles export": ("bftembed profiles export texts.parquet",),
    "profiles bundle": (
        "bftembed profiles bundle profiles.sqlite -o texts --encoder default --licence cc-by-4.0",
        "bftembed embed cells.h5ad -o embedded.h5ad --profiles texts",
    ),
    "vectors": (
        "bftembed vectors embedded.h5ad -o genes.parquet",
        "bftembed vectors embedded.h5ad -o cells.csv --among cells",
    ),
}


_PANEL = "Every command"
_COMMON = {
    "common_quiet": Annotated[
        bool, typer.Option("--quiet", "-q", help="Warnings and errors only.", rich_help_panel=_PANEL)
    ],
    "common_verbose": Annotated[bool, typer.Option("--verbose", "-v", help="Details too.", rich_help_panel=_PANEL)],
    "common_threads": Annotated[
        int | None,
        typer.Option(
            "--threads",
            metavar="N",
            min=1,
            help="CPU threads of models; one is best where other work runs.",
            rich_help_panel=_PANEL,
        ),
    ],
}
_DEFAULTS = {"common_quiet": False, "common_verbose": False, "common_threads": None}


def _with_common_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Let `command` take ``-q``, ``-v`` and ``--threads`` behind its name."""
    signature = inspect.signature(command, eval_str=True)
    kind = inspect.Parameter.KEYWORD_ONLY
    common = [inspect.Parameter(n, kind, annotation=a, default=_DEFAULTS[n]) for n, a in _COMMON.items()]

    @functools.wraps(command)
    def run(**options: Any) -> Any:
        quiet, verbose, threads = (options.pop(name) for name in _COMMON)
        if quiet or verbose:
            settings.verbosity = "warning" if quiet else "debug"
        if threads:
            settings.threads = threads
        return command(**options)

    run.__signature__ = signature.replace(parameters=[*signature.parameters.values(), *common])  # type: ignore[attr-defined]
    return run


def start(*, quiet: bool) -> None:
    """Set up what is said and shown for one run of the command line."""
    settings.reset()
    if quiet or os.environ.get("RANK", "0") != "0":  # of several processes of one run the first speaks
        settings.verbosity = "warning"
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


def complete(app: typer.Typer, prefix: str = "") -> None:
    """Give every command of `app` the common options, and its examples."""
    for command in app.registered_commands:
        if command.callback is None:
            continue
        name = f"{prefix}{command.name or command.callback.__name__}"
        command.callback = _with_common_options(command.callback)
        if examples := EXAMPLES.get(name):
            command.epilog = "\n\n".join(["Examples:", *examples])
    for group in app.registered_groups:
        if group.typer_instance is not None:
            complete(group.typer_instance, f"{group.name} ")
