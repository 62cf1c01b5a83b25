"""A supervised tuning run: load, train, resume, save."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from bftembed._near import did_you_mean
from bftembed.errors import InputError
from bftembed.models.causal import check_vocabulary, context_window
from bftembed.tune.checkpoints import LogFile, last_checkpoint, remove_broken, storing
from bftembed.tune.config import TuneResult
from bftembed.tune.data.dataset import Collator, TokenDataset, load_dataset
from bftembed.tune.logs import LOG
from bftembed.tune.loss.reference import check_reference
from bftembed.tune.output import claim, finished_report, held, perplexity_line, run_settings, write_report
from bftembed.tune.trainable import compute_dtype, find_start, load_trainable

if TYPE_CHECKING:
    from bftembed.tune.config import Training, TuneConfig
    from bftembed.tune.loss.objectives import Objective
    from bftembed.tune.trainer import Tuner

log = logging.getLogger("bftembed")
_AGAIN = "Choose another output to train with other settings, or remove this one to train anew."
#: Arguments of the trainer that would break what this module does.
_REFUSED = {
    "output_dir": "it is the configuration's `output`",
    "remove_unused_columns": "labels would be lost",
    "label_smoothing_factor": "the objective has its own loss",
    "save_only_model": "a run could not go on from its checkpoints",
}


def run_supervised(config: TuneConfig, objective: Objective) -> TuneResult:
    """Run the supervised tuning of a configuration; see `bftembed.tune.tune`."""
    output = Path(config.output).expanduser()
    if output.resolve() in {Path(path).expanduser().resolve() for path in (config.model, config.adapter) if path}:
        msg = f"The output `{output}` is where the model to be tuned lies; choose another output."
        raise InputError(msg)
    check_reference(objective, has_adapter=config.lora is not None)
    with held(output):
        return _run(config, objective, output)


def _run(config: TuneConfig, objective: Objective, output: Path) -> TuneResult:
    from transformers import set_seed

    # First of all: how a model is loaded depends on the distributed set-up that these arguments start.
    arguments = training_arguments(config.training, output, evaluate=config.data.validation is not None)
    start = find_start(config)
    data = _load_data(config, start.tokenizer)
    settings = run_settings(config, arguments.world_size, start.files, start.adapter, data["train"])
    if report := finished_report(output, settings):
        log.info("This run has ended after %d steps: nothing is trained or written. %s", report["steps"], _AGAIN)
        return TuneResult(output, report["steps"], report["metrics"], report["initial_metrics"])
    set_seed(config.training.seed)  # of the fresh adapter
    model = load_trainable(config, start)
    for dataset in data.values():
        check_fit(dataset, model)
    _warn_short(objective, data["train"])
    last = last_checkpoint(output)
    arguments.eval_on_start = arguments.eval_on_start and last is None
    tuner = _make_tuner(
        model, arguments, objective=objective, tokenizer=start.tokenizer, data=data, packing=config.data.packing
    )
    if tuner.is_world_process_zero():
        claim(output, settings, model=start.files, adapter=start.adapter)
        remove_broken(output)
    tuner.accelerator.wait_for_everyone()
    if last:
        log.info("Going on from `%s`.", last)
    tuner.train(resume_from_checkpoint=str(last) if last else None)
    metrics = tuner.evaluate() if "validation" in data else {}
    result = TuneResult(output, tuner.state.global_step, metrics, _initial_metrics(tuner.state.log_history))
    # An adapter on top of a merged adapter would name a base model that lies nowhere.
    if config.lora and (config.lora.merge or start.adapter):
        tuner.model = tuner.accelerator.unwrap_model(tuner.model).merge_and_unload()
    with storing(output, f"The model in `{output}`"):
        tuner.save_model(str(output))
        if tuner.is_world_process_zero():
            write_report(config, start.files, data["train"], result)
    if line := perplexity_line(result.initial_metrics, result.metrics):
        log.info("Validation: %s.", line)
    return result


def _load_data(config: TuneConfig, tokenizer: Any) -> dict[str, TokenDataset]:
    paths = {"train": config.data.train, "validation": config.data.validation}
    return {
        split: load_dataset(path, tokenizer, max_length=config.data.max_length, split=split)
        for split, path in paths.items()
        if path
    }


def _make_tuner(
    model: Any, arguments: Any, *, objective: Objective, tokenizer: Any, data: dict[str, TokenDataset], packing: bool
) -> Tuner:
    from transformers import PrinterCallback

    from bftembed.tune.trainer import Tuner

    try:
        tuner = Tuner(
            model,
            arguments,
            objective=objective,
            train_dataset=data["train"],
            eval_dataset=data.get("validation"),
            data_collator=Collator(tokenizer.pad_token_id or 0, packing),
            processing_class=tokenizer,
            callbacks=[LogFile(Path(arguments.output_dir) / LOG)],
        )
    except (ImportError, RuntimeError) as error:
        msg = f"The trainer cannot be set up: {error}"
        raise InputError(msg) from error
    tuner.remove_callback(PrinterCallback)
    return tuner


def _initial_metrics(history: list[dict[str, float]]) -> dict[str, float]:
    """The evaluation before the first step; a run that goes on has it in the history of its checkpoint."""
    return next((entry for entry in history if entry["step"] == 0 and "eval_loss" in entry), {})


def training_arguments(training: Training, output: Path, *, evaluate: bool) -> Any:
    """The trainer's arguments.

    Raises
    ------
    InputError
        If there is no such schedule, or one of ``training.trainer`` is unknown or refused.
    """
    from transformers import SchedulerType, TrainingArguments

    schedules = [each.value for each in SchedulerType]
    if training.schedule not in schedules:
        near = did_you_mean(training.schedule, schedules)
        msg = f"`training.schedule` is `{training.schedule}`; there are {', '.join(schedules)}.{near}"
        raise InputError(msg)
    if unknown := [name for name in training.trainer if name not in TrainingArguments.__dataclass_fields__]:
        near = did_you_mean(unknown[0], TrainingArguments.__dataclass_fields__)
        msg = f"`training.trainer` has `{unknown[0]}`, and transformers' `TrainingArguments` no such argument.{near}"
        raise InputError(msg)
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
        "bf16": compute_dtype(training) == torch.bfloat16,
        "activation_checkpointing": training.gradient_checkpointing,
        "logging_steps": training.log_steps,
        "eval_strategy": "steps" if evaluate and training.eval_steps else "no",
        "eval_steps": training.eval_steps,
        "eval_on_start": evaluate,
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
        # Batches are on their way to a GPU while it computes.
        "accelerator_config": {"non_blocking": torch.cuda.is_available()},
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
    context = context_window(model)
    if context and dataset.longest > context:
        msg = (
            f"The longest sample has {dataset.longest} tokens, and the model reads {context} at once; set "
            f"`data.max_length` to {context} or less."
        )
        raise InputError(msg)
    check_vocabulary("The data holds", dataset.highest_token, model)


def _warn_short(objective: Objective, dataset: TokenDataset) -> None:
    median = dataset.report.median_supervised
    if objective.has_window and median < objective.window:
        log.warning(
            "The median sample has %g supervised tokens, fewer than the window of %d: most samples are one window, "
            "themselves, and the lowest group confidence of a sample is its mean. A smaller `window` sees spans.",
            median,
            objective.window,
        )
