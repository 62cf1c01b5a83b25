"""The model to be trained, its adapter and its tokenizer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from bftembed.models.causal import adapted, add_lora, load_model, load_tokenizer
from bftembed.models.files import ModelFiles, resolve_adapted
from bftembed.tune.devices import refuse_merges

if TYPE_CHECKING:
    from bftembed.tune.config import Training, TuneConfig


class Start(NamedTuple):
    """What a run starts from: the files of the model, those of an adapter that is merged into it, and the tokenizer."""

    files: ModelFiles
    adapter: ModelFiles | None
    tokenizer: Any


def find_start(config: TuneConfig) -> Start:
    """The files that a run starts from, and the tokenizer.

    Raises
    ------
    InputError
        If an adapter is to be merged into weights that are split over processes.
    ModelError
        If there is no such model or adapter, or the tokenizer cannot be loaded.
    """
    files, adapter = resolve_adapted(config.model, config.adapter)
    refuse_merges(adapter.name if adapter else None, config.lora, config.training.trainer)
    return Start(files, adapter, load_tokenizer(files, adapter))


def load_trainable(config: TuneConfig, start: Start) -> Any:
    """The model to be trained, with a fresh LoRA adapter if one is asked for.

    Raises
    ------
    ModelError
        If the model or its adapter cannot be loaded.
    """
    half = config.lora and compute_dtype(config.training) == torch.bfloat16
    # What is trained is kept in float32; autocast computes in bfloat16.
    model = load_model(start.files.path, "bfloat16" if half else "float32")
    if start.adapter:
        model = adapted(model, start.adapter.path)
    model.config.use_cache = False
    if config.lora:
        model = add_lora(model, start.files, **config.lora.model_dump(exclude={"merge"}))
        if config.training.gradient_checkpointing:
            model.enable_input_require_grads()
    return model


def compute_dtype(training: Training) -> torch.dtype:
    """The dtype of the computation: bfloat16 by default on a GPU that has it, else float32."""
    if training.dtype == "auto":
        good = torch.cuda.is_available() and torch.cuda.is_bf16_supported()
        return torch.bfloat16 if good else torch.float32
    return torch.bfloat16 if training.dtype == "bfloat16" else torch.float32
