"""Memory and time of the BFT loss: the formula as published, on all logits, beside this package's chunked primitive.

    python benchmarks/logprob_memory.py --output DIR

One step is loss and gradients from hidden states [B, T, H] and a head [V, H], float32, every token supervised (the
worst case for the chunks: what is not supervised costs them nothing). *Frozen* takes the gradient of the hidden states
alone, as LoRA does, *trained* that of the head too. Memory is the high-water mark of the resident set of a fresh
process during its first step, above what it held before: inputs and weights are not counted, and from the moment at
which a trained head gets its gradient, neither is that gradient. Times are those of another fresh process, in which the
programs take turns after a step of each to warm up, and which checks first that they give the same loss and gradients.

Every case is kept in DIR; the same command goes on where it was stopped.

    python benchmarks/logprob_memory.py --output DIR --statistics

What entropy, purity and a divergence cost beside log-probabilities alone (``sft``): peak memory as above, and the
median over turns of the ratio of CPU times within a turn, in float32 and under bfloat16 autocast, where the likeliest
logits are computed again. `all` is an objective that takes the entropy of the 20 likeliest tokens and the purity.

    python benchmarks/logprob_memory.py --output DIR --steps

What an objective costs a whole step (forward and backward pass, without the optimizer) of the embedded model with LoRA
of rank 16, as a ratio to ``sft`` within a turn.

    python benchmarks/logprob_memory.py --output DIR --precision

What half precision costs: confidences of RefSeq summaries by the embedded model, from its float32 hidden states and
head under bfloat16 autocast, against the float64 of all logits; beside a product that comes rounded to bfloat16, and
beside a float32 product of the rounded numbers, as TRL takes it; and the gradient of the head, from float32 operands
(CPU), from bfloat16 ones with a float32 sum (GPU, the same numbers here), and by autograd under autocast. Needs the
data set refseq_gene_summary.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from bftembed.tune.loss.chunks import CHUNK_SIZE
from bftembed.tune.loss.divergence import Reference, token_divergence
from bftembed.tune.loss.logprobs import token_logprobs
from bftembed.tune.loss.objectives import Objective, register_objective

Hook = Callable[[torch.Tensor], None] | None
PROGRAMS = ("published", "bft-v1", "bft")
STATISTICS = ("sft", "eaft", "deft", "all", "asft")
MODELS = {49_152: {"hidden_size": 576, "batch": 2}, 128_256: {"hidden_size": 1024, "batch": 1}}
WINDOW = 256
MIB = 2**20
#: (vocabulary, length) -> most memory, as a share of that of the published formula.
MEMORY_LIMITS = {(49_152, 1024): 1 / 6, (128_256, 4096): 1 / 20}
TIME_LIMIT = 1.15


def published(hidden: torch.Tensor, weight: torch.Tensor, labels: torch.Tensor, at_head: Hook = None) -> torch.Tensor:
    """Loss from all logits at once, sample after sample: the public code's way, in our own words."""
    logits = hidden @ weight.T
    if at_head:
        logits.register_hook(at_head)
    shifted = logits[:, :-1].contiguous().float()
    targets = labels[:, 1:].contiguous()
    mask = targets != -100
    logprobs = shifted.log_softmax(-1).gather(-1, targets.clamp(min=0)[..., None])[..., 0]
    weighted = logprobs.detach().exp() * -logprobs
    total = hidden.new_zeros(())
    for row, value, kept in zip(logprobs.detach(), weighted, mask, strict=True):
        n = int(kept.sum())
        if n:
            groups = row[kept].unfold(0, min(WINDOW, n), 1).mean(1)
            total = total + (1 - groups.min().exp()) * value[kept].mean()
    return total / len(labels)


def chunked(
    hidden: torch.Tensor, weight: torch.Tensor, labels: torch.Tensor, at_head: Hook = None, *, name: str
) -> torch.Tensor:
    """Loss from the primitive, on supervised tokens laid end to end."""
    targets = labels[:, 1:]
    mask = targets != -100
    objective = Objective(name=name, window=WINDOW)
    states = hidden[:, :-1][mask]
    values = token_logprobs(states, weight, targets[mask], **objective.asks)
    if at_head:
        values.logprobs.register_hook(at_head)
    if objective.kl:
        reference = Reference(states.detach().flip(0))
        values = values._replace(divergence=token_divergence(states, weight, targets[mask], reference))
    return objective.loss(values, mask.sum(1))[0]


