"""Speed and memory of generation, scoring, encoding and tuning on one GPU, in less than eight minutes.

    python benchmarks/gpu.py --output gpu.json                       # on a GPU; needs no network
    python benchmarks/gpu.py --output gpu.json --model DIR           # `generation` and `tune` with a real model, too
    python benchmarks/gpu.py --output tiny.json --tiny               # all of it on a CPU, in about a minute
    python benchmarks/gpu.py --output gpu.json --parts loss,training --again

It runs from a checkout (`PYTHONPATH=.`) where there are torch, transformers, accelerate, peft, sentence-transformers
and pydantic; a part whose package is missing says so, and the others run. The large models have random weights, made on
the device. The file is whole after every measurement, so that a run may be stopped at any time. What failed (its row
has `error`) is tried again by the same command; the exit status is 1 as long as something fails. `warnings` say where
something else was measured than was asked for, e.g. static batches because continuous ones failed.

The part tune needs transformers 5.23, as the extra `tune` does; the others ran with 5.17 and torch 2.11 too (on a CPU).
Where nothing can be installed, wheels of what is missing can be unpacked beside the checkout:

    pip download --no-deps --only-binary=:all: --python-version 3.12 --platform manylinux_2_17_x86_64 -d wheels \
        transformers==5.23.0 pydantic pydantic-core annotated-types typing-inspection
    pip install --no-index --no-deps --target site wheels/*.whl       # there
    PYTHONPATH=site:. python benchmarks/gpu.py --output gpu.json      # there

Parts, each with a share of `--budget` (seconds, of the whole); what no time is left for is named, and is measured when
the same command is given again, which goes on after what there is:

- ceilings: copying (bytes read and written) and a matrix product, which the shares below refer to.
- generation: a 7B shape in bfloat16 through `TransformersEngine`: static batches of several sizes, of the size that it
  chooses, and continuous batching; equal lengths, then answers that end at random. `bandwidth_share` is the time in
  which the steps' weights and caches could be read at the copying ceiling, of the time measured.
- scoring: `score_many` of four options after prompts of the same length.
- encoder: texts of about 150 tokens through shapes of MiniLM and bge-base (or `--encoder DIR`).
- loss: log-probabilities with gradients at the heads of 14B and 70B models: `token_logprobs` under the BFT objective,
  plain cross-entropy, and the formula as published; seconds, and bytes above what was held before.
- training: steps of a 1B shape, all weights, AdamW, by objective; `matmul_share` counts 6 operations per weight
  and token.
- tune: `bftembed.tune.tune` with LoRA on made-up samples, and texts by the result.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import logging
import platform
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import torch
from safetensors.torch import save_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: Shapes of models: a Mistral of 7B, a Llama of 1B, MiniLM-L6, bge-base.
SEVEN = {
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
}
ONE = {
    "hidden_size": 2048,
    "intermediate_size": 5632,
    "num_hidden_layers": 22,
    "num_attention_heads": 32,
    "num_key_value_heads": 4,
}
SMALL = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
}
BERTS = {"MiniLM": (384, 6, 12), "bge-base": (768, 12, 12)}


@dataclasses.dataclass(frozen=True)
class Sizes:
    """How much is measured."""

    copied: int = 2**30  # bytes
    product: int = 8192  # rows and columns
    shape: dict[str, int] = dataclasses.field(default_factory=SEVEN.copy)
    vocabulary: int = 32_000
    batches: tuple[int, ...] = (1, 16, 64, 256)
    n_prompt: int = 128
    n_new: int = 128
    requests: int = 512
    berts: dict[str, tuple[int, int, int]] = dataclasses.field(default_factory=BERTS.copy)
    texts: int = 4096
    heads: dict[str, tuple[int, int]] = dataclasses.field(  # hidden size, vocabulary
        default_factory=lambda: {"14B": (5120, 152_064), "70B": (8192, 128_256)}
    )
    tokens: int = 8192
    trained: dict[str, int] = dataclasses.field(default_factory=ONE.copy)
    train_batch: tuple[int, int] = (8, 1024)
    window: int = 256
    tune_steps: int = 20
    repeats: int = 5
    dtype: str = "bfloat16"


TINY = Sizes(
    copied=2**22,
    product=128,
    shape=SMALL,
    vocabulary=512,
    batches=(1, 4),
    n_prompt=8,
    n_new=8,
    requests=8,
    berts={"MiniLM": (32, 2, 2)},
    texts=16,
    heads={"14B": (16, 512)},
    tokens=64,
    trained=SMALL,
    train_batch=(2, 32),
    window=8,
    tune_steps=2,
    repeats=2,
    dtype="float32",
)


class Report:
    """The JSON file, written after every row."""

    def __init__(self, path: Path, machine: dict[str, Any]) -> None:
        self.path = path
        self.content: dict[str, Any] = {"machine": machine, "parts": {}}
        if path.exists():
            self.content = json.loads(path.read_text())
            if self.content["machine"] != machine:
                sys.exit(f"{path} was measured on {self.content['machine']}, and this is {machine}: name another file")

    def rows(self, part: str) -> list[dict[str, Any]]:
        return self.content["parts"].setdefault(part, [])

    def add(self, part: str, row: dict[str, Any]) -> None:
        self.rows(part).append(row)
        text = json.dumps(self.content, indent=1)
        scratch = self.path.with_name(self.path.name + ".part")
        scratch.write_text(text + "\n")
        scratch.replace(self.path)
        print(part, json.dumps(row), flush=True)

    def ceiling(self, name: str) -> float | None:
        """Bytes or operations per second."""
        return next((row[name] for row in self.rows("ceilings") if name in row), None)


class Warnings(logging.Handler):
    """What the package warns of: that a batch was halved, or that static batches stood in for continuous ones."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []
        logging.getLogger("bftembed").addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


