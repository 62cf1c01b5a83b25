"""GRPO with a sparse binary reward: TRL's trainer on closed questions, from a tuned model or adapter.

Group relative policy optimisation: Shao et al., "DeepSeekMath", arXiv 2402.03300. For each question a group of answers
is drawn; an answer is reinforced by how much its reward exceeds the mean of its group.
"""

from __future__ import annotations

import json
import logging
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError

from bftembed._optional import require
from bftembed.errors import InputError, TuneError
from bftembed.models import causal
from bftembed.models.files import DEFAULT_MODEL, resolve_adapted
from bftembed.tune.card import write_card
from bftembed.tune.config import Data, GRPOSettings, Training, TuneResult
from bftembed.tune.devices import refuse_split_weights, use_one_device
from bftembed.tune.grpo.questions import as_dataset, read_questions
from bftembed.tune.grpo.rewards import BinaryReward

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bftembed.tune.config import Lora, TuneConfig
    from bftembed.tune.grpo.questions import Question

log = logging.getLogger("bftembed")


@dataclass(frozen=True)
class GRPOResult:
    """Where the model lies; the mean reward of each step; shares of all answers, and of groups without a gradient."""

    path: Path
    rewards: tuple[float, ...]
    answered: float
    unparsed: float
    without_signal: float

    def __str__(self) -> str:
        return (
            f"steps={len(self.rewards)} reward_first={self.rewards[0]:.3f} reward_last={self.rewards[-1]:.3f} "
            f"reward_mean={sum(self.rewards) / len(self.rewards):.3f} answered={self.answered:.3f} "
            f"unparsed={self.unparsed:.3f} groups_without_signal={self.without_signal:.3f}"
        )


def run_grpo(config: TuneConfig) -> TuneResult:
    """Run the GRPO of a configuration file."""
    if config.training != Training() or config.data != Data(train=config.data.train):
        msg = (
            "GRPO takes its settings from `grpo` and its questions from `data.train`; leave out `training` and the "
            "other keys of `data`."
        )
        raise InputError(msg)
    result = train_grpo(
        config.model,
        read_questions(config.data.train),
        config.output,
        settings=config.grpo or GRPOSettings(),
        lora=config.lora,
        adapter=config.adapter,
    )
    metrics = {"reward": result.rewards[-1], "answered": result.answered, "unparsed": result.unparsed}
    return TuneResult(result.path, len(result.rewards), metrics)


def train_grpo(
    model: str | Path,
    questions: Sequence[Question],
    output: str | Path,
    *,
    settings: GRPOSettings,
    lora: Lora | None = None,
    adapter: str | None = None,
) -> GRPOResult:
    """Train a model on closed questions with a binary reward.

    Where the model is (or comes with) an adapter, that adapter is trained further: it goes on naming the base model
    that it was made for, and TRL keeps a copy of it as the reference of the divergence. A fresh adapter on top would
    mean nothing without the first, so that the merged model would have to be saved. Otherwise a fresh adapter is
    trained if `lora` is given, and all weights if not.

    Parameters
    ----------
    model, adapter
        As for `bftembed.engines.TransformersEngine`.
    questions
        See `Question` and `read_questions`.
    output
        Directory for the result (safetensors, as ``transformers:DIR`` takes it), ``log.jsonl`` with an entry per step
        under TRL's names (``reward``, ``answered``, ``unparsed``, ``frac_reward_zero_std``: share of the groups whose
        answers all have one reward and which give no gradient, ``kl`` if ``beta`` is not 0, ...) and ``bft_grpo.json``.
    settings
        See `GRPOSettings`.
    lora
        Of a fresh adapter; its ``merge`` also holds for one that is trained further.

    Raises
    ------
    InputError, DataError, ModelError
        If the settings, the questions or the model cannot be used, or `output` holds a model already.
    TuneError
        If the result cannot be written.
    MissingExtraError
        If TRL is not installed.
    """
    trl = require("trl")
    from transformers import PrinterCallback, set_seed

    from bftembed.tune.checkpoints import LogFile
    from bftembed.tune.output import held

    output = Path(output).expanduser()
    if any((output / name).exists() for name in ("config.json", "adapter_config.json")):
        msg = f"`{output}` holds a model already; choose another output, or remove it."
        raise InputError(msg)
    if len(questions) < settings.prompts_per_step:
        msg = f"A step asks {settings.prompts_per_step} questions, and there are {len(questions)}; ask fewer per step."
        raise InputError(msg)
    with held(output):
        arguments = _arguments(trl, settings, output)
        if lora and lora.merge:
            refuse_split_weights("`lora.merge`", settings.trainer)
        set_seed(settings.seed)
        start, policy, tokenizer = _policy(str(model), adapter, lora)
        dataset = as_dataset(questions, policy, tokenizer, max_new_tokens=settings.max_new_tokens)
        callbacks = [LogFile(output / "log.jsonl")]
        try:
            trainer = trl.GRPOTrainer(
                policy, BinaryReward(), arguments, dataset, processing_class=tokenizer, callbacks=callbacks
            )
        except ValueError as error:
            msg = f"TRL refuses to train this: {error}"
            raise InputError(msg) from error
        trainer.remove_callback(PrinterCallback)
        trainer.train()
        result = _result(trainer.state.log_history, output)
        _save(trainer, output, merge=lora is not None and lora.merge)
        if trainer.is_world_process_zero():
            measured = {key: value for key, value in asdict(result).items() if key != "path"}
            report = {**start, "settings": settings.model_dump(mode="json"), **measured}
            (output / "bft_grpo.json").write_text(json.dumps(report, indent=2) + "\n")
            _write_card(output, start, settings, result)
            log.info("%s", result)
    return result