def step(
    program: str, inputs: tuple[torch.Tensor, ...], at_head: Hook = None, *, autocast: bool = False
) -> torch.Tensor:
    """Loss of one step; gradients are left on the inputs. `at_head` is called before those of head and states."""
    hidden, weight, _ = inputs
    hidden.grad = weight.grad = None
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        loss = published(*inputs, at_head) if program == "published" else chunked(*inputs, at_head, name=program)
    loss.backward()
    return loss.detach()


def draw(case: dict[str, Any]) -> tuple[torch.Tensor, ...]:
    """Hidden states, head and labels; the spread of the logits is 3."""
    torch.manual_seed(0)
    hidden = torch.randn(case["batch"], case["length"], case["hidden_size"]).requires_grad_()
    weight = torch.randn(case["vocabulary"], case["hidden_size"]).mul_(3 / case["hidden_size"] ** 0.5)
    weight.requires_grad_(case["head"] == "trained")
    return hidden, weight, torch.randint(0, case["vocabulary"], (case["batch"], case["length"]))


def resident(field: str) -> int:
    """VmRSS (now) or VmHWM (the most since it was reset), bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field + ":"))


def measure_memory(case: dict[str, Any], program: str) -> float:
    """MiB of the first step above what the process held before, without the gradient of a trained head."""
    # Thread pools and the libraries' own buffers are there before the measurement.
    autocast = case.get("autocast", False)
    step(program, draw({**case, "vocabulary": 64, "hidden_size": 16, "length": 32}), autocast=autocast)
    inputs = draw(case)
    gc.collect()
    peaks = []

    def reset(_: Any = None) -> None:
        peaks.append(resident("VmHWM"))
        Path("/proc/self/clear_refs").write_text("5")

    reset()
    before = resident("VmRSS")
    step(program, inputs, reset, autocast=autocast)
    reset()
    gradient = inputs[1].nbytes if case["head"] == "trained" else 0
    return (max(peaks[1], peaks[2] - gradient) - before) / MIB


def measure_time(case: dict[str, Any], repeats: int) -> dict[str, Any]:
    """Seconds of each program's steps, taking turns, and how far the two that share a formula lie apart."""
    inputs = draw(case)
    results: dict[str, list[torch.Tensor]] = {}
    for program in PROGRAMS:
        loss = step(program, inputs)
        if program != "bft":
            results[program] = [loss, *(leaf.grad for leaf in inputs[:2] if leaf.grad is not None)]
    pairs = zip(results["published"], results["bft-v1"], strict=True)
    apart = max(float((ours - theirs).norm() / theirs.norm()) for theirs, ours in pairs)
    del results
    seconds: dict[str, list[float]] = {program: [] for program in PROGRAMS}
    for turn in range(repeats):
        for program in PROGRAMS if turn % 2 else PROGRAMS[::-1]:
            begin = time.perf_counter()
            step(program, inputs)
            seconds[program].append(time.perf_counter() - begin)
    return {"seconds": seconds, "difference": apart}


def paired(run: Callable[[str], Any], programs: tuple[str, ...], repeats: int) -> dict[str, float]:
    """Median ratio of CPU seconds to those of the first program in the same turn, after a turn to warm up."""
    ratios: dict[str, list[float]] = {program: [] for program in programs}
    for turn in range(repeats + 1):
        seconds = {}
        for program in programs if turn % 2 else programs[::-1]:
            begin = time.process_time()
            run(program)
            seconds[program] = time.process_time() - begin
        if turn:
            for program in programs:
                ratios[program].append(seconds[program] / seconds[programs[0]])
    return {program: statistics.median(values) for program, values in ratios.items()}


def measure_ratios(case: dict[str, Any], repeats: int) -> dict[str, float]:
    """Times of the programs with statistics, as ratios to that of log-probabilities alone."""
    inputs = draw(case)
    return paired(lambda program: step(program, inputs, autocast=case["autocast"]), STATISTICS, repeats)


def all_statistics(
    logprobs: torch.Tensor, lengths: torch.Tensor, entropy: torch.Tensor, purity: torch.Tensor, *, k: int = 20
) -> torch.Tensor:
    """Weights that depend on everything that the primitive gives."""
    return logprobs.exp() ** purity * entropy


