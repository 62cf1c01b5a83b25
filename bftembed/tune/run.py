"""A tuning run from its configuration: load, train, resume, save."""

from __future__ import annotations

import logging
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from bftembed._optional import require
from bftembed.engines.models import DEFAULT_MODEL, ModelFiles, resolve_adapted
from bftembed.errors import InputError, ModelError
from bftembed.tune.dataset import Collator, TokenDataset, load_dataset
from bftembed.tune.output import claim, held, run_settings, write_report

if TYPE_CHECKING:
    from bftembed.tune.config import Lora, Training, TuneConfig
    from bftembed.tune.objectives import Objective

log = logging.getLogger("bftembed")
#: Arguments of the trainer that would break what this module does.
_REFUSED = {
    "output_dir": "it is the configuration's `output`",
    "remove_unused_columns": "labels would be lost",
    "label_smoothing_factor": "the objective has its own loss",
    "save_only_model": "a run could not go on from its checkpoints",
}


@dataclass(frozen=True)
class TuneResult:
    """Where a tuned model lies, how many steps it took and the last evaluation (empty without validation data)."""

    path: Path
    steps: int
    metrics: dict[str, float]


def tune(config: TuneConfig) -> TuneResult:
    """Tune a model.

    A run whose output directory holds a whole checkpoint goes on from it with the same loss curve; one that is finished
    is trained no further.

    Raises
    ------
    InputError, DataError, ModelError
        If the configuration, the data or the model cannot be used.
    TuneError
        If a checkpoint cannot be written.
    MissingExtraError
        If the packages of the extra ``tune`` are not installed.
    """
    require("accelerate", extra="tune")
    if config.objective == "grpo":
        from bftembed.tune.grpo import run_grpo

        return run_grpo(config)
    if config.grpo is not None:
        msg = f"`grpo` has the settings of GRPO, and the objective is `{config.objective.name}`; leave out one of them."
        raise InputError(msg)
    output = Path(config.output).expanduser()
    if output.resolve() in {Path(path).expanduser().resolve() for path in (config.model, config.adapter) if path}:
        msg = f"The output `{output}` is where the model to be tuned lies; choose another output."
        raise InputError(msg)
    with held(output):
        return _run(config, config.objective, output)


def _run(config: TuneConfig, objective: Objective, output: Path) -> TuneResult:
    from transformers import PrinterCallback, set_seed

    from bftembed.tune.checkpoints import LogFile, last_checkpoint, remove_broken, storing
    from bftembed.tune.trainer import Tuner

    # First of all: how a model is loaded depends on the distributed set-up that these arguments start.
    arguments = training_arguments(config.training, output, evaluate=config.data.validation is not None)
    set_seed(config.training.seed)  # of the fresh adapter
    files, model, tokenizer, adapter = load_trainable(config)
    data = {}
    for split, path in (("train", config.data.train), ("validation", config.data.validation)):
        if path:
            data[split] = load_dataset(path, tokenizer, max_length=config.data.max_length, split=split)
            check_fit(data[split], model)
    train, validation = data["train"], data.get("validation")
    _warn_short(objective, train)
    try:
        tuner = Tuner(
            model,
            arguments,
            objective=objective,
            train_dataset=train,
            eval_dataset=validation,
            data_collator=Collator(tokenizer.pad_token_id or 0, config.data.packing),
            processing_class=tokenizer,
            callbacks=[LogFile(output / "log.jsonl")],
        )
    except (ImportError, RuntimeError) as error:
        msg = f"The trainer cannot be set up: {error}"
        raise InputError(msg) from error
    tuner.remove_callback(PrinterCallback)
    if tuner.is_world_process_zero():
        claim(output, run_settings(config, arguments.world_size, files, adapter, train))
        remove_broken(output)
    tuner.accelerator.wait_for_everyone()
    last = last_checkpoint(output)
    if last:
        log.info("Going on from `%s`.", last)
    tuner.train(resume_from_checkpoint=str(last) if last else None)
    metrics = tuner.evaluate() if validation is not None else {}
    # An adapter on top of a merged adapter would name a base model that lies nowhere.
    if config.lora and (config.lora.merge or adapter):
        tuner.model = tuner.accelerator.unwrap_model(tuner.model).merge_and_unload()
    with storing(output, f"The model in `{output}`"):
        tuner.save_model(str(output))
        if tuner.is_world_process_zero():
            write_report(config, files, train, metrics, output)
    return TuneResult(output, tuner.state.global_step, metrics)


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
    dtype = _dtype(config.training)
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


def training_arguments(training: Training, output: Path, *, evaluate: bool) -> Any:
    """The trainer's arguments.

    Raises
    ------
    InputError
        If one of ``training.trainer`` is unknown or refused.
    """
    from transformers import TrainingArguments

    if refused := training.trainer.keys() & _REFUSED:
        msg = f"`training.trainer` takes no `{min(refused)}`: {_REFUSED[min(refused)]}."
        raise InputError(msg)
    values: dict[str, Any] = {
        "output_dir": str(output),
        "num_train_epochs": training.epochs,
        "max_steps": training.max_steps or -1,
        "per_device_train_batch_size": training.batch_size,
        "per_device_eval_batch_size": training.batch_size,
        "gradient_accumulation_steps": training.accumulation_steps,
        "learning_rate": training.learning_rate,
        "lr_scheduler_type": training.schedule,
        "warmup_steps": training.warmup,
        "weight_decay": training.weight_decay,
        "max_grad_norm": training.max_grad_norm,
        "bf16": _dtype(training) == torch.bfloat16,
        "activation_checkpointing": training.gradient_checkpointing,
        "logging_steps": training.log_steps,
        "eval_strategy": "steps" if evaluate and training.eval_steps else "no",
        "eval_steps": training.eval_steps,
        "save_strategy": "steps",
        "save_steps": training.save_steps,
        "save_total_limit": training.keep_checkpoints,
        "seed": training.seed,
        "use_cpu": not torch.cuda.is_available(),
        "report_to": "none",
        "disable_tqdm": not sys.stderr.isatty(),
        "remove_unused_columns": False,
        "ddp_find_unused_parameters": False,
        "dataloader_pin_memory": torch.cuda.is_available(),
    }
    try:
        return TrainingArguments(**(values | training.trainer))
    except (TypeError, ValueError, ImportError) as error:
        msg = f"The training arguments are refused: {error}"
        raise InputError(msg) from error


def check_fit(dataset: TokenDataset, model: Any) -> None:
    """Refuse what the model does not have.

    Raises
    ------
    ModelError
        If the tokenizer makes tokens beyond the model's embedding.
    InputError
        If a sample is longer than the model's context.
    """
    context = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    if context and dataset.longest > context:
        msg = (
            f"The longest sample has {dataset.longest} tokens, and the model reads {context} at once; set "
            f"`data.max_length` to {context} or less."
        )
        raise InputError(msg)
    check_vocabulary("The data holds", dataset.highest_token, model)


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


def _dtype(training: Training) -> torch.dtype:
    if training.dtype == "auto":
        good = torch.cuda.is_available() and torch.cuda.is_bf16_supported()
        return torch.bfloat16 if good else torch.float32
    return torch.bfloat16 if training.dtype == "bfloat16" else torch.float32


def _warn_short(objective: Objective, dataset: TokenDataset) -> None:
    median = dataset.report.median_supervised
    if objective.per_sample and median < objective.window:
        log.warning(
            "The median sample has %g supervised tokens, fewer than the window of %d: most samples are one window, "
            "themselves, and the lowest group confidence of a sample is its mean. A smaller `window` sees spans.",
            median,
            objective.window,
        )