def _arguments(trl: Any, settings: GRPOSettings, output: Path) -> Any:
    import torch

    gpu = torch.cuda.is_available()
    answers = settings.prompts_per_step * settings.num_generations
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    batch = min(settings.batch_size, max(1, answers // processes))
    if answers % (batch * processes):
        msg = (
            f"{settings.prompts_per_step} questions x {settings.num_generations} answers are not a whole number of "
            f"batches of {batch} on {processes} process(es); change `batch_size` or `num_generations`."
        )
        raise InputError(msg)
    values: dict[str, Any] = {
        "output_dir": str(output),
        "max_steps": settings.steps,
        "num_generations": settings.num_generations,
        "per_device_train_batch_size": batch,
        "gradient_accumulation_steps": answers // (batch * processes),
        "max_completion_length": settings.max_new_tokens,
        "temperature": settings.temperature,
        "learning_rate": settings.learning_rate,
        "beta": settings.beta,
        "seed": settings.seed,
        "activation_checkpointing": False,
        "bf16": gpu and torch.cuda.is_bf16_supported(),
        "use_cpu": not gpu,
        "dataloader_pin_memory": gpu,
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
    }
    try:
        arguments = trl.GRPOConfig(**(values | settings.trainer))
    except (TypeError, ValueError) as error:
        msg = f"The settings of GRPO are refused: {error}"
        raise InputError(msg) from error
    use_one_device(arguments)
    return arguments


def _policy(model: str, adapter: str | None, lora: Lora | None) -> tuple[dict[str, str], Any, Any]:
    """What is started from, the model to be trained, with an adapter if there is one, and its tokenizer."""
    import torch

    files, adapted = resolve_adapted(model, adapter)
    tokenizer = causal.load_tokenizer(files, adapted, padding_side="left")
    # Weights that are trained are kept in float32; frozen ones need not be.
    half = (adapted or lora) and torch.cuda.is_available() and torch.cuda.is_bf16_supported()
    policy = causal.load_model(files.path, "bfloat16" if half else "float32")
    if adapted:
        log.info("Training the adapter `%s` further; the settings of a fresh one are not used.", adapted.path)
        policy = causal.adapted(policy, adapted.path, trainable=True)
        if adapter:  # on the model that was named, which need not be the one that the adapter names
            name = str(Path(model).resolve()) if Path(model).is_dir() else model
            policy.peft_config["default"].base_model_name_or_path = DEFAULT_MODEL if name == "default" else name
    elif lora:
        policy = causal.add_lora(policy, files, **lora.model_dump(exclude={"merge"}))
    start = {"model": files.name, "revision": files.revision, "adapter": adapted.revision if adapted else ""}
    return start, policy, tokenizer


def _result(history: list[dict[str, Any]], path: Path) -> GRPOResult:
    # Every step samples equally many answers, so that the mean over steps is the mean over answers.
    steps = [entry for entry in history if "reward" in entry]
    answered, unparsed, silent = (
        sum(entry[key] for entry in steps) / len(steps) for key in ("answered", "unparsed", "frac_reward_zero_std")
    )
    level = logging.WARNING if silent > 0.9 else logging.INFO
    log.log(level, "In %.0f %% of the groups all answers had the same reward: they give no gradient.", 100 * silent)
    return GRPOResult(path, tuple(entry["reward"] for entry in steps), answered, unparsed, silent)


def _write_card(output: Path, start: dict[str, str], settings: GRPOSettings, result: GRPOResult) -> None:
    rows = {
        "Base model": f"{start['model']}, {start['revision']}",
        "Adapter trained further": start["adapter"] or "none",
        "Objective": "GRPO, a reward of 1 for the right choice",
        "Training": f"{len(result.rewards):,} steps, learning rate {settings.learning_rate:g}, seed {settings.seed}",
        "Mean reward": f"{result.rewards[0]:.3f} in the first step, {result.rewards[-1]:.3f} in the last one",
    }
    write_card(output, start["model"], "grpo", rows)


def _save(trainer: Any, output: Path, *, merge: bool) -> None:
    from bftembed.tune.checkpoints import without_hub_warnings

    model = trainer.accelerator.unwrap_model(trainer.model)
    adapters = getattr(model, "peft_config", {})
    if "ref" in adapters:
        model.delete_adapter("ref")  # TRL's copy of the adapter at the start
    if adapters and merge:
        trainer.model = model.merge_and_unload()
    try:
        with without_hub_warnings():
            trainer.save_model(str(output))
    except (OSError, RuntimeError, SafetensorError) as error:
        msg = f"The model cannot be written to `{output}`: {error}. Free some space, and run again."
        raise TuneError(msg) from error
