"""The model to be trained, its adapter and its tokenizer."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from bftembed._optional import require
from bftembed.engines.models import DEFAULT_MODEL, ModelFiles, resolve_adapted
from bftembed.errors import ModelError

if TYPE_CHECKING:
    from bftembed.tune.config import Lora, Training, TuneConfig


class Trainable(NamedTuple):
    """A model to be trained, its tokenizer, and the adapter that was merged into it."""

    files: ModelFiles
    model: Any
    tokenizer: Any
    adapter: ModelFiles | None


def load_trainable(config: TuneConfig) -> Trainable:
    """The model to be trained, with a fresh LoRA adapter if one is asked for, and its tokenizer."""
    from bftembed.engines.transformers import adapted, load_model

    files, adapter = resolve_adapted(config.model, config.adapter)
    dtype = compute_dtype(config.training)
    tokenizer = load_tokenizer(files, adapter)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    # What is trained is kept in float32; autocast computes in bfloat16.
    model = load_model(files.path, "bfloat16" if config.lora and dtype == torch.bfloat16 else "float32")
    if adapter:
        model = adapted(model, adapter.path)
    model.config.use_cache = False
    if config.lora:
        model = add_lora(model, config.lora, files)
        if config.training.gradient_checkpointing:
            model.enable_input_require_grads()
    return Trainable(files, model, tokenizer, adapter)


def add_lora(model: Any, lora: Lora, files: ModelFiles) -> Any:
    """The model with a fresh adapter that names its base in a way that can be found again."""
    peft = require("peft", extra="tune")
    settings = peft.LoraConfig(task_type="CAUSAL_LM", **lora.model_dump(exclude={"merge"}))
    try:
        model = peft.get_peft_model(model, settings)
    except (ValueError, re.error) as error:
        msg = f"LoRA cannot be put on this model: {error}"
        raise ModelError(msg) from error
    embedded = files.name.startswith(DEFAULT_MODEL)
    model.peft_config["default"].base_model_name_or_path = DEFAULT_MODEL if embedded else str(files.path.resolve())
    return model


def check_vocabulary(what: str, highest: int, model: Any) -> None:
    """Refuse a token that the model does not have; `what` begins the message.

    Raises
    ------
    ModelError
        If the tokenizer makes tokens beyond the model's embedding.
    """
    rows = model.get_input_embeddings().weight.shape[0]
    if rows and highest >= rows:  # ZeRO-3 shows an empty embedding
        msg = (
            f"{what} token {highest}, and the model's vocabulary has {rows} tokens: the tokenizer "
            "(of the model or of its adapter) belongs to another model."
        )
        raise ModelError(msg)


def load_tokenizer(files: ModelFiles, adapter: ModelFiles | None, **options: Any) -> Any:
    """The tokenizer of a model; an adapter may bring its own.

    Raises
    ------
    ModelError
        If there is none, or it cannot be read.
    """
    from transformers import AutoTokenizer

    own = adapter is not None and (adapter.path / "tokenizer_config.json").exists()
    path = adapter.path if adapter and own else files.path
    try:
        return AutoTokenizer.from_pretrained(path, **options)
    except (OSError, ValueError, KeyError) as error:
        msg = f"transformers cannot load a tokenizer from `{path}`: {str(error).splitlines()[0]}"
        raise ModelError(msg) from error


def compute_dtype(training: Training) -> torch.dtype:
    """The dtype of the computation: bfloat16 by default on a GPU that has it, else float32."""
    if training.dtype == "auto":
        good = torch.cuda.is_available() and torch.cuda.is_bf16_supported()
        return torch.bfloat16 if good else torch.float32
    return torch.bfloat16 if training.dtype == "bfloat16" else torch.float32
