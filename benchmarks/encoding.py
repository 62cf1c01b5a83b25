"""Texts per second of the encoder: before, now, and with each back end, in paired runs.

    python benchmarks/encoding.py --output FILE.json [--texts 2000] [--rounds 3] [--threads 1] [--part speed|genes|all]

`speed`: annotations of genes of 120 to 180 tokens with the embedded encoder. One round is a pass of every variant over
the same slice of the texts, the slices being different; so all variants meet the same load of the machine. `before` is
what this package did until version 0.1: blocks of 256 texts in the order of their characters, batches of 32 in
sentence-transformers. The first pass of each variant, over 32 texts, is not counted. Printed are medians, the ranges
of the ratios to `before`, and processor time, which a busy machine changes less.

A back end was chosen by this rule, which was written down before any was run: the smallest cosine to `before` over all
texts is at least 0.999 (each gene's vector is used by itself; the mean says too little); it installs beside
constraints.txt; of those the fastest. The default stays torch in float32, which made all published results.

`genes`: 15,000 annotations of genes through `encode_cached` into an empty cache, once for `before` (2,048 texts of
every 15,000, scaled) and once for every variant in `--variants`.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

#: Options of `get_encoder("default", ...)` of each variant.
VARIANTS = {
    "before": {},
    "torch": {},
    "torch-bfloat16": {"dtype": "bfloat16"},
    "openvino": {"backend": "openvino"},
    "openvino-bfloat16": {"backend": "openvino", "dtype": "bfloat16"},
}
STEP = 2048


def annotations(n: int) -> list[str]:
    """What the annotation engine gives for the first `n` protein-coding genes."""
    from bftembed.datasets import gene_facts, protein_coding_genes, required
    from bftembed.profiles import load_template
    from bftembed.profiles.entity import Entity

    facts = required(gene_facts(), "genes")
    genes = list(required(protein_coding_genes(), "genes").index)[:n]
    template = load_template("annotation")
    return [template.render(Entity("gene", gene, facts.of(gene))).user for gene in genes]


def made(name: str, threads: int):
    from bftembed.encoders import SentenceTransformersEncoder, get_encoder

    class Before(SentenceTransformersEncoder):
        """The path of version 0.1: blocks of 256 texts by characters, batches of 32."""

        def _encode(self, texts, *, query):
            order = np.argsort([-len(text) for text in texts])
            blocks = [
                self._load().encode([texts[i] for i in order[start : start + 256]], batch_size=32)
                for start in range(0, len(texts), 256)
            ]
            return np.concatenate(blocks)[np.argsort(order)]

    return Before(threads=threads) if name == "before" else get_encoder("default", threads=threads, **VARIANTS[name])


def timed(function):
    wall, cpu = time.perf_counter(), time.process_time()
    result = function()
    return result, time.perf_counter() - wall, time.process_time() - cpu


def speed(texts, names, rounds, threads, save):
    encoders = {name: made(name, threads) for name in names}
    for encoder in encoders.values():
        encoder.encode(texts[:32])
    vectors = {name: [] for name in names}
    runs = []
    for i, part in enumerate(np.array_split(np.arange(len(texts)), rounds)):
        batch = [texts[j] for j in part]
        for name in names if i % 2 == 0 else names[::-1]:
            (found, _), wall, cpu = timed(lambda name=name, batch=batch: encoders[name].encode(batch))
            vectors[name].append(found)
            runs.append({"round": i, "variant": name, "n": len(batch), "wall_s": wall, "cpu_s": cpu})
            save({"runs": runs})
    exact = np.concatenate(vectors["before"]).astype(np.float64)
    table = {}
    for name in names:
        mine = [run for run in runs if run["variant"] == name]
        base = [run for run in runs if run["variant"] == "before"]
        ratios = {k: [b[k] / a[k] for a, b in zip(mine, base, strict=True)] for k in ("wall_s", "cpu_s")}
        other = np.concatenate(vectors[name]).astype(np.float64)
        cosine = np.sum(other * exact, axis=1) / np.linalg.norm(other, axis=1) / np.linalg.norm(exact, axis=1)
        table[name] = {
            "texts_per_s": statistics.median(run["n"] / run["wall_s"] for run in mine),
            "texts_per_cpu_s": statistics.median(run["n"] / run["cpu_s"] for run in mine),
            "ratio": [statistics.median(ratios["wall_s"]), min(ratios["wall_s"]), max(ratios["wall_s"])],
            "ratio_cpu": [statistics.median(ratios["cpu_s"]), min(ratios["cpu_s"]), max(ratios["cpu_s"])],
            "cosine": {"min": cosine.min(), "p1": np.percentile(cosine, 1), "mean": cosine.mean()},
            "largest_difference": np.abs(other - exact).max(),
            "same_10_nearest": shared(exact, other),
        }
        print(name, json.dumps(table[name], default=float), flush=True)
    save({"table": table})


def shared(a, b, k: int = 10) -> float:
    """Share of the k nearest texts that two sets of vectors agree in."""

    def nearest(x):
        x = x / np.linalg.norm(x, axis=1, keepdims=True)
        likeness = x @ x.T
        np.fill_diagonal(likeness, -2)
        return np.argpartition(-likeness, k, axis=1)[:, :k]

    k = min(k, len(a) - 2)
    pairs = zip(nearest(a), nearest(b), strict=True)
    return float(np.mean([len(set(x) & set(y)) / k for x, y in pairs]))


def genes(texts, names, threads, save):
    from bftembed.encoders import encode_cached

    done = {}
    for name in names:
        encoder = made(name, threads)
        if name == "before":
            some = [texts[i] for i in np.random.default_rng(0).permutation(len(texts))[:STEP]]
            _, wall, cpu = timed(lambda encoder=encoder, some=some: encoder.encode(some))
            scale = len(texts) / len(some)
        else:
            with tempfile.TemporaryDirectory() as directory:
                cache = Path(directory) / "vectors.sqlite"
                _, wall, cpu = timed(lambda e=encoder, c=cache: encode_cached(texts, e, cache=c, progress=False))
            scale = 1
        done[name] = {"n": len(texts), "measured": round(len(texts) / scale), "s": wall * scale, "cpu_s": cpu * scale}
        print(name, json.dumps(done[name]), flush=True)
        save({"genes": done})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--texts", type=int, default=2000)
    parser.add_argument("--genes", type=int, default=15000)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--part", choices=["speed", "genes", "all"], default="all")
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    options = parser.parse_args()
    names = ["before", *(name for name in options.variants if name != "before")]
    kept = {"threads": options.threads, "cores": os.cpu_count(), "load_before": os.getloadavg()}

    def save(more):
        kept.update(more, load=os.getloadavg())
        options.output.write_text(json.dumps(kept, indent=1, default=float))

    texts = annotations(options.genes)
    if options.part != "genes":
        from bftembed.encoders import get_encoder

        lengths = get_encoder("default").count_tokens(texts)
        chosen = [text for text, n in zip(texts, lengths, strict=True) if 120 <= n <= 180]
        speed(chosen[: options.texts], names, options.rounds, options.threads, save)
    if options.part != "speed":
        genes(texts, names, options.threads, save)


if __name__ == "__main__":
    main()