def costs_of_statistics(options: argparse.Namespace) -> Iterator[str]:
    """A table, line by line: memory and time as ratios to those of log-probabilities alone."""
    yield f"| head | type | sft MiB | {' | '.join(f'{name} memory | time' for name in STATISTICS[1:])} |"
    yield "|---|---|" + "---:|" * (2 * len(STATISTICS) - 1)
    for head, autocast in (("frozen", False), ("frozen", True), ("trained", False)):
        case = {
            "vocabulary": 49_152,
            "hidden_size": 576,
            "batch": 2,
            "length": 1024,
            "head": head,
            "autocast": autocast,
        }
        mib = {
            program: fresh(measure="memory", case=case, program=program, threads=options.threads)
            for program in STATISTICS
        }
        times = fresh(measure="ratios", case=case, repeats=options.repeats, threads=options.threads)
        shares = [f"{mib[name] / mib['sft']:.2f} | {times[name]:.2f}" for name in STATISTICS[1:]]
        kind = "bfloat16" if autocast else "float32"
        yield f"| {head} | {kind} | {mib['sft']:,.0f} | {' | '.join(shares)} |"


def costs_of_steps(options: argparse.Namespace) -> Iterator[str]:
    """A table, line by line: time of whole steps of the embedded model as ratios to that of `sft`."""
    from bftembed.models.causal import add_lora, load_model
    from bftembed.models.files import resolve_model
    from bftembed.tune.loss.head import add_logprob_head
    from bftembed.tune.loss.reference import objective_logprobs

    torch.set_num_threads(options.threads)
    files = resolve_model("default")
    model = add_lora(load_model(files.path, "float32"), files, r=16, lora_alpha=32)
    add_logprob_head(model)
    model.train()
    labels = torch.randint(0, 49_152, (2, 256), generator=torch.Generator().manual_seed(0))
    batch = {"input_ids": labels, "labels": labels, "attention_mask": torch.ones_like(labels)}
    objectives = {name: Objective(name=name) for name in ("sft", "eaft", "asft")}
    objectives["dft, weights from the reference"] = Objective(name="dft", weights_from="reference")

    def run(name: str) -> None:
        values, lengths = objective_logprobs(model, batch, objectives[name])
        objectives[name].loss(values, lengths)[0].backward()

    found = paired(run, tuple(objectives), options.repeats)
    yield "| objective | time of a step |"
    yield "|---|---:|"
    for name, ratio in found.items():
        yield f"| {name} | {ratio:.2f} |"


def child(task: dict[str, Any]) -> None:
    """What a fresh process measures, printed as JSON."""
    torch.set_num_threads(task["threads"])
    measures: dict[str, Callable[[], Any]] = {
        "memory": lambda: measure_memory(task["case"], task["program"]),
        "time": lambda: measure_time(task["case"], task["repeats"]),
        "ratios": lambda: measure_ratios(task["case"], task["repeats"]),
    }
    print(json.dumps(measures[task["measure"]]()))


def fresh(**task: Any) -> Any:
    """Run `child` in a process of its own."""
    environment = os.environ | {"OMP_NUM_THREADS": str(task["threads"])}
    command = [sys.executable, __file__, "--child", json.dumps(task)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environment)
    if done.returncode:
        sys.exit(f"measuring {task} ended with code {done.returncode} (-9: killed, most likely for want of memory)")
    return json.loads(done.stdout)


def measure(case: dict[str, Any], options: argparse.Namespace) -> dict[str, Any]:
    """All of one case."""
    memory = {
        program: fresh(measure="memory", case=case, program=program, threads=options.threads) for program in PROGRAMS
    }
    times = fresh(measure="time", case=case, repeats=options.repeats, threads=options.threads)
    return {**case, "mib": memory, **times}


def ratios(row: dict[str, Any]) -> dict[str, float]:
    """Ours to the published formula; the larger of the two objectives."""
    medians = {program: statistics.median(values) for program, values in row["seconds"].items()}
    return {
        "memory": max(row["mib"][program] for program in PROGRAMS[1:]) / row["mib"]["published"],
        "time": max(medians[program] for program in PROGRAMS[1:]) / medians["published"],
    }


def verdicts(rows: list[dict[str, Any]]) -> list[str]:
    """Whether each limit holds."""
    lines = []
    for (vocabulary, length), limit in MEMORY_LIMITS.items():
        for row in rows:
            if (row["vocabulary"], row["length"]) == (vocabulary, length):
                share = ratios(row)["memory"]
                name = f"Memory at V = {vocabulary:,}, T = {length:,}, B = {row['batch']}, head {row['head']}"
                lines.append(f"{name}: 1/{1 / share:.1f}, limit 1/{1 / limit:.0f}: {word(share <= limit)}")
    worst = max(rows, key=lambda row: ratios(row)["time"])
    name = f"V = {worst['vocabulary']:,}, T = {worst['length']:,}, head {worst['head']}"
    share = ratios(worst)["time"]
    lines.append(f"Time at its worst ({name}): {share:.2f}, limit {TIME_LIMIT}: {word(share <= TIME_LIMIT)}")
    apart = max(row["difference"] for row in rows)
    lines.append(
        f"Largest relative difference of loss and gradients between the published formula and ours: {apart:.1e}"
    )
    return lines


