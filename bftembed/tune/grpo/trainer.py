"""TRL's trainer of GRPO with checkpoints from which a run goes on exactly, and its arguments."""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING, Any

import numpy as np
from trl.trainer.grpo_config import GRPOConfig
from trl.trainer.grpo_trainer import GRPOTrainer

from bftembed.errors import InputError
from bftembed.tune.checkpoints import publishing, without_hub_warnings
from bftembed.tune.devices import use_one_device

if TYPE_CHECKING:
    from pathlib import Path

    from bftembed.tune.config import GRPOSettings

#: Arguments of the trainer that would break what this module does.
_REFUSED = {
    "output_dir": "it is the configuration's `output`",
    "save_only_model": "a run could not go on from its checkpoints",
    "logging_steps": "every step is logged, so that a run that goes on has the log of one that was not stopped",
    "sync_ref_model": "checkpoints do not hold the reference, so that a run could not go on from them",
}


class Trainer(GRPOTrainer):
    """TRL's ``GRPOTrainer``, whose checkpoints are whole or absent, on questions in the order of `ordered`."""

    def get_batch_samples(self, epoch_iterator: Any, num_batches: int, device: Any) -> tuple[list[Any], Any]:
        """Batches of one optimizer step; none for a run that goes on from its last step."""
        if self.state.global_step >= self.state.max_steps:
            self.control.should_training_stop = True
            return [], None
        found: tuple[list[Any], Any] = super().get_batch_samples(epoch_iterator, num_batches, device)
        return found

    def create_model_card(self, *_: Any, **__: Any) -> None:
        """Nothing: the card is written at the end, see `bftembed.tune.card`."""

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        with publishing(self), without_hub_warnings():
            super()._save_checkpoint(model, trial)  # type: ignore[no-untyped-call]


def ordered(dataset: Any, arguments: Any) -> Any:
    """All questions of a run in the order in which they are asked: rounds through the data set, each in a new order.

    TRL's own sampler draws the order of a second round from where the first one left its generator, which is in no
    checkpoint.

    Parameters
    ----------
    dataset
        The questions.
    arguments
        TRL's ``GRPOConfig``.
    """
    at_once = arguments.generation_batch_size // arguments.num_generations
    times = math.ceil(arguments.max_steps / (_micro_steps(arguments) / arguments.gradient_accumulation_steps))
    generator = np.random.default_rng(arguments.seed)
    rounds = math.ceil(at_once * times / len(dataset))
    order = np.concatenate([generator.permutation(len(dataset)) for _ in range(rounds)])
    return dataset.select(order[: at_once * times])


def _micro_steps(arguments: Any) -> int:
    """Micro-batches for which one round of answers lasts."""
    return int(arguments.steps_per_generation * arguments.num_iterations)


def batches_of(settings: GRPOSettings, processes: int) -> tuple[int, int]:
    """Answers in a micro-batch of one of so many processes, and micro-batches in a step.

    Raises
    ------
    InputError
        If a step cannot be split into such batches.
    """
    answers = settings.prompts_per_step * settings.num_generations
    batch = min(settings.batch_size, max(1, answers // processes))
    if answers % (batch * processes):
        msg = (
            f"{settings.prompts_per_step} questions x {settings.num_generations} answers are not a whole number of "
            f"batches of {batch} on {processes} process(es); change `batch_size` or `num_generations`."
        )
        raise InputError(msg)
    return batch, answers // (batch * processes)


def make_arguments(settings: GRPOSettings, output: Path) -> Any:
    """TRL's arguments.

    Checkpoints are written where a step begins with new answers: those that wait for their turn are in none.

    Raises
    ------
    InputError
        If they do not fit together, or one of ``settings.trainer`` is unknown or refused.
    """
    import torch

    if refused := settings.trainer.keys() & _REFUSED:
        msg = f"`grpo.trainer` takes no `{min(refused)}`: {_REFUSED[min(refused)]}."
        raise InputError(msg)
    gpu = torch.cuda.is_available()
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    batch, accumulated = batches_of(settings, processes)
    values: dict[str, Any] = {
        "output_dir": str(output),
        "max_steps": settings.steps,
        "num_generations": settings.num_generations,
        "per_device_train_batch_size": batch,
        "gradient_accumulation_steps": accumulated,
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
        "save_strategy": "steps",
        "save_steps": settings.save_steps,
        "save_total_limit": settings.keep_checkpoints,
        "shuffle_dataset": False,  # see `ordered`
        "report_to": "none",
        "disable_tqdm": True,
    }
    try:
        arguments = GRPOConfig(**(values | settings.trainer))
    except (TypeError, ValueError) as error:
        msg = f"The settings of GRPO are refused: {error}"
        raise InputError(msg) from error
    use_one_device(arguments)
    accumulated = arguments.gradient_accumulation_steps
    steps = math.lcm(_micro_steps(arguments), accumulated) // accumulated
    if arguments.save_strategy == "steps":
        arguments.save_steps = steps * math.ceil(arguments.save_steps / steps)
    return arguments
