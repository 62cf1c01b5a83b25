"""What several devices change: a process for each of them, and weights that are split over processes."""

from __future__ import annotations

import os
from typing import Any

from bftembed._warn import warn
from bftembed.errors import InputError

_TRUE = {"1", "true", "yes", "on"}


def use_one_device(arguments: Any) -> None:
    """Let a process that sees several GPUs use one, with a warning that says how to use all.

    transformers' trainer would put the model into `torch.nn.DataParallel`, which copies it to every GPU in each step.

    Parameters
    ----------
    arguments
        transformers' ``TrainingArguments``; changed in place.
    """
    if arguments.n_gpu > 1:
        msg = (
            f"There are {arguments.n_gpu} GPUs, and a run that is started as one process uses one of them. To use all, "
            "name an accelerate configuration (`accelerate: FILE`, which `accelerate config` writes), or start the "
            "script by `accelerate launch`. CUDA_VISIBLE_DEVICES chooses the one."
        )
        warn(msg)
        arguments._n_gpu = 1


def refuse_split_weights(what: str, trainer: dict[str, Any]) -> None:
    """Refuse to merge an adapter into weights of which each process has a part.

    Parameters
    ----------
    what
        What would merge it; begins the message.
    trainer
        The further arguments of the trainer; the trainer's own have to be made already, as they start DeepSpeed.

    Raises
    ------
    InputError
        Under FSDP and DeepSpeed ZeRO-3.
    """
    from transformers.integrations.deepspeed import is_deepspeed_zero3_enabled

    launched = os.environ.get("ACCELERATE_USE_FSDP", "").lower() in _TRUE
    if launched or trainer.get("fsdp") or is_deepspeed_zero3_enabled():  # type: ignore[no-untyped-call]
        msg = (
            f"{what} merges an adapter, for which a process needs all weights, and FSDP and DeepSpeed ZeRO-3 split "
            "them over processes. Leave it out, and merge before or after the run in one process: "
            "`peft.AutoPeftModelForCausalLM.from_pretrained(DIRECTORY).merge_and_unload()`."
        )
        raise InputError(msg)