def word(holds: bool) -> str:
    return "holds" if holds else "does not hold"


def table(rows: list[dict[str, Any]]) -> list[str]:
    """The curve over T: MiB and seconds of every program."""
    lines = [
        "| V | H | B | T | head | published MiB | v1 MiB | bft MiB | memory | published s | v1 s | bft s | time |",
        "|" + "---:|" * 4 + "---|" + "---:|" * 8,
    ]
    for row in rows:
        share = ratios(row)
        mib = " | ".join(f"{row['mib'][program]:,.0f}" for program in PROGRAMS)
        seconds = " | ".join(f"{statistics.median(row['seconds'][program]):.2f}" for program in PROGRAMS)
        shape = f"{row['vocabulary']:,} | {row['hidden_size']} | {row['batch']} | {row['length']:,} | {row['head']}"
        lines.append(f"| {shape} | {mib} | 1/{1 / share['memory']:.1f} | {seconds} | {share['time']:.2f} |")
    return lines


def real_states(n_texts: int = 3) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Hidden states, head and targets of long summaries, by the embedded model in float32."""
    from bftembed.models.causal import load_model, load_tokenizer
    from bftembed.models.files import resolve_model
    from bftembed.tune.diagnosis.corpora import read_corpora

    files = resolve_model("default")
    model, tokenizer = load_model(files.path, "float32"), load_tokenizer(files)
    texts = sorted(read_corpora(["refseq"])["refseq"], key=len)[-300 : -300 + n_texts]
    ids = [torch.tensor(tokenizer(text)["input_ids"][:512]) for text in texts]
    with torch.inference_mode():
        states = [model.model(row[None]).last_hidden_state[0, :-1] for row in ids]
    return torch.cat(states), model.lm_head.weight.detach(), torch.cat([row[1:] for row in ids])


def by_product(hidden: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor, *, wide: bool) -> torch.Tensor:
    """Log-probabilities in chunks from the product of rounded numbers, in float32 or rounded once more."""
    low, rows = hidden.bfloat16(), weight.bfloat16()
    parts = []
    for begin in range(0, len(targets), CHUNK_SIZE):
        part = slice(begin, begin + CHUNK_SIZE)
        logits = low[part].float() @ rows.float().T if wide else torch.nn.functional.linear(low[part], rows).float()
        parts.append(logits.gather(1, targets[part, None])[:, 0] - logits.logsumexp(1))
    return torch.cat(parts)


def precision(repeats: int) -> list[str]:
    """Errors of confidences and seconds, a row per way to the product."""
    hidden, weight, targets = real_states()

    def ours() -> torch.Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return token_logprobs(hidden, weight, targets).logprobs

    ways: dict[str, Callable[[], torch.Tensor]] = {
        "rounded product": lambda: by_product(hidden, weight, targets, wide=False),
        "float32 product": lambda: by_product(hidden, weight, targets, wide=True),
        "token_logprobs": ours,
    }
    logits = hidden.double() @ weight.double().T
    exact = logits.gather(1, targets[:, None])[:, 0] - logits.logsumexp(1)
    del logits
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    values: dict[str, torch.Tensor] = {}
    with torch.inference_mode():
        for turn in range(repeats + 1):  # the first to warm up
            for name, way in ways.items():
                begin = time.process_time()
                values[name] = way()
                seconds[name] += [time.process_time() - begin] if turn else []
    lines = ["| way | median error | 90 % | largest | CPU s |", "|---|---:|---:|---:|---:|"]
    for name, found in values.items():
        error = (found.double() - exact).expm1().abs()
        shares = " | ".join(f"{float(error.quantile(share)):.2%}" for share in (0.5, 0.9, 1.0))
        lines.append(f"| {name} | {shares} | {statistics.median(seconds[name]):.3f} |")
    return lines


def head_gradients() -> list[str]:
    """Relative errors of the head's gradient against float64, a row per way to its product."""
    hidden, weight, targets = real_states()
    back = torch.rand(len(targets), generator=torch.Generator().manual_seed(0)) / len(targets)

    def gradient(logprobs: Callable[[torch.Tensor], torch.Tensor], dtype: torch.dtype) -> torch.Tensor:
        leaf = weight.to(dtype, copy=True).requires_grad_()
        return torch.autograd.grad(logprobs(leaf), leaf, back.to(dtype))[0]

    def plain(logits: torch.Tensor) -> torch.Tensor:
        return logits.log_softmax(-1).gather(1, targets[:, None])[:, 0]

    exact = gradient(lambda leaf: plain(hidden.double() @ leaf.T), torch.float64)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        float32 = gradient(lambda leaf: token_logprobs(hidden, leaf, targets).logprobs, torch.float32)
        autograd = gradient(lambda leaf: plain(torch.nn.functional.linear(hidden, leaf).float()), torch.float32)
    low = hidden.bfloat16().float()
    error = (low @ weight.bfloat16().float().T).softmax(-1)
    error[torch.arange(len(targets)), targets] -= 1
    error *= -back[:, None]
    lines = ["| gradient of the head | relative error |", "|---|---:|"]
    found = {
        "CPU: corrected logits, float32 operands": float32,
        "GPU before: float32 product of rounded inputs, float32 operands": error.T @ hidden,
        "GPU: float32 product of rounded inputs, bfloat16 operands": error.bfloat16().float().T @ low,
        "autograd under autocast": autograd,
    }
    for name, value in found.items():
        lines.append(f"| {name} | {float((value.double() - exact).norm() / exact.norm()):.2%} |")
    return lines


