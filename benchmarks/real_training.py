"""Base, SFT, DFT and BFT on real text, with one recipe and the same tokens.

The embedded model learns to write gene profiles (LoRA). Measured on genes it never saw, on medical questions and
answers, and on general text (what it forgets): perplexity per supervised token, and the share of windows that are
dense in low confidences. One long run per objective, and a short one with several seeds.

    python benchmarks/real_training.py --output DIR --genes 1500 --short-genes 96 --seeds 3

Every run and every evaluation is kept in DIR; the same command goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np

OBJECTIVES = ("sft", "dft", "bft-v1", "bft")
WINDOW = 64
BATCH = 4
SETS = ("unseen genes", "medical QA", "general QA", "general text")
LOW, DENSITY, RUN = 0.1, 0.2, 6  # the diagnostic's defaults


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--genes", type=int, default=1500, help="of the long runs; 0 leaves them out")
    parser.add_argument("--short-genes", type=int, default=96)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--objectives", nargs="+", default=["sft", "dft", "bft"], choices=OBJECTIVES)
    parser.add_argument("--threads", type=int, default=0, help="of torch; 0 leaves torch's choice")
    options = parser.parse_args()
    if options.threads:
        import torch

        torch.set_num_threads(options.threads)

    corpus = corpora(options.output, max(options.genes, options.short_genes))
    evaluate(options.output, "base", None, corpus)
    plan = [
        (f"short-{objective}-seed{seed}", objective, options.short_genes, seed)
        for seed in range(options.seeds)
        for objective in options.objectives
    ]
    if options.genes:
        plan += [(f"long-{objective}", objective, options.genes, 0) for objective in options.objectives]
    for name, objective, genes, seed in plan:
        path = train(options.output, name, objective, genes, seed)
        evaluate(options.output, name, path, corpus)
        report(options)
    report(options)


def corpora(output: Path, genes: int) -> dict[str, Path]:
    """Files of training and evaluation samples."""
    import bftembed as bft
    from bftembed.tune import build_corpus

    for kind in ("genes", "pubmedqa"):
        if not (output / kind / "corpus.json").exists():
            build_corpus(kind, output / kind)
    files = {}
    lines = (output / "genes" / "train.jsonl").read_text().splitlines()
    if len(lines) < genes:
        raise SystemExit(f"the corpus has {len(lines)} genes, fewer than {genes}")
    files["train"] = output / "genes" / "train.jsonl"
    texts = {
        "unseen genes": (output / "genes" / "test.jsonl").read_text().splitlines()[:30],
        # By the question alone: the abstracts would be most of the work.
        "medical QA": [
            json.dumps({"prompt": row["question"], "response": row["messages"][-1]["content"]})
            for row in map(json.loads, (output / "pubmedqa" / "test.jsonl").read_text().splitlines()[:40])
        ],
        "general QA": [
            json.dumps({"prompt": f"{row['instruction']}\n{row['input']}".strip(), "response": row["output"]})
            for row in bft.data.load("alpaca")[:40]
        ],
        "general text": [json.dumps({"text": text[:1500]}) for text in bft.data.load("wiki") if len(text) > 800][:8],
    }
    for name, rows in texts.items():
        files[name] = output / f"{name.replace(' ', '-')}.jsonl"
        files[name].write_text("\n".join(rows) + "\n")
    return files


def train(output: Path, name: str, objective: str, genes: int, seed: int) -> Path:
    """One run of `genes` samples, once each, unless it is there."""
    from bftembed.tune.config import parse_config
    from bftembed.tune.run import tune

    path = output / "runs" / name
    if (path / "bft_report.json").exists():
        return path
    # Seeds draw other genes and another adapter to start from; objectives of one seed see the same genes in one order.
    lines = (output / "genes" / "train.jsonl").read_text().splitlines()
    rows = np.random.default_rng(seed).permutation(len(lines))[:genes]
    data = output / f"train-{genes}-{seed}.jsonl"
    data.write_text("\n".join(lines[row] for row in rows) + "\n")
    config = {
        "model": "default",
        "data": {"train": str(data), "max_length": 384},
        "objective": {"name": objective, "window": WINDOW} if objective.startswith("bft") else objective,
        "output": str(path),
        "training": {
            "batch_size": BATCH,
            "learning_rate": 5e-4,
            "seed": seed,
            "save_steps": 10,
            "keep_checkpoints": 1,
        },
    }
    begin = time.perf_counter()
    tune(parse_config(config))
    print(f"{name}: trained in {time.perf_counter() - begin:.0f} s", flush=True)
    return path


def evaluate(output: Path, name: str, path: Path | None, corpus: dict[str, Path]) -> None:
    """Log-probabilities of every supervised token of the evaluation sets, kept as arrays."""
    import torch

    from bftembed.tune.config import parse_config
    from bftembed.tune.data.dataset import Collator, load_dataset
    from bftembed.tune.loss.head import add_logprob_head, supervised_logprobs
    from bftembed.tune.trainable import find_start, load_trainable

    target = output / "evaluations" / f"{name}.npz"
    if target.exists():
        return
    begin = time.perf_counter()
    values = {"data": {"train": "-"}, "output": "-", "lora": None, "adapter": str(path) if path else None}
    config = parse_config(values)
    start = find_start(config)
    model, tokenizer = load_trainable(config, start), start.tokenizer
    model.eval()
    add_logprob_head(model)
    arrays = {}
    for key in SETS:
        dataset = load_dataset(corpus[key], tokenizer, max_length=512)
        collate = Collator(tokenizer.pad_token_id)
        logprobs, lengths = [], []
        for index in range(len(dataset)):
            with torch.no_grad():
                tokens, length = supervised_logprobs(model, collate([dataset[index]]))
            logprobs.append(tokens.logprobs.numpy())
            lengths += length.tolist()
        arrays[f"{key}/logprobs"], arrays[f"{key}/lengths"] = np.concatenate(logprobs), np.array(lengths)
    target.parent.mkdir(exist_ok=True)
    np.savez(target.with_suffix(".tmp.npz"), **arrays)
    target.with_suffix(".tmp.npz").rename(target)
    print(f"{name}: evaluated in {time.perf_counter() - begin:.0f} s", flush=True)


def measure(path: Path) -> dict[str, dict[str, np.ndarray]]:
    """Per sample of every set: summed negative log-likelihood, tokens, windows, dense-low windows."""
    from bftembed.tune.diagnosis.windows import longest_runs, window_bounds

    arrays = np.load(path)
    result = {}
    for key in SETS:
        logprobs, lengths = arrays[f"{key}/logprobs"].astype(float), arrays[f"{key}/lengths"]
        rows = []
        for sample in np.split(logprobs, np.cumsum(lengths)[:-1]):
            begins, size = window_bounds(len(sample), WINDOW, WINDOW // 4)
            low = np.lib.stride_tricks.sliding_window_view(np.exp(sample) < LOW, size)[begins]
            dense = (low.mean(1) >= DENSITY) & (longest_runs(low) >= RUN)
            rows.append((-sample.sum(), len(sample), len(begins), dense.sum()))
        result[key] = dict(zip(("nll", "tokens", "windows", "dense"), np.array(rows, dtype=float).T, strict=True))
    return result


def perplexity(values: dict[str, np.ndarray], rows: np.ndarray | slice = slice(None)) -> float:
    return float(np.exp(values["nll"][rows].sum() / values["tokens"][rows].sum()))


def share(values: dict[str, np.ndarray], rows: np.ndarray | slice = slice(None)) -> float:
    return float(values["dense"][rows].sum() / values["windows"][rows].sum())


def interval(statistic, values: dict[str, np.ndarray]) -> tuple[float, float]:
    """95 % percentile bootstrap over samples."""
    rng = np.random.default_rng(0)
    n = len(values["tokens"])
    draws = [statistic(values, rng.integers(0, n, n)) for _ in range(2000)]
    return tuple(float(value) for value in np.percentile(draws, [2.5, 97.5]))


def report(options: argparse.Namespace) -> None:
    """Write what there is so far as Markdown."""
    found = {path.stem: measure(path) for path in sorted((options.output / "evaluations").glob("*.npz"))}
    found = {name: values for name, values in found.items() if not name.endswith(".tmp")}
    header = "| | " + " | ".join(f"{key}: perplexity | dense-low" for key in SETS) + " |\n|---" + "|---|---" * 4 + "|\n"
    text = f"One run per objective on {options.genes} genes, 95 % bootstrap interval over samples:\n\n{header}"
    for name in ("base", *(f"long-{objective}" for objective in options.objectives)):
        if name in found:
            cells = [
                f"{statistic(found[name][key]):{form}} [{low:{form}}, {high:{form}}]"
                for key in SETS
                for statistic, form in ((perplexity, ".2f"), (share, ".3f"))
                for low, high in [interval(statistic, found[name][key])]
            ]
            text += f"| {name.removeprefix('long-')} | " + " | ".join(cells) + " |\n"
    text += f"\n{options.short_genes} genes, mean ± standard deviation over seeds:\n\n{header}"
    for objective in options.objectives:
        runs = [values for name, values in found.items() if name.startswith(f"short-{objective}-seed")]
        if runs:
            cells = [
                f"{np.mean(scores):{form}} ± {np.std(scores, ddof=1) if len(scores) > 1 else float('nan'):{form}}"
                for key in SETS
                for statistic, form in ((perplexity, ".2f"), (share, ".3f"))
                for scores in [[statistic(values[key]) for values in runs]]
            ]
            text += f"| {objective} ({len(runs)} seeds) | " + " | ".join(cells) + " |\n"
    (options.output / "report.md").write_text(text)


if __name__ == "__main__":
    main()
