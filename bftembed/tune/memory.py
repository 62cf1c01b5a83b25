"""`plan`: the memory that a tuning run needs on each device, computed from the shape of its model."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import torch

from bftembed._html import Shown
from bftembed._optional import require
from bftembed.errors import InputError, ModelError
from bftembed.models.causal import add_lora, context_window
from bftembed.models.files import DEFAULT_MODEL, ModelFiles, loading_quietly, named_directory, resolve_model
from bftembed.tune.allocations import Allocations, head_allocations, step_allocations, without_values
from bftembed.tune.devices import Layout, layout_of
from bftembed.tune.loss.head import add_logprob_head, base_model, output_head
from bftembed.tune.trainable import compute_dtype

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bftembed.tune.config import TuneConfig
    from bftembed.tune.loss.objectives import Objective

_GIB = 2**30
#: Bytes of an optimizer's state for a trained weight in float32, by the beginning of its name in transformers.
_STATE = {"adamw_8bit": 2, "adamw_bnb_8bit": 2, "paged_adamw_8bit": 2, "adamw": 8, "sgd": 0, "rmsprop": 4, "adagrad": 4}
#: Weights that DeepSpeed keeps gathered at once, by its default `stage3_max_live_parameters`.
_LIVE = 10**9


@dataclass(frozen=True)
class MemoryPlan(Shown):
    """Bytes on one device, and what they are.

    Attributes
    ----------
    model, layout
        What is trained, and how it lies on the devices.
    parameters, trained
        Weights of the model with its adapter, and those that are trained, over all devices.
    weights, gradients, optimizer
        The device's part of them.
    gathered
        Weights of other devices that are there for a while, and what is sent to them.
    activations
        What the forward pass keeps for the backward pass and what both need in passing, without `logits`.
    logits
        The head: logits of one chunk of tokens, and the gradients of the hidden states.
    total
        What is there at once at most. It may be less than the sum of all, as gradients come while activations go. What
        the driver, libraries and fragments of free memory take is not in it, one to two GiB of a GPU.

    Examples
    --------
    >>> import json
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from bftembed.tune import plan
    >>> from bftembed.tune.config import load_config
    >>> shape = {"model_type": "llama", "vocab_size": 1000, "hidden_size": 64, "num_hidden_layers": 1}
    >>> with TemporaryDirectory() as model:
    ...     _ = (Path(model) / "config.json").write_text(json.dumps(shape))
    ...     planned = plan(load_config("embedded-cpu", model=model))
    >>> planned.weights == 4 * planned.parameters  # float32, on one device
    True
    """

    model: str
    layout: Layout
    parameters: int
    trained: int
    weights: int
    gradients: int
    optimizer: int
    gathered: int
    activations: int
    logits: int
    total: int

    def __str__(self) -> str:
        names = ("weights", "gradients", "optimizer", "gathered", "activations", "logits", "total")
        where = f"{self.layout.name}, {self.layout.processes} device{'s' * (self.layout.processes > 1)}"
        lines = [f"{self.model}: {self.parameters:,} parameters, {self.trained:,} trained; {where}; GiB on each:"]
        return "\n".join(lines + [f"  {name:<12}{getattr(self, name) / _GIB:10.3f}" for name in names])

    def _parts(self) -> dict[str, Any]:
        known = {"model": self.model, "layout": self.layout._asdict()}
        counts = {"parameters": f"{self.parameters:,}", "trained": f"{self.trained:,}"}
        names = ("weights", "gradients", "optimizer", "gathered", "activations", "logits", "total")
        return {**known, **counts, **{f"{name}, GiB": getattr(self, name) / _GIB for name in names}}


def plan(config: TuneConfig) -> MemoryPlan:
    """The memory that a supervised run needs on each device, without loading weights or data.

    The model is made from its ``config.json`` alone. A micro-batch of ``training.batch_size`` samples of
    ``data.max_length`` tokens, all of them supervised, goes through forward and backward pass on tensors without values
    (torch's ``FakeTensorMode``), with the objective, the adapter, gradient checkpointing and autocast of the
    configuration, and what is allocated at once is added up. What FSDP2 and DeepSpeed split, gather and keep elsewhere
    is arithmetic on top, from the configuration of accelerate. Attention is taken to need no matrix of length times
    length, as with the kernels of ``sdpa`` and FlashAttention.

    Parameters
    ----------
    config
        See `bftembed.tune.config.TuneConfig`. ``model`` may be a directory that holds nothing but ``config.json``.

    Raises
    ------
    InputError
        For GRPO, an unknown optimizer or a broken accelerate configuration.
    ModelError
        If there is no ``config.json``, or transformers cannot make a model of it.

    Examples
    --------
    >>> import json
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from bftembed.tune import plan
    >>> from bftembed.tune.config import load_config
    >>> shape = {"model_type": "llama", "vocab_size": 1000, "hidden_size": 64, "intermediate_size": 128}
    >>> shape |= {"num_hidden_layers": 2, "num_attention_heads": 4}
    >>> with TemporaryDirectory() as model:  # no weights are needed
    ...     _ = (Path(model) / "config.json").write_text(json.dumps(shape))
    ...     planned = plan(load_config("embedded-cpu", model=model))
    >>> planned.parameters, planned.trained
    (245056, 34816)
    """
    require("accelerate")
    if config.objective == "grpo":
        msg = "There is a memory plan for supervised objectives alone: GRPO also needs room to write its answers."
        raise InputError(msg)
    layout = layout_of(config.accelerate)
    state = _state_bytes(str(config.training.trainer.get("optim", "adamw")))
    dtype = compute_dtype(config.training)
    # Where weights are split, those of a block are gathered in the type of the computation.
    low = layout.name.startswith(("FSDP", "ZeRO")) or (config.lora is not None and dtype == torch.bfloat16)
    model = _empty_model(config, dtype if low else torch.float32)
    counts = _Counts.of(model)
    frozen = (counts.all - counts.trained) * (dtype if low else torch.float32).itemsize
    weights = layout.on_device("weights", frozen + 4 * counts.trained)
    optimizer = layout.on_device("optimizer", state * counts.trained)
    # DDP keeps the buckets that it sends beside the gradients.
    gradients = layout.on_device("gradients", 4 * counts.trained) * (2 if layout.name == "DDP" else 1)
    gathered = _gathered(layout, counts, dtype.itemsize)
    step, logits = _allocations(config, model, gradients)
    working = step.peak - step.gradients_at_peak
    return MemoryPlan(
        config.model,
        layout,
        counts.all,
        counts.trained,
        weights,
        gradients,
        optimizer,
        gathered,
        activations=working - min(logits, working),
        logits=min(logits, working),
        total=weights + optimizer + gathered + max(step.peak, gradients),
    )


def _allocations(config: TuneConfig, model: Any, gradients: int) -> tuple[Allocations, int]:
    """What a micro-batch allocates, and the head alone; `gradients` are the bytes of them on a device."""
    dtype = compute_dtype(config.training)
    add_logprob_head(model)
    batch, n_tokens = _batch(config, context_window(model))
    trained = sum(parameter.nbytes for parameter in model.parameters() if parameter.requires_grad)
    with without_values(model), _computable(config.model):
        step = step_allocations(
            model,
            cast("Objective", config.objective),
            batch,
            autocast=dtype == torch.bfloat16,
            accumulates=config.training.accumulation_steps > 1,
            share=gradients / trained,
        )
        return step, head_allocations(base_model(model), n_tokens, dtype)


@contextlib.contextmanager
def _computable(model: str) -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        msg = (
            f"There is no memory plan of `{model}`: its step cannot be followed without values "
            f"({str(error).splitlines()[0]}). Another `training.dtype` may do; else measure a short run."
        )
        raise ModelError(msg) from error


class _Counts(NamedTuple):
    """Numbers of weights: all, trained, of the largest block and trained ones of it, of the output head."""

    all: int
    trained: int
    block: int
    sent: int
    head: int

    @classmethod
    def of(cls, model: Any) -> _Counts:
        lists = [module for module in model.modules() if isinstance(module, torch.nn.ModuleList)]
        blocks = [_sizes(block) for blocks in lists for block in blocks]
        return cls(*_sizes(model), *max(blocks, default=(0, 0)), output_head(base_model(model)).weight.numel())


def _sizes(module: torch.nn.Module) -> tuple[int, int]:
    """Numbers of weights, and of those that are trained."""
    parameters = list(module.parameters())
    return sum(p.numel() for p in parameters), sum(p.numel() for p in parameters if p.requires_grad)


def _empty_model(config: TuneConfig, dtype: torch.dtype) -> Any:
    """A model without weights, with a fresh adapter and checkpointing if they are asked for."""
    path = _config_file(config.model)
    made = bare_model(path, dtype)
    made.config.use_cache = False
    if config.lora:
        made = add_lora(made, ModelFiles(path.parent, config.model, ""), **config.lora.model_dump(exclude={"merge"}))
    if config.training.gradient_checkpointing:
        _checkpoint(made, lora=config.lora is not None)
    return made.train()


def bare_model(path: Path, dtype: torch.dtype) -> Any:
    """A model without weights, on torch's device ``meta``, as its ``config.json`` describes it.

    Raises
    ------
    ModelError
        If transformers cannot make it.
    """
    from huggingface_hub.errors import StrictDataclassError
    from transformers import AutoConfig, AutoModelForCausalLM

    try:
        with loading_quietly(), torch.device("meta"):
            make: Any = AutoModelForCausalLM.from_config
            return make(AutoConfig.from_pretrained(path.parent), dtype=dtype)
    except (OSError, ValueError, KeyError, ImportError, RuntimeError, ArithmeticError, StrictDataclassError) as error:
        msg = f"transformers cannot make a model of `{path}`: {' '.join(str(error).split())[:300]}"
        raise ModelError(msg) from error


def _config_file(model: str) -> Path:
    """``config.json`` of a model, of which nothing else is needed."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    folder = named_directory(model)
    if folder is None and model in {"default", DEFAULT_MODEL}:
        folder = resolve_model(model).path
    try:
        path = folder / "config.json" if folder else Path(hf_hub_download(model, "config.json"))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        msg = (
            f"There is no `config.json` of `{model}`: no such directory, and the hub gave none. Nothing else of the "
            "model is needed: put that file into a directory, and name it as the model (`--model DIRECTORY`)."
        )
        raise ModelError(msg) from error
    if not path.exists():
        msg = f"The directory `{folder}` has no config.json, from which a memory plan is made."
        raise ModelError(msg)
    return path


def _checkpoint(model: Any, *, lora: bool) -> None:
    if lora:
        model.enable_input_require_grads()
    enable = getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable
    enable()


def _batch(config: TuneConfig, context: int | None) -> tuple[dict[str, torch.Tensor], int]:
    """The largest micro-batch there can be, on ``meta``, and its supervised tokens."""
    size, length = config.training.batch_size, min(config.data.max_length, context or config.data.max_length)
    n_tokens = size * (length - 1)
    shape = (1, size * length) if config.data.packing else (size, length)
    ids = torch.zeros(shape, dtype=torch.int64)
    batch = {"input_ids": ids, "labels": ids, "position_ids" if config.data.packing else "attention_mask": ids}
    places, lengths = torch.zeros(n_tokens, dtype=torch.int64), torch.zeros(size, dtype=torch.int64)
    return {**batch, "supervised": places, "lengths": lengths}, n_tokens


def _gathered(layout: Layout, counts: _Counts, itemsize: int) -> int:
    if "weights" not in layout.split:
        return 0
    # The block that is computed and the next one, or what DeepSpeed lets live; the head stays for the whole step. The
    # gradients of a block are whole until they are sent.
    there = min(_LIVE, counts.all) if layout.name.startswith("ZeRO") else 2 * counts.block
    return (there + counts.head + counts.sent) * itemsize


def _state_bytes(optimizer: str) -> int:
    for name, size in _STATE.items():
        if optimizer.startswith(name):
            return size
    msg = f"The memory of the optimizer `{optimizer}` is not known here; known are {', '.join(_STATE)}."
    raise InputError(msg)