def save(output: Path, settings: dict[str, Any], rows: list[dict[str, Any]]) -> None:
    """JSON, from which the next call goes on, and Markdown."""
    (output / "logprob_memory.json").write_text(json.dumps({"settings": settings, "rows": rows}, indent=1) + "\n")
    stated = ", ".join(f"{key} {value}" for key, value in settings.items())
    text = ["# Memory and time of the loss", "", f"Window {WINDOW}, chunk {CHUNK_SIZE}; {stated}.", ""]
    text += [*table(rows), "", *(f"- {line}" for line in verdicts(rows))]
    (output / "logprob_memory.md").write_text("\n".join(text) + "\n")


def main() -> None:
    """Measure every case that is not there yet, and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--lengths", type=int, nargs="+", default=[256, 512, 1024, 2048, 4096])
    parser.add_argument("--vocabularies", type=int, nargs="+", default=list(MODELS), choices=list(MODELS))
    parser.add_argument("--repeats", type=int, default=3, help="timed steps of each program")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="of torch")
    parser.add_argument("--statistics", action="store_true", help="what statistics cost beside log-probabilities")
    parser.add_argument("--steps", action="store_true", help="what objectives cost a whole step")
    parser.add_argument("--precision", action="store_true", help="errors and times of half precision alone")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    for name, costs in (("statistics", costs_of_statistics), ("steps", costs_of_steps)):
        if getattr(options, name):
            with (options.output / f"{name}.md").open("w") as file:
                for line in costs(options):
                    file.write(line + "\n")
                    file.flush()
                    print(line, flush=True)
            return
    if options.precision:
        torch.set_num_threads(options.threads)
        lines = [*precision(options.repeats), "", *head_gradients()]
        (options.output / "precision.md").write_text("\n".join(lines) + "\n")
        print("\n".join(lines))
        return
    settings = {
        "torch": torch.__version__,
        "machine": platform.machine(),
        "threads": options.threads,
        "repeats": options.repeats,
    }
    path = options.output / "logprob_memory.json"
    known = json.loads(path.read_text()) if path.exists() else {"settings": settings, "rows": []}
    if known["settings"] != settings:
        sys.exit(f"{path} was measured with {known['settings']} and not {settings}: use another directory")
    rows = known["rows"]
    for vocabulary in options.vocabularies:
        for length in options.lengths:
            for head in ("frozen", "trained"):
                case = {"vocabulary": vocabulary, **MODELS[vocabulary], "length": length, "head": head}
                if any(case.items() <= row.items() for row in rows):
                    continue
                rows.append(measure(case, options))
                save(options.output, settings, rows)
                print(table(rows)[-1], flush=True)
    print("\n".join(["", *table(rows), "", *verdicts(rows)]))


if __name__ == "__main__":
    register_objective("all", all_statistics)
    if sys.argv[1:2] == ["--child"]:
        child(json.loads(sys.argv[2]))
    else:
        main()
