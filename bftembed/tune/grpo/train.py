"""GRPO with a sparse binary reward: TRL's trainer on closed questions, from a tuned model or adapter.

Group relative policy optimisation: Shao et al., "DeepSeekMath", arXiv 2402.03300. For each question a group of answers
is drawn; an answer is reinforced by how much its reward exceeds the mean of its group.
"""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bftembed._files import replacing
from bftembed._html import Shown
from bftembed._optional import require
from bftembed.errors import InputError
from bftembed.models import causal
from bftembed.models.files import DEFAULT_MODEL, resolve_adapted
from bftembed.tune.card import write_card
from bftembed.tune.config import Data, GRPOSettings, Training, TuneResult
from bftembed.tune.devices import refuse_split_weights
from bftembed.tune.grpo.questions import as_dataset, read_questions
from bftembed.tune.grpo.rewards import BinaryReward, RandomReward

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bftembed.models.files import ModelFiles
    from bftembed.tune.config import Lora, TuneConfig
    from bftembed.tune.grpo.questions import Question

log = logging.getLogger("bftembed")
_REWARDS = {"right": "a reward of 1 for the right choice", "random": "a reward of 1 or 0 by a coin"}
_SHARES = ("answered", "unparsed", "without_signal")


@dataclass(frozen=True)
class GRPOResult(Shown):
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

    A run whose output directory has a whole checkpoint goes on from it: with the answers, the log and the weights of
    one that was not stopped, unless answers are drawn by vLLM. One that is finished is trained no further.

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
        Directory for checkpoints, the result (safetensors, as ``transformers:DIR`` takes it), ``log.jsonl`` with an
        entry per step under TRL's names (``reward``, ``answered``, ``unparsed``, ``frac_reward_zero_std``: share of the
        groups whose answers all have one reward and which give no gradient, ``kl`` if ``beta`` is not 0, ...) and
        ``bft_grpo.json``.
    settings
        See `GRPOSettings`.
    lora
        Of a fresh adapter; its ``merge`` also holds for one that is trained further.

    Raises
    ------
    InputError, DataError, ModelError
        If the settings, the questions or the model cannot be used, or `output` holds another model.
    TuneError
        If a checkpoint or the result cannot be written, or `output` holds a run with other settings.
    MissingExtraError
        If TRL is not installed.
    """
    require("trl")
    from bftembed.tune.output import foreign_model, held

    output = Path(output).expanduser()
    if foreign_model(output):
        msg = f"`{output}` holds a model already; choose another output, or remove it."
        raise InputError(msg)
    if len(questions) < settings.prompts_per_step:
        msg = f"A step asks {settings.prompts_per_step} questions, and there are {len(questions)}; ask fewer per step."
        raise InputError(msg)
    with held(output):
        return _run(model, questions, output, settings=settings, lora=lora, adapter=adapter)


def _run(
    model: str | Path,
    questions: Sequence[Question],
    output: Path,
    *,
    settings: GRPOSettings,
    lora: Lora | None,
    adapter: str | None,
) -> GRPOResult:
    from transformers import set_seed

    from bftembed.tune.checkpoints import last_checkpoint, remove_broken, storing
    from bftembed.tune.grpo.trainer import make_arguments
    from bftembed.tune.output import GRPO_REPORT, claim, finished_report, section_settings

    arguments = make_arguments(settings, output)
    if lora and lora.merge:
        refuse_split_weights("`lora.merge`", settings.trainer)
    files, adapted = resolve_adapted(str(model), adapter)
    fixed = {
        "model": files.revision,
        "adapter": adapted.revision if adapted else None,
        "data.train": f"sha256:{hashlib.sha256(json.dumps(list(questions), sort_keys=True).encode()).hexdigest()}",
        "processes": arguments.world_size,
        "grpo.batch_size": settings.batch_size,
        **section_settings(lora=lora, grpo=settings),
    }
    if report := finished_report(output, fixed, GRPO_REPORT):
        log.info("This run has ended after %d steps: nothing is trained or written.", len(report["rewards"]))
        return GRPOResult(output, tuple(report["rewards"]), *(report[name] for name in _SHARES))
    set_seed(settings.seed)
    policy, tokenizer = _policy(str(model), adapter, lora, files, adapted)
    dataset = as_dataset(questions, policy, tokenizer, max_new_tokens=settings.max_new_tokens)
    trainer = _trainer(policy, tokenizer, dataset, arguments, settings)
    last = last_checkpoint(output)
    if trainer.is_world_process_zero():
        claim(output, fixed)
        remove_broken(output)
    trainer.accelerator.wait_for_everyone()
    if last:
        log.info("Going on from `%s`.", last)
    trainer.train(resume_from_checkpoint=str(last) if last else None)
    result = _result(trainer.state.log_history, output)
    start = {"model": files.name, "revision": files.revision, "adapter": adapted.revision if adapted else ""}
    with storing(output, f"The model in `{output}`"):
        _save(trainer, output, merge=lora is not None and lora.merge)
        if trainer.is_world_process_zero():
            measured = {key: value for key, value in asdict(result).items() if key != "path"}
            _write_card(output, start, settings, result)
            content = {**start, "settings": settings.model_dump(mode="json"), **measured, "steps": len(result.rewards)}
            # Last, and at once: this file says that the run has ended.
            with replacing(output / GRPO_REPORT) as made:
                made.write_text(json.dumps(content, indent=2) + "\n")
    log.info("%s", result)
    return result


def _trainer(policy: Any, tokenizer: Any, dataset: Any, arguments: Any, settings: GRPOSettings) -> Any:
    from transformers import PrinterCallback

    from bftembed.tune.checkpoints import LogFile
    from bftembed.tune.grpo.trainer import Trainer, ordered
    from bftembed.tune.logs import LOG

    right = settings.reward == "right"
    reward: Any = BinaryReward() if right else RandomReward(settings.seed, arguments.process_index)
    callbacks: Any = [LogFile(Path(arguments.output_dir) / LOG)]
    data = ordered(dataset, arguments)
    try:
        trainer = Trainer(policy, reward, arguments, data, processing_class=tokenizer, callbacks=callbacks)
    except ValueError as error:
        msg = f"TRL refuses to train this: {error}"
        raise InputError(msg) from error
    trainer.remove_callback(PrinterCallback)
    return trainer


def _policy(
    model: str, adapter: str | None, lora: Lora | None, files: ModelFiles, adapted: ModelFiles | None
) -> tuple[Any, Any]:
    """The model to be trained, with an adapter if there is one, and its tokenizer."""
    import torch

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
    return policy, tokenizer


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
        "Objective": f"GRPO, {_REWARDS[settings.reward]}",
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
    with without_hub_warnings():
        trainer.save_model(str(output))
