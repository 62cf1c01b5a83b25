"""``bftembed diagnose``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bftembed._files import make_directory
from bftembed.cli import _arguments as arg


def diagnose(
    texts: Annotated[
        list[str],
        typer.Argument(
            help="Text files (a text per line), .jsonl with `text`, or refseq, pubmedqa, huatuogpt_o1, alpaca, wiki."
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Directory of the result.", file_okay=False)],
    model: Annotated[str, typer.Option(help="default, a directory or a hub id.")] = "default",
    adapter: arg.AdapterOption = None,
    biomedical: Annotated[
        list[str] | None,
        typer.Option(help="A corpus that is biomedical (a file's name without its ending); can be repeated."),
    ] = None,
    window: Annotated[int, typer.Option(help="Tokens in a window.")] = 256,
    stride: Annotated[int | None, typer.Option(help="Tokens between windows; a quarter of one by default.")] = None,
    low: Annotated[float, typer.Option(help="A token is low if its confidence is below this.")] = 0.1,
    density: Annotated[float, typer.Option(help="Least share of low tokens of windows in group A or B.")] = 0.2,
    run: Annotated[int, typer.Option(help="Least low tokens in a row in group B.")] = 6,
    skip: Annotated[int, typer.Option(help="Tokens at the start of a text that lie in no window.")] = 16,
    length: Annotated[
        int | None, typer.Option(help="Cut texts into segments of exactly so many tokens, to compare corpora.")
    ] = None,
    limit: Annotated[int | None, typer.Option(help="Most texts or segments of a corpus.")] = None,
    batch_size: Annotated[int, typer.Option(help="Texts read together.", min=1)] = 8,
    seed: arg.SeedOption = 0,
) -> None:
    """Find where a model's low confidences stand together, in biomedical and in general text."""
    from bftembed.pl import confidence
    from bftembed.tune import diagnosis
    from bftembed.tune.diagnosis.corpora import BIOMEDICAL, read_corpora

    settings = diagnosis.DiagnosisSettings(
        window=window,
        stride=stride,
        low=low,
        density=density,
        run=run,
        skip=skip,
        length=length,
        limit=limit,
        seed=seed,
    )
    corpora = read_corpora(texts)
    make_directory(output)
    known = [name for name in BIOMEDICAL if name in texts]
    result = diagnosis.diagnose(
        corpora,
        biomedical=list(dict.fromkeys([*known, *(biomedical or [])])),
        model=model,
        adapter=str(adapter) if adapter else None,
        settings=settings,
        batch_size=batch_size,
    )
    result.shares.to_csv(output / "table.tsv", sep="\t", index=False)
    result.enrichment.to_csv(output / "enrichment.tsv", sep="\t", index=False)
    result.to_json(output / "diagnosis.json")
    confidence(result, show=False, save=output / "confidence.png")
    print(result.report())
    print(f"\nwrote table.tsv, enrichment.tsv, diagnosis.json and confidence.png into {output}")
