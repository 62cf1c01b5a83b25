"""Scoring of options: a forward for each option, as this package did before, beside `score_many`.

    BFTEMBED_CACHE=DIR python benchmarks/scoring.py --output DIR

MedQA questions as chats that end in "Answer:", with the letters as options (200 questions), then with the texts of the
answers as options (40). The questions are cut into parts, and in each part the two programs take turns, the one or the
other first; every part is kept in DIR as it ends. Log-probabilities have to agree within 1e-4 and ranks to be equal.
Seconds are of the wall clock, and beside them of the processor, which other work on the machine moves less.

    python benchmarks/scoring.py --output DIR --flips

The same 64 questions alone and in batches, in float32 and in bfloat16: how far log-probabilities move, and in how many
questions the best option is another.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

import torch

from bftembed import data
from bftembed.engines import Request, TransformersEngine
from bftembed.models.chat import prompt_ids

Values = list[list[float]]
Part = tuple[list[Request], list[list[str]]]
LIMIT = 1e-4


def questions(n: int) -> list[tuple[Request, list[str], list[str]]]:
    """A request, its letters and the texts of its answers, of `n` questions spread over the file."""
    rows = data.load("medqa", "test")
    asked = []
    for number, row in enumerate(rows[:: len(rows) // n][:n]):
        lines = "\n".join(f"{letter}) {text}" for letter, text in row["options"].items())
        user = f"{row['question']}\n{lines}\nAnswer with the letter of the right option: A, B, C or D."
        letters, texts = ([f" {option}" for option in options] for options in (row["options"], row["options"].values()))
        asked.append((Request(str(number), user, prefix="Answer:"), letters, texts))
    return asked


def one_by_one(engine: TransformersEngine, requests: list[Request], options: list[list[str]]) -> Values:
    """A forward of the prompt with each option, its logits at every token."""
    model, tokenizer = engine.load()
    found = []
    for request, given in zip(requests, options, strict=True):
        prompt = prompt_ids(request.chat, tokenizer, prefix=request.prefix)
        found.append([])
        for option in given:
            answer = tokenizer(option, add_special_tokens=False)["input_ids"]
            ids = torch.tensor([[*prompt, *answer]], device=model.device)
            with torch.inference_mode():
                log_p = model(ids).logits[0, len(prompt) - 1 : -1].float().log_softmax(-1)
            found[-1].append(float(log_p.gather(-1, ids[0, len(prompt) :, None]).sum()))
    return found


def batched(engine: TransformersEngine, requests: list[Request], options: list[list[str]]) -> Values:
    """`score_many`."""
    done = {one.id: one for batch in engine.score_many(requests, options) for one in batch}
    return [[option.logprob for option in done[request.id].options] for request in requests]


def ranks(values: Values) -> list[list[int]]:
    """Options of each question from the best to the worst."""
    return [sorted(range(len(each)), key=lambda n: -each[n]) for each in values]


def apart(some: Values, others: Values) -> float:
    """Largest difference."""
    pairs = zip(some, others, strict=True)
    return max(abs(a - b) for one, other in pairs for a, b in zip(one, other, strict=True))


def compare(engine: TransformersEngine, part: Part, *, turned: bool) -> dict[str, Any]:
    """Both programs on one part."""
    programs = {"one by one": one_by_one, "score_many": batched}
    row: dict[str, Any] = {"questions": len(part[0])}
    found: dict[str, Values] = {}
    for name in [*programs][::-1] if turned else programs:
        began, busy = time.perf_counter(), time.process_time()
        found[name] = programs[name](engine, *part)
        row[f"{name}: s"] = time.perf_counter() - began
        row[f"{name}: CPU s"] = time.process_time() - busy
    row["apart"] = apart(*found.values())
    row["other ranks"] = sum(a != b for a, b in zip(*map(ranks, found.values()), strict=True))
    return row


def report(kind: str, rows: list[dict[str, Any]]) -> str:
    """Speed, agreement and the goal in words."""
    n = sum(row["questions"] for row in rows)
    lines = []
    for unit in ("s", "CPU s"):
        before, after = (sum(row[f"{name}: {unit}"] for row in rows) for name in ("one by one", "score_many"))
        ratios = [row[f"one by one: {unit}"] / row[f"score_many: {unit}"] for row in rows]
        lines.append(
            f"{kind}, {n} questions, per {unit}: {n / before:.2f} one by one, {n / after:.2f} by score_many: "
            f"{before / after:.2f} times (median of parts {statistics.median(ratios):.2f}, {min(ratios):.2f} to "
            f"{max(ratios):.2f})"
        )
    worst, other = max(row["apart"] for row in rows), sum(row["other ranks"] for row in rows)
    lines.append(f"{kind}: log-probabilities apart by at most {worst:.1e} (limit {LIMIT:.0e}); other ranks: {other}")
    return "\n".join(lines)


def flips(model: str, asked: list[tuple[Request, list[str], list[str]]], threads: int) -> dict[str, Any]:
    """Alone against in batches, in two precisions."""
    requests, letters = [each[0] for each in asked], [each[1] for each in asked]
    found = {
        (dtype, size): batched(
            TransformersEngine(model, dtype=dtype, batch_size=size, threads=threads), requests, letters
        )
        for dtype in ("float32", "bfloat16")
        for size in (1, 64)
    }
    best = {case: [max(range(len(each)), key=each.__getitem__) for each in values] for case, values in found.items()}
    pairs = {
        "float32, alone and in batches": (("float32", 1), ("float32", 64)),
        "bfloat16, alone and in batches": (("bfloat16", 1), ("bfloat16", 64)),
        "alone, float32 and bfloat16": (("float32", 1), ("bfloat16", 1)),
    }
    return {
        name: {
            "questions": len(asked),
            "apart": apart(found[one], found[other]),
            "other choice": sum(a != b for a, b in zip(best[one], best[other], strict=True)),
        }
        for name, (one, other) in pairs.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--model", default="default")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--letters", type=int, default=200, help="questions with letters as options")
    parser.add_argument("--texts", type=int, default=40, help="questions with the texts of answers as options")
    parser.add_argument("--part", type=int, default=40, help="questions of one turn")
    parser.add_argument("--flips", action="store_true")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    if options.flips:
        found = flips(options.model, questions(64), options.threads)
        (options.output / "flips.json").write_text(json.dumps(found, indent=1))
        print(json.dumps(found, indent=1))
        return
    torch.set_num_threads(options.threads)
    engine = TransformersEngine(options.model, threads=options.threads)
    for kind, n in (("letters", options.letters), ("texts", options.texts)):
        asked = questions(n) if n else []
        given = [each[1] if kind == "letters" else each[2] for each in asked]
        step = min(options.part, max(1, n // 2))
        parts = [([each[0] for each in asked[at : at + step]], given[at : at + step]) for at in range(0, n, step)]
        if parts:  # a first, uncounted turn
            compare(engine, (parts[0][0][:1], parts[0][1][:1]), turned=False)
        rows = []
        for number, part in enumerate(parts):
            rows.append(compare(engine, part, turned=bool(number % 2)))
            (options.output / f"{kind}.json").write_text(json.dumps(rows, indent=1))
        if rows:
            print(report(kind, rows))


if __name__ == "__main__":
    main()
