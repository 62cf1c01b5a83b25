"""Causal language models of transformers: model, tokenizer, adapter, and what limits them."""

from __future__ import annotations

import json
import re
import warnings
from typing import TYPE_CHECKING, Any

from bftembed._optional import require
from bftembed.errors import EngineError, ModelError
from bftembed.models.files import DEFAULT_MODEL, ModelFiles, loading_quietly

if TYPE_CHECKING:
    from pathlib import Path

#: What a full memory is called by CPU allocators, the system, MPS and cuBLAS, which have no error class of their own.
_MEMORY = (
    "can't allocate memory",
    "annot allocate memory",
    "not enough memory",
    "out of memory",
    "STATUS_ALLOC_FAILED",
)
#: What configurations call the number of positions: most models; MPT; ChatGLM and Qwen 1; RWKV.
_WINDOWS = ("max_position_embeddings", "max_seq_len", "seq_length", "context_length")
#: What models call a table of learned positions: GPT-2; OPT, BART and XGLM; the BERT family.
_POSITIONS = re.compile("wpe|embed_positions|position_embeddings")
#: What configurations call the type of their weights, of transformers 5 and before.
_TYPE = ("dtype", "torch_dtype")
_TOO_LARGE = "Out of memory while loading: use a smaller model, or half precision (`dtype`)."


def load_model(path: Path, dtype: str, *, trust_remote_code: bool = False, **layout: Any) -> Any:
    """A causal language model from its directory, all of its weights in `dtype`.

    Parameters
    ----------
    path
        Directory of the model.
    dtype
        As torch names it.
    trust_remote_code
        Run code that comes with the model.
    layout
        ``device_map`` and ``attn_implementation`` of transformers' ``from_pretrained``.

    Raises
    ------
    ModelError
        If it cannot be loaded, or layers have no weights.
    EngineError
        If memory does not suffice.
    """
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM

    load: Any = AutoModelForCausalLM.from_pretrained
    options = {"dtype": dtype, "trust_remote_code": trust_remote_code, "output_loading_info": True, **layout}
    try:
        with loading_quietly():
            model, report = load(path, **options)
    except (OSError, ValueError, RuntimeError, MemoryError, ImportError, AssertionError, SafetensorError) as error:
        if is_out_of_memory(error):
            raise EngineError(_TOO_LARGE) from error
        msg = f"transformers cannot load the model `{path}`: {str(error).splitlines()[0]}"
        raise ModelError(msg) from error
    if "disk" in getattr(model, "hf_device_map", {}).values():
        msg = (
            f"`{path}` fits neither on the GPUs nor into the memory of this machine, and would be read from disk for "
            "each token. Use a smaller model, half precision (`dtype`), or more GPUs."
        )
        raise EngineError(msg)
    if missing := sorted(report["missing_keys"]):
        # transformers fills such layers with random numbers: an encoder, say, would write noise.
        msg = (
            f"`{path}` is no complete language model: {len(missing)} of its layers have no weights (`{missing[0]}`, "
            "...). Finish the download, or name a model made for causal language modelling."
        )
        raise ModelError(msg)
    return model


def own_dtype(path: Path) -> str:
    """What a model's configuration says of the type of its weights, as torch names it; float32 where it is silent.

    Raises
    ------
    ModelError
        If the configuration cannot be read, or says something that no text is computed in.
    """
    try:
        config = json.loads((path / "config.json").read_text())
        parts = (config, config.get("text_config", {}))
        said = next((part[name] for part in parts for name in _TYPE if part.get(name)), "")
    except (OSError, ValueError, AttributeError) as error:
        msg = f"The configuration of the model `{path}` cannot be read: {error}"
        raise ModelError(msg) from error
    if said not in ("", "float32", "bfloat16", "float16"):
        msg = f"The model `{path}` is stored as `{said}`; name another `dtype` than `auto`, e.g. bfloat16."
        raise ModelError(msg)
    return said or "float32"


