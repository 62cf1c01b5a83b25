"""The teacher-forcing diagnostic on real text: gene summaries and abstracts against answers and articles.

    python benchmarks/diagnostic.py --output DIRECTORY

Reads RefSeq summaries of human genes and PubMedQA's abstracts (biomedical), Alpaca's answers and articles of Wikipedia
(general) with the embedded model. What a window shows depends on its length and on what the model has read before, so
all texts are cut into segments of exactly the same number of tokens, each read on its own; what is left over, and texts
that are shorter, are left out. Every corpus gives the same number of segments, and so of tokens, drawn evenly over its
texts; there are 30 articles only, and since intervals come from a bootstrap over texts, that of the articles is wide.

Writes diagnostic.json (everything), diagnostic.md (tables) and confidence.png. The confidences of a corpus are kept in
DIRECTORY/confidences as soon as they are there: a run that was killed goes on with the next corpus, and other
thresholds, windows or words cost no reading.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np

import bftembed as bft
from bftembed.engines.transformers import TransformersEngine
from bftembed.tune.diagnosis import tables
from bftembed.tune.diagnosis.analysis import Diagnosis, DiagnosisSettings, analyse, draw_pieces
from bftembed.tune.diagnosis.confidences import TokenTrack, checked_length, score
from bftembed.tune.diagnosis.corpora import BIOMEDICAL, CORPORA, read_corpora

if TYPE_CHECKING:
    import pandas as pd


def read(engine, name: str, texts: list[str], settings: DiagnosisSettings, output: Path, batch_size: int):
    """Confidences of a corpus: those that were kept, if they are of these very tokens, else made now and kept."""
    model, tokenizer = engine.load()
    length = checked_length(model, settings.length + 1)
    pieces = draw_pieces(tokenizer, texts, length, name=name, settings=settings)
    inputs = np.stack([piece.inputs for piece in pieces])
    described = engine.describe()
    digest = (described["adapter"] or described["revision"]).removeprefix("sha256:")[:12]
    path = output / "confidences" / f"{name}-{digest}-{settings.length}-{len(pieces)}-{settings.seed}.npz"
    if path.exists():
        with np.load(path) as kept:
            if np.array_equal(kept["inputs"], inputs):
                return [
                    TokenTrack(p.document, p.part, p.text, p.inputs[1:], p.spans, confidence)
                    for p, confidence in zip(pieces, kept["confidence"], strict=True)
                ]
    begin = time.perf_counter()
    tracks = score(model, pieces, batch_size=batch_size)
    seconds = time.perf_counter() - begin
    print(f"{name}: {inputs.size:,} tokens in {seconds:.0f} s, {inputs.size / seconds:.0f} per second", flush=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    with temporary.open("wb") as file:
        np.savez_compressed(file, inputs=inputs, confidence=np.stack([track.confidence for track in tracks]))
    temporary.replace(path)
    return tracks


def percent(value: float) -> str:
    return "-" if np.isnan(value) else f"{100 * value:.1f}"


def cell(row, key: str) -> str:
    """Percent with its interval."""
    low, high = row[f"{key}_lower"], row[f"{key}_upper"]
    return percent(row[key]) + ("" if np.isnan(low) else f" ({percent(low)} to {percent(high)})")


def table(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines) + "\n"


def shares_markdown(diagnosis: Diagnosis) -> str:
    rows = [
        [
            *(row["corpus"], row["texts"], row["windows"], percent(row["low_tokens"]), percent(row["share_a"])),
            *(cell(row, "share_b"), percent(row["share_b_shuffled"]), cell(row, "excess")),
        ]
        for row in diagnosis.table().to_dict("records")
    ]
    return table(["%", "texts", "windows", "low tokens", "A", "B", "B if shuffled", "B less shuffled"], rows)


def grid_markdown(diagnosis: Diagnosis, corpus: str, key: str) -> str:
    """Rows: low and density; columns: run."""
    frame = diagnosis.shares[diagnosis.shares["corpus"] == corpus]
    runs = sorted(frame["run"].unique())
    rows = [
        [f"{low:g}", f"{density:g}", *(cell(row, key) for row in part.sort_values("run").to_dict("records"))]
        for (low, density), part in frame.groupby(["low", "density"])
    ]
    return table(["low", "density", *(f"run {run}" for run in runs)], rows)


def enrichment_markdown(frame: pd.DataFrame) -> str:
    rows = []
    for row in frame.to_dict("records"):
        low, high = row["ratio_lower"], row["ratio_upper"]
        ratio = "-" if np.isnan(row["ratio"]) else f"{row['ratio']:.2f}"
        ratio += "" if np.isnan(low) else f" ({low:.2f} to {high:.2f})"
        counts = [f"{row[f'matches_{g}']} ({row[f'per_1000_{g}']:.2f})" for g in ("a", "b")]
        rows.append([row["corpus"], row["lexicon"], *counts, ratio, row["note"]])
    return table(["corpus", "words", "in A (per 1,000 tokens)", "in B", "B / A", "note"], rows).replace("(nan)", "")


def markdown(diagnosis: Diagnosis) -> str:
    s = diagnosis.settings
    read_rows = [list(map(str, row)) for row in diagnosis.corpora.round(3).itertuples(index=False)]
    parts = [
        "# The teacher-forcing diagnostic\n",
        f"Model: {diagnosis.model['model']}, {diagnosis.model['dtype']}; {diagnosis.model['version']}.",
        f"Segments of {s.length} tokens, the first {s.skip} in no window; windows of at most {s.window} tokens.",
        f"Intervals: {s.confidence_level:.0%}, percentile bootstrap over texts ({s.resamples} resamples).\n",
        table(list(diagnosis.corpora.columns), read_rows),
        f"## Share of the windows at low {s.low:g}, density {s.density:g}, run {s.run}\n",
        shares_markdown(diagnosis),
        "## Over the grid\n",
        "\n".join(f"- {line}" for line in diagnosis.verdict().splitlines()) + "\n",
    ]
    for corpus in diagnosis.shares["corpus"].unique():
        parts += [f"### Group B, {corpus} (%)\n", grid_markdown(diagnosis, corpus, "share_b")]
    parts += ["### B less shuffled, difference (%)\n", grid_markdown(diagnosis, tables.DIFFERENCE, "excess")]
    parts += ["## Words in B against A\n", enrichment_markdown(diagnosis.enrichment_table())]
    pooled = diagnosis.enrichment[diagnosis.enrichment["corpus"] == tables.POOLED]
    thresholds = [f"low {row.low:g}, density {row.density:g}, run {row.run}" for row in pooled.itertuples()]
    parts += ["### Pooled, over the grid\n", enrichment_markdown(pooled.assign(corpus=thresholds))]
    return "\n".join(parts)


def main() -> None:
    """Read, analyse, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--segments", type=int, default=300, help="segments of each corpus, at most")
    parser.add_argument("--length", type=int, default=144, help="tokens of a segment")
    parser.add_argument("--window", type=int, default=256, help="tokens of a window; a segment that is shorter is one")
    parser.add_argument("--corpora", nargs="+", default=["refseq", "pubmedqa", "alpaca", "wiki"], choices=list(CORPORA))
    parser.add_argument("--model", default="default")
    parser.add_argument("--adapter")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    mpl.use("Agg")
    logging.basicConfig(format="%(message)s", stream=sys.stderr)
    logging.getLogger("bftembed").setLevel(logging.INFO)
    settings = DiagnosisSettings(length=args.length, limit=args.segments, window=args.window, seed=args.seed)
    engine = TransformersEngine(args.model, adapter=args.adapter)
    tracks = {
        name: read(engine, name, texts, settings, args.output, args.batch_size)
        for name, texts in read_corpora(args.corpora).items()
    }
    biomedical = [name for name in BIOMEDICAL if name in tracks]
    diagnosis = analyse(tracks, biomedical=biomedical, settings=settings, model=engine.describe())
    diagnosis.to_json(args.output / "diagnostic.json")
    (args.output / "diagnostic.md").write_text(markdown(diagnosis), encoding="utf-8")
    bft.pl.confidence(diagnosis, show=False, save=args.output / "confidence.png")
    print(diagnosis.report())


if __name__ == "__main__":
    main()