@dataclasses.dataclass
class Bench:
    """What the parts share."""

    sizes: Sizes
    device: torch.device
    report: Report
    directory: Path
    model: str
    encoder: str
    until: float = 0.0

    @property
    def dtype(self) -> torch.dtype:
        return getattr(torch, self.sizes.dtype)

    def share(self, needed: float, ceiling: str, seconds: float) -> float | None:
        limit = self.report.ceiling(ceiling)
        return None if limit is None else round(needed / limit / seconds, 4)

    def measure(self, part: str, name: str, run: Callable[[], dict[str, Any]]) -> None:
        """Add a row, unless it is there; what fails and what there is no time for are rows too, and tried again."""
        rows = self.report.rows(part)
        if any(row["name"] == name and not row.keys() & {"error", "skipped"} for row in rows):
            return
        rows[:] = [row for row in rows if row["name"] != name]
        if time.monotonic() > self.until:
            self.report.add(part, {"name": name, "skipped": "no time left; give the command again"})
            return
        begin, said = time.monotonic(), Warnings()
        try:
            found = run()
        except Exception as error:  # noqa: BLE001 - one measurement must not end the others
            found = {"error": f"{type(error).__name__}: {str(error)[:500]}"}
        logging.getLogger("bftembed").removeHandler(said)
        if said.messages:
            found["warnings"] = said.messages
        free(self.device)
        self.report.add(part, {"name": name, **found, "took": round(time.monotonic() - begin, 2)})

    def timed(self, run: Callable[[], Any], *, warm: bool = True) -> dict[str, Any]:
        """Seconds of repeated calls after one to warm up."""
        if warm:
            run()
        seconds = []
        while not seconds or (len(seconds) < self.sizes.repeats and time.monotonic() < self.until):
            synchronize(self.device)
            begin = time.perf_counter()
            run()
            synchronize(self.device)
            seconds.append(time.perf_counter() - begin)
        return {
            "seconds": statistics.median(seconds),
            "range": [min(seconds), max(seconds)],
            "repeats": len(seconds),
        }


def synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def free(device: torch.device) -> None:
    import gc

    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def highest(device: torch.device, run: Callable[[], Any]) -> int | None:
    """Bytes of a GPU that a call took at most above what was held before; None on a CPU."""
    if device.type != "cuda":
        run()
        return None
    free(device)
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    run()
    synchronize(device)
    return torch.cuda.max_memory_allocated(device) - before


def ceilings(bench: Bench) -> None:
    sizes, device = bench.sizes, bench.device

    def copy() -> dict[str, Any]:
        source = torch.randint(0, 255, (sizes.copied,), dtype=torch.uint8, device=device)
        target = torch.empty_like(source)
        found = bench.timed(lambda: target.copy_(source))
        return {**found, "bytes_per_s": 2 * sizes.copied / found["seconds"]}

    def product() -> dict[str, Any]:
        left, right = (torch.randn(sizes.product, sizes.product, device=device, dtype=bench.dtype) for _ in "ab")
        found = bench.timed(lambda: left @ right)
        return {**found, "flop_per_s": 2 * sizes.product**3 / found["seconds"]}

    bench.measure("ceilings", "copy", copy)
    bench.measure("ceilings", "matmul", product)