def load_tokenizer(files: ModelFiles, adapter: ModelFiles | None = None, **options: Any) -> Any:
    """The tokenizer of a model; an adapter may bring its own. Where none is set, the end token pads.

    Raises
    ------
    ModelError
        If there is none, or it cannot be read.
    """
    from transformers import AutoTokenizer

    own = adapter is not None and (adapter.path / "tokenizer_config.json").exists()
    path = adapter.path if adapter and own else files.path
    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(path, **options)
    except (OSError, ValueError, KeyError) as error:
        msg = f"transformers cannot load a tokenizer from `{path}`: {str(error).splitlines()[0]}"
        raise ModelError(msg) from error
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def context_window(model: Any) -> int | None:
    """Most tokens that a model reads at once, prompt and answer together; None where nothing limits them.

    The smaller of what its configuration says, under any of the names in use, and of the rows of a table of learned
    positions, which the configuration may exceed.
    """
    config = model.config.get_text_config()
    said = [getattr(config, name, None) for name in _WINDOWS]
    rows = [
        layer.weight.shape[0]
        for name, layer in model.named_modules()
        if _POSITIONS.fullmatch(name.rpartition(".")[2]) and getattr(layer, "weight", None) is not None
    ]
    return min((n for n in (*said, *rows) if isinstance(n, int) and n > 0), default=None)


def adapted(model: Any, path: Path, *, trainable: bool = False) -> Any:
    """The model with a PEFT adapter merged into its weights, or on top of them to be trained further.

    Raises
    ------
    ModelError
        If the adapter does not fit the model, or layers of it have no weights.
    EngineError
        If memory does not suffice.
    """
    peft = require("peft")
    from safetensors import SafetensorError

    try:
        _fit_vocabulary(model, path)
        with warnings.catch_warnings():
            # Layers without adapter weights would stay as they were, with a warning only.
            warnings.filterwarnings("error", message="Found missing adapter keys")
            result = peft.PeftModel.from_pretrained(model, str(path), is_trainable=trainable)
            return result if trainable else result.merge_and_unload()
    except (OSError, ValueError, RuntimeError, MemoryError, SafetensorError, UserWarning) as error:
        if is_out_of_memory(error):
            raise EngineError(_TOO_LARGE) from error
        reason = " ".join(str(error).split())[:300]
        msg = f"The adapter `{path}` does not fit the model: {reason}"
        raise ModelError(msg) from error


def _fit_vocabulary(model: Any, path: Path) -> None:
    """Resize the model's embedding to the rows of an adapter that brings its own, trained with other tokens."""
    from safetensors import safe_open

    file = path / "adapter_model.safetensors"
    if not file.exists():
        return
    layers = [model.get_input_embeddings(), model.get_output_embeddings()]
    names = [f".{name}." for name, module in model.named_modules() if any(module is layer for layer in layers)]
    with safe_open(file, "np") as stored:
        brought = [key for key in stored.keys() if key.endswith(".weight") and ".lora_" not in key]  # noqa: SIM118
        rows = {stored.get_slice(key).get_shape()[0] for key in brought if any(name in key for name in names)}
    if rows and rows != {layers[0].weight.shape[0]}:
        model.resize_token_embeddings(max(rows), mean_resizing=False)


def add_lora(model: Any, files: ModelFiles, **settings: Any) -> Any:
    """The model with a fresh LoRA adapter that names its base in a way that can be found again.

    Parameters
    ----------
    model, files
        The model and where it came from.
    settings
        Of ``peft.LoraConfig``, e.g. ``r=16``.

    Raises
    ------
    ModelError
        If the model has no such layers.
    """
    peft = require("peft")
    try:
        model = peft.get_peft_model(model, peft.LoraConfig(task_type="CAUSAL_LM", **settings))
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
            f"{what} token {highest}, and the model's vocabulary has {rows} tokens: the tokenizer (of the model or of "
            "its adapter) belongs to another model, or its new tokens were not saved with the adapter. Then save the "
            "adapter again with `save_embedding_layers=True`, or merge it where it was trained."
        )
        raise ModelError(msg)


def on_device(model: Any, device: str) -> Any:
    """The model, moved to a device.

    Raises
    ------
    EngineError
        If memory does not suffice, or there is no such device.
    """
    try:
        return model.to(device)
    except (RuntimeError, AssertionError, MemoryError) as error:
        reason = str(error).partition("\n")[0]
        msg = _TOO_LARGE if is_out_of_memory(error) else f"The model cannot be moved to the device `{device}`: {reason}"
        raise EngineError(msg) from error


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that the memory of a GPU or of the machine is full."""
    import torch

    return isinstance(error, torch.OutOfMemoryError | MemoryError) or any(said in str(error) for said in _MEMORY)
