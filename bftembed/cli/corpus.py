"""``bftembed corpus``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

app = typer.Typer(help="Corpora to train on.", no_args_is_help=True)


@app.callback()
def corpus() -> None:
    """Corpora to train on."""


@app.command()
def build(
    kind: Annotated[
        Literal["genes", "pubmedqa", "medical"],
        typer.Argument(help="Profiles from annotation, questions and answers, or medical questions with reasoning."),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Directory of the corpus.", file_okay=False)],
    limit: Annotated[int | None, typer.Option(help="So many samples at most.", min=1)] = None,
    seed: Annotated[int, typer.Option(help="Of the split.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a corpus.")] = False,
) -> None:
    """Write a supervised corpus: train.jsonl, validation.jsonl, test.jsonl, corpus.json."""
    from bftembed.tune import build_corpus

    report = build_corpus(kind, output, limit=limit, seed=seed, overwrite=overwrite)
    for split, count in report.samples.items():
        print(f"{split}: {count:,}")
    for reason, count in report.left_out.items():
        if count:
            print(f"left out, {reason}: {count:,}")
    print(f"written to {report.path}")
