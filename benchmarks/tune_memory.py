"""The memory that `bftembed tune --plan` computes, beside that of a real run on a CPU.

    python benchmarks/tune_memory.py --output DIR [--model default] [--batch-size 2] [--length 512]

Full fine-tuning and LoRA, with gradient checkpointing and without, each in a fresh process: two optimizer steps of
`Tuner` with AdamW on samples of LENGTH and LENGTH - 1 tokens, all supervised. *Allocated* is the most that torch's
allocator had given out at once (torch.profiler's memory events), plus the weights, which were there before. *Resident*
is the high-water mark of the process's resident set during the steps, less what it held before them, plus the weights.
Every case is kept in DIR; the same command goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

CASES = [(kind, checkpointing) for kind in ("full", "lora") for checkpointing in (False, True)]
MIB = 2**20
LIMIT = 0.2


def configuration(case: dict[str, Any], output: str) -> Any:
    """The configuration of a case."""
    from bftembed.tune.config import parse_config

    values: dict[str, Any] = {
        "model": case["model"],
        "output": output,
        "data": {"train": "-", "max_length": case["length"]},
    }
    values["lora"] = {"r": 16} if case["kind"] == "lora" else None
    values["training"] = {
        "max_steps": 2,
        "batch_size": case["batch_size"],
        "gradient_checkpointing": case["checkpointing"],
        "dtype": case["dtype"],
        "trainer": {"save_strategy": "no", "disable_tqdm": True, "logging_strategy": "no"},
    }
    return parse_config(values)


def resident(field: str) -> int:
    """VmRSS (now) or VmHWM (the most since it was reset), bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field + ":"))


def allocated(profile: Any) -> int:
    """The most bytes that torch's allocator had given out at once, since the profile began."""
    events = [event for event in profile.profiler.kineto_results.events() if event.name() == "[memory]"]
    sizes = [event.nbytes() for event in sorted(events, key=lambda event: event.start_ns())]
    return int(np.cumsum(sizes).max())


def measure(case: dict[str, Any], *, profiled: bool) -> float:
    """MiB at the peak of two steps, by the allocator or by the resident set."""
    from bftembed.tune.data.dataset import Collator, TokenDataset
    from bftembed.tune.supervised import training_arguments
    from bftembed.tune.trainable import find_start, load_trainable
    from bftembed.tune.trainer import Tuner

    with tempfile.TemporaryDirectory() as folder:
        config = configuration(case, folder)
        rng = np.random.default_rng(0)
        rows = [rng.integers(100, 1000, case["length"] - index % 2) for index in range(2 * case["batch_size"])]
        data = TokenDataset([(row, [True] * len(row)) for row in rows], max_length=case["length"])
        arguments = training_arguments(config.training, Path(folder), evaluate=False)
        model = load_trainable(config, find_start(config))
        tuner = Tuner(model, arguments, objective=config.objective, train_dataset=data, data_collator=Collator(0))
        weights = sum(parameter.nbytes for parameter in model.parameters())
        gc.collect()
        if profiled:
            from torch.profiler import ProfilerActivity, profile

            with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as found:
                tuner.train()
            return (allocated(found) + weights) / MIB
        for parameter in model.parameters():
            parameter.data = parameter.data.clone()  # weights of a file are read as they are used
        gc.collect()
        before = resident("VmRSS")
        Path("/proc/self/clear_refs").write_text("5")
        tuner.train()
        return (resident("VmHWM") - before + weights) / MIB


def planned(case: dict[str, Any]) -> float:
    """MiB of the plan."""
    from bftembed.tune import plan

    return plan(configuration(case, "-")).total / MIB


def fresh(what: str, case: dict[str, Any]) -> float:
    """Run a part of a case in a process of its own."""
    command = [sys.executable, __file__, "--child", json.dumps([what, case])]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=os.environ)
    if done.returncode:
        sys.exit(f"{what} of {case} ended with code {done.returncode} (-9: killed, most likely for want of memory)")
    return float(done.stdout.splitlines()[-1])


def table(rows: list[dict[str, Any]]) -> list[str]:
    """A row per case."""
    lines = [
        "| trained | checkpointing | dtype | B | T | plan MiB | allocated MiB | ratio | resident MiB | ratio |",
        "|---|---|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        ratios = [row["planned"] / row[name] for name in ("allocated", "resident")]
        cells = [row["kind"], "yes" if row["checkpointing"] else "no", row["dtype"], row["batch_size"], row["length"]]
        cells += [f"{row['planned']:,.0f}", f"{row['allocated']:,.0f}", f"{ratios[0]:.2f}"]
        lines.append("| " + " | ".join(map(str, [*cells, f"{row['resident']:,.0f}", f"{ratios[1]:.2f}"])) + " |")
    return lines


def main() -> None:
    """Measure every case that is not there yet, and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--model", default="default")
    parser.add_argument("--batch-size", type=int, default=2)
    parser.add_argument("--length", type=int, default=512)
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    path = options.output / "tune_memory.json"
    rows = json.loads(path.read_text()) if path.exists() else []
    for kind, checkpointing in CASES:
        case: dict[str, Any] = {"model": options.model, "kind": kind, "checkpointing": checkpointing}
        case |= {"batch_size": options.batch_size, "length": options.length, "dtype": options.dtype}
        if any(case.items() <= row.items() for row in rows):
            continue
        rows.append(case | {what: fresh(what, case) for what in ("planned", "allocated", "resident")})
        path.write_text(json.dumps(rows, indent=1) + "\n")
        print(table(rows)[-1], flush=True)
    worst = max(abs(row["planned"] / row["allocated"] - 1) for row in rows)
    verdict = f"Largest departure from what was allocated: {worst:.0%}, limit {LIMIT:.0%}: "
    lines = [*table(rows), "", verdict + ("holds" if worst <= LIMIT else "does not hold")]
    (options.output / "tune_memory.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


def child(what: str, case: dict[str, Any]) -> None:
    """Print what a fresh process measures."""
    torch.set_num_threads(1)
    print(planned(case) if what == "planned" else measure(case, profiled=what == "allocated"))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(*json.loads(sys.argv[2]))
    else:
        main()