def words(vocabulary: int, directory: Path) -> Any:
    """A tokenizer of made-up words, a token each."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocab = {"<pad>": 0, "<unk>": 1, "</s>": 2, **{f"w{n}": n for n in range(3, vocabulary)}}
    tokenizer = Tokenizer(models.WordLevel(vocab, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    special = {"unk_token": "<unk>", "pad_token": "<pad>", "eos_token": "</s>"}
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, **special, model_input_names=["input_ids", "attention_mask"]
    )
    fast.save_pretrained(directory)
    return fast


def random_model(shape: dict[str, int], vocabulary: int, device: torch.device, dtype: torch.dtype) -> Any:
    """A Llama with random weights, made where it is to lie."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        **shape,
        vocab_size=vocabulary,
        max_position_embeddings=8192,
        bos_token_id=None,
        eos_token_id=2,
        pad_token_id=0,
        dtype=dtype,
    )
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):
            torch.manual_seed(0)
            return LlamaForCausalLM(config)
    finally:
        torch.set_default_dtype(before)


def engine_of(bench: Bench, model: Any, *, ends: int | list[int] = 2, **options: Any) -> Any:
    """The engine around a model that exists already, with the tokenizer of made-up words; `ends` end an answer."""
    from bftembed.engines import TransformersEngine

    directory = bench.directory / "shape"
    if not directory.exists():
        words(bench.sizes.vocabulary, directory)
        model.config.save_pretrained(directory)
        save_file({}, directory / "model.safetensors")
    with mock.patch("bftembed.engines.transformers.load_model", return_value=model):
        engine = TransformersEngine(str(directory), dtype=bench.sizes.dtype, device=str(bench.device), **options)
        model.generation_config.eos_token_id = ends
        engine.load()
    return engine


def prompts(bench: Bench, n: int, lengths: Iterator[int] | None = None) -> list[Any]:
    """Requests of made-up words, all different."""
    from bftembed.engines import Request

    draw = torch.Generator().manual_seed(1)
    found = []
    for number in range(n):
        length = next(lengths) if lengths else bench.sizes.n_prompt
        ids = torch.randint(3, bench.sizes.vocabulary, (length,), generator=draw).tolist()
        found.append(Request(f"{number:04}", " ".join(f"w{id}" for id in ids)))
    return found


def generation(bench: Bench) -> None:
    of_a_shape(bench)
    free(bench.device)
    if bench.model:
        bench.measure("generation", "given model", lambda: of_a_model(bench))


def of_a_shape(bench: Bench) -> None:
    """Random weights, of which all that is read is known."""
    from bftembed.engines import Sampling
    from bftembed.engines.batches import cache_bytes

    sizes = bench.sizes
    model = random_model(sizes.shape, sizes.vocabulary, bench.device, bench.dtype).eval()
    weights = sum(tensor.nbytes for tensor in model.parameters())
    per_token = cache_bytes(model.config, bench.dtype.itemsize)

    def run(requests: list[Any], sampling: Sampling, **options: Any) -> dict[str, Any]:
        engine = engine_of(bench, model, **options)
        warm = (requests, sampling) if options.get("compile") else (requests[:1], Sampling(max_new_tokens=4))
        list(engine.generate(warm[0], sampling=warm[1]))
        synchronize(bench.device)
        begin, batches = time.perf_counter(), []
        for batch in engine.generate(requests, sampling=sampling):
            batches.append([done.n_tokens for done in batch])
            if time.monotonic() > bench.until:
                break
        seconds = time.perf_counter() - begin
        tokens = sum(map(sum, batches))
        found = {
            "requests": sum(map(len, batches)),
            "new_tokens": tokens,
            "seconds": seconds,
            "tokens_per_s": tokens / seconds,
        }
        if options.get("continuous"):
            return found
        # Every step of a static batch reads the weights and the caches of its sequences so far.
        steps = [max(batch) for batch in batches]
        read = sum(
            n * (weights + len(b) * per_token * (sizes.n_prompt + n / 2)) for n, b in zip(steps, batches, strict=True)
        )
        largest = max(map(len, batches))
        return {**found, "largest_batch": largest, "bandwidth_share": bench.share(read, "bytes_per_s", seconds)}

    greedy = Sampling(max_new_tokens=sizes.n_new)
    for size in sizes.batches:
        bench.measure(
            "generation",
            f"static {size}",
            lambda size=size: run(prompts(bench, size), greedy, batch_size=size, continuous=False),
        )
    for name, options in {"static, chosen": {"continuous": False}, "continuous": {"continuous": True}}.items():
        bench.measure("generation", name, lambda o=options: run(prompts(bench, sizes.requests), greedy, **o))
    # Random weights draw any token: with so many that end an answer, answers have n_new tokens in the mean.
    uneven = Sampling(max_new_tokens=4 * sizes.n_new, temperature=1.0)
    ends = list(range(2, 2 + max(1, sizes.vocabulary // sizes.n_new)))
    for name, options in {"static": {"continuous": False}, "continuous": {"continuous": True}}.items():
        bench.measure(
            "generation",
            f"{name}, uneven lengths",
            lambda o=options: run(prompts(bench, sizes.requests), uneven, ends=ends, **o),
        )
    size = sizes.batches[-2]
    compiled = {"batch_size": size, "continuous": False, "compile": True}
    bench.measure("generation", f"static {size}, compiled", lambda: run(prompts(bench, size), greedy, **compiled))


def of_a_model(bench: Bench) -> dict[str, Any]:
    """Questions of one length to a real model, in batches of the engine's choice."""
    from bftembed.engines import Request, Sampling, TransformersEngine

    sampling = Sampling(max_new_tokens=bench.sizes.n_new)
    engine = TransformersEngine(bench.model, device=str(bench.device))
    requests = [Request(f"{n:04}", f"What does the human gene number {n:04} do?") for n in range(bench.sizes.requests)]
    list(engine.generate(requests[:1], sampling=sampling))
    begin, tokens, done = time.perf_counter(), 0, 0
    for batch in engine.generate(requests, sampling=sampling):
        tokens, done = tokens + sum(each.n_tokens for each in batch), done + len(batch)
        if time.monotonic() > bench.until:
            break
    seconds = time.perf_counter() - begin
    return {"requests": done, "new_tokens": tokens, "seconds": seconds, "tokens_per_s": tokens / seconds}


def scoring(bench: Bench) -> None:
    sizes = bench.sizes
    model = random_model(sizes.shape, sizes.vocabulary, bench.device, bench.dtype).eval()
    n_weights = sum(tensor.numel() for tensor in model.parameters())

    def run(length: int) -> dict[str, Any]:
        engine = engine_of(bench, model)
        requests = prompts(bench, sizes.requests, iter([length] * sizes.requests))
        options = ["w11", "w12", "w13", "w14"]
        list(engine.score_many(requests[:1], options))
        synchronize(bench.device)
        begin, done = time.perf_counter(), 0
        for batch in engine.score_many(requests, options):
            done += len(batch)
            if time.monotonic() > bench.until:
                break
        seconds = time.perf_counter() - begin
        # A prompt of tokens read once, its options beside it.
        needed = 2.0 * n_weights * length * done
        share = bench.share(needed, "flop_per_s", seconds)
        return {"requests": done, "seconds": seconds, "requests_per_s": done / seconds, "matmul_share": share}

    for length in (sizes.n_prompt, 4 * sizes.n_prompt):
        bench.measure("scoring", f"four options, prompts of {length}", lambda length=length: run(length))


def encoder(bench: Bench) -> None:
    from transformers import BertConfig, BertModel

    from bftembed.encoders import SentenceTransformersEncoder

    def run(path: str, dtype: str) -> dict[str, Any]:
        model = SentenceTransformersEncoder(path, dtype=dtype, device=str(bench.device), prompt="")
        draw = torch.Generator().manual_seed(1)
        lengths = torch.randint(100, 200, (bench.sizes.texts,), generator=draw).tolist()
        texts = [request.user for request in prompts(bench, len(lengths), iter(lengths))]
        model.encode(texts[:8])
        begin = time.perf_counter()
        model.encode(texts)
        seconds = time.perf_counter() - begin
        return {"texts": len(texts), "seconds": seconds, "texts_per_s": len(texts) / seconds}

    paths = {"given": bench.encoder} if bench.encoder else {}
    for name, (hidden, layers, heads) in bench.sizes.berts.items() if not paths else ():
        paths[name] = str(bench.directory / name)
        config = BertConfig(
            vocab_size=bench.sizes.vocabulary,
            hidden_size=hidden,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            intermediate_size=4 * hidden,
        )
        BertModel(config).save_pretrained(paths[name])
        words(bench.sizes.vocabulary, Path(paths[name]))
    for name, path in paths.items():
        for dtype in ("float32", "bfloat16") if bench.device.type == "cuda" else ("float32",):
            bench.measure("encoder", f"{name} {dtype}", lambda p=path, d=dtype: run(p, d))


def ours(hidden: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor, window: int) -> torch.Tensor:
    """The BFT loss of one sample by this package."""
    from bftembed.tune.loss.logprobs import token_logprobs
    from bftembed.tune.loss.objectives import Objective

    logprobs = token_logprobs(hidden, weight, targets).logprobs
    lengths = torch.tensor([len(targets)], device=targets.device)
    return Objective(name="bft", window=window).loss(logprobs, lengths)[0]


def cross_entropy(hidden: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor, _window: int) -> torch.Tensor:
    """Plain cross-entropy of all logits, in float32."""
    return torch.nn.functional.cross_entropy((hidden @ weight.T).float(), targets)


def published(hidden: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor, window: int) -> torch.Tensor:
    """The first BFT objective as published: all log-probabilities, windows of confidences."""
    logprobs = (hidden @ weight.T).float().log_softmax(-1).gather(-1, targets[:, None])[:, 0]
    groups = logprobs.detach().unfold(0, min(window, len(targets)), 1).mean(1)
    return (1 - groups.min().exp()) * (logprobs.detach().exp() * -logprobs).mean()


def loss(bench: Bench) -> None:
    sizes, device = bench.sizes, bench.device

    def run(program: Callable[..., torch.Tensor], shape: tuple[int, int], *, trained: bool) -> dict[str, Any]:
        width, vocabulary = shape
        torch.manual_seed(0)
        hidden = torch.randn(sizes.tokens, width, device=device, dtype=bench.dtype).requires_grad_()
        weight = torch.randn(vocabulary, width, device=device, dtype=bench.dtype).mul_(3 / width**0.5)
        weight.requires_grad_(trained)
        targets = torch.randint(0, vocabulary, (sizes.tokens,), device=device)

        def step() -> None:
            hidden.grad = weight.grad = None
            program(hidden, weight, targets, sizes.window).backward()

        taken = highest(device, step)
        found = bench.timed(step)
        # The product, and the gradients of hidden states and weight.
        needed = (6 if trained else 4) * sizes.tokens * width * vocabulary
        return {**found, "bytes": taken, "matmul_share": bench.share(needed, "flop_per_s", found["seconds"])}

    for name, shape in sizes.heads.items():
        for trained in (False, True):
            for program in (ours, cross_entropy, published):
                label = f"{program.__name__}, {name}, {'trained' if trained else 'frozen'} head"
                bench.measure("loss", label, lambda p=program, s=shape, t=trained: run(p, s, trained=t))


def training(bench: Bench) -> None:
    from bftembed.tune.loss.head import add_logprob_head, supervised_logprobs
    from bftembed.tune.loss.objectives import Objective

    sizes, device = bench.sizes, bench.device
    batch, length = sizes.train_batch
    model = random_model(sizes.trained, sizes.vocabulary, device, bench.dtype).train()
    add_logprob_head(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, fused=device.type == "cuda")
    # Embeddings are looked up and not multiplied.
    n_weights = sum(tensor.numel() for tensor in model.parameters()) - model.get_input_embeddings().weight.numel()
    ids = torch.randint(3, sizes.vocabulary, (batch, length), device=device)
    inputs = {"input_ids": ids, "labels": ids, "attention_mask": torch.ones_like(ids)}

    def run(name: str) -> dict[str, Any]:
        objective = Objective(name=name, window=sizes.window)

        def step() -> None:
            values, lengths = supervised_logprobs(model, inputs)
            objective.loss(values.logprobs, lengths)[0].backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

        step()  # of the optimizer's state
        taken = highest(device, step)
        found = bench.timed(step)
        share = bench.share(6.0 * n_weights * batch * length, "flop_per_s", found["seconds"])
        return {**found, "bytes": taken, "tokens_per_s": batch * length / found["seconds"], "matmul_share": share}

    for name in ("sft", "dft", "bft"):
        bench.measure("training", name, lambda name=name: run(name))


def tune(bench: Bench) -> None:
    def run() -> dict[str, Any]:
        from bftembed.engines import Request, Sampling, TransformersEngine
        from bftembed.tune import tune as run_tune
        from bftembed.tune.config import Data, Lora, Training, TuneConfig
        from bftembed.tune.loss.objectives import Objective

        model = bench.model
        if not model:
            model = str(bench.directory / "small")
            tokenizer = words(bench.sizes.vocabulary, Path(model))
            random_model(SMALL, len(tokenizer), bench.device, torch.float32).save_pretrained(model)
        data = bench.directory / "train.jsonl"
        names = [f"w{n}" for n in range(100, 164)]
        rows = [{"text": f"{name} w5 w6 {name} w7 w8 {name} w9"} for name in names]
        data.write_text("".join(json.dumps(row) + "\n" for row in rows))
        config = TuneConfig(
            model=model,
            data=Data(train=str(data), validation=str(data)),
            objective=Objective(name="bft", window=4),
            lora=Lora(r=16),
            training=Training(max_steps=bench.sizes.tune_steps, batch_size=16, learning_rate=1e-3, save_steps=1000),
            output=str(bench.directory / "tuned"),
        )
        begin = time.perf_counter()
        result = run_tune(config)
        tuned = time.perf_counter() - begin
        engine = TransformersEngine(str(result.path), device=str(bench.device))
        requests = [Request(name, f"{name} w5 w6") for name in names[:4]]
        written = [d.text for b in engine.generate(requests, sampling=Sampling(max_new_tokens=8)) for d in b]
        losses = {"loss_before": result.initial_metrics["eval_loss"], "loss_after": result.metrics["eval_loss"]}
        return {"steps": result.steps, "seconds": tuned, **losses, "texts": written}

    bench.measure("tune", "LoRA", run)


#: The parts, and their shares of the budget.
PARTS: dict[str, tuple[Callable[[Bench], None], float]] = {
    "ceilings": (ceilings, 0.03),
    "generation": (generation, 0.35),
    "scoring": (scoring, 0.12),
    "encoder": (encoder, 0.10),
    "loss": (loss, 0.15),
    "training": (training, 0.15),
    "tune": (tune, 0.10),
}


def machine(device: torch.device, sizes: Sizes) -> dict[str, Any]:
    import transformers

    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    versions = {"torch": torch.__version__, "transformers": transformers.__version__}
    return {"device": name, "threads": torch.get_num_threads(), **versions, "sizes": dataclasses.asdict(sizes)}


def main(arguments: list[str] | None = None) -> int:
    """Measure what is not there yet; 1 if something failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="JSON; the same command goes on with it")
    parser.add_argument("--parts", default=",".join(PARTS), help="names with commas between them")
    parser.add_argument("--budget", type=float, default=420, help="seconds for all parts together")
    parser.add_argument("--tiny", action="store_true", help="small sizes, on a CPU")
    parser.add_argument("--model", default="", help="directory of the model to tune, or `default`; else random")
    parser.add_argument("--encoder", default="", help="directory of an encoder, or `default`; else random shapes")
    parser.add_argument("--again", action="store_true", help="measure the parts once more")
    options = parser.parse_args(arguments)
    wanted = options.parts.split(",")
    if unknown := set(wanted) - set(PARTS):
        parser.error(f"there is no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    if not options.tiny and not torch.cuda.is_available():
        parser.error("torch sees no GPU here; `--tiny` runs all of it on a CPU")
    sizes = TINY if options.tiny else Sizes()
    device = torch.device("cpu" if options.tiny else "cuda")
    # As JSON has it, so that it compares equal when it is read again.
    report = Report(options.output, json.loads(json.dumps(machine(device, sizes))))
    failed = False
    with tempfile.TemporaryDirectory() as scratch:
        for name in wanted:
            part, share = PARTS[name]
            if options.again:
                report.rows(name).clear()
            bench = Bench(sizes, device, report, Path(scratch), options.model, options.encoder)
            bench.until = time.monotonic() + share * options.budget
            try:
                part(bench)
            except Exception as error:  # noqa: BLE001 - a part that cannot begin must not end the others
                report.add(name, {"name": "all", "error": f"{type(error).__name__}: {str(error)[:500]}"})
            free(device)
            failed |= any("error" in row for row in report.rows(name))
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
