"""What several devices change: a process for each of them, and weights that are split over processes."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from bftembed._warn import warn
from bftembed.errors import InputError
from bftembed.tune.config import Lora, find_config

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


def refuse_split_weights(what: str, trainer: dict[str, Any], accelerate: str | None = None) -> None:
    """Refuse to merge an adapter into weights of which each process has a part.

    Parameters
    ----------
    what
        What would merge it; begins the message.
    trainer
        The further arguments of the trainer; the trainer's own have to be made already, as they start DeepSpeed.
    accelerate
        The configuration of accelerate by which processes will be started.

    Raises
    ------
    InputError
        Under FSDP and DeepSpeed ZeRO-3.
    """
    from transformers.integrations.deepspeed import is_deepspeed_zero3_enabled

    launched = os.environ.get("ACCELERATE_USE_FSDP", "").lower() in _TRUE
    planned = "weights" in layout_of(accelerate).split
    if planned or launched or trainer.get("fsdp") or is_deepspeed_zero3_enabled():  # type: ignore[no-untyped-call]
        msg = (
            f"{what} merges an adapter, for which a process needs all weights, and FSDP and DeepSpeed ZeRO-3 split "
            "them over processes. Leave it out, and merge before or after the run in one process: "
            "`peft.AutoPeftModelForCausalLM.from_pretrained(DIRECTORY).merge_and_unload()`."
        )
        raise InputError(msg)


def refuse_merges(
    adapter: str | None, lora: Lora | None, trainer: dict[str, Any], accelerate: str | None = None
) -> None:
    """Refuse a run that would merge an adapter into split weights: the one that it starts from, or its own at the end.

    Parameters
    ----------
    adapter
        That the run starts from.
    lora
        Of the run.
    trainer, accelerate
        See `refuse_split_weights`.

    Raises
    ------
    InputError
        Under FSDP and DeepSpeed ZeRO-3.
    """
    if adapter:
        refuse_split_weights(f"Starting from the adapter `{adapter}`", trainer, accelerate)
    if lora and lora.merge:
        refuse_split_weights("`lora.merge`", trainer, accelerate)


class Layout(NamedTuple):
    """How many processes there are, and what of a model is split over them.

    Attributes
    ----------
    name
        ``"one process"``, ``"DDP"``, ``"FSDP2"``, ``"ZeRO-1"``, ...
    processes
        Devices, each with a process of its own.
    split
        Those of ``"weights"``, ``"gradients"`` and ``"optimizer"`` of which a device has a part.
    elsewhere
        Those that are kept in the memory of the machine.
    """

    name: str
    processes: int = 1
    split: frozenset[str] = frozenset()
    elsewhere: frozenset[str] = frozenset()

    def on_device(self, what: str, size: int) -> int:
        """Bytes on one device of so many."""
        if what in self.elsewhere:
            return 0
        return -(-size // self.processes) if what in self.split else size


def layout_of(accelerate: str | None) -> Layout:
    """How a configuration of accelerate lays a model on devices; None is one process.

    Raises
    ------
    InputError
        If there is no such file, or it says nothing of processes.
    """
    if accelerate is None:
        return Layout("one process")
    path = find_config(accelerate, "accelerate")
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
        processes, kind = int(values["num_processes"]), str(values.get("distributed_type", "NO"))
        if processes < 1:
            msg = f"num_processes is {processes}"
            raise ValueError(msg)
        if kind == "FSDP":
            return _fsdp(processes, values.get("fsdp_config") or {})
        if kind == "DEEPSPEED":
            return _deepspeed(processes, values.get("deepspeed_config") or {})
    except (OSError, yaml.YAMLError, KeyError, TypeError, AttributeError, ValueError) as error:
        msg = f"`{path}` is no configuration of accelerate: {' '.join(str(error).split())}."
        raise InputError(msg) from error
    return Layout("DDP" if processes > 1 else "one process", processes)


def _fsdp(processes: int, settings: dict[str, Any]) -> Layout:
    everything = frozenset({"weights", "gradients", "optimizer"})
    offload = str(settings.get("fsdp_offload_params", False)).lower() == "true"
    return Layout("FSDP2", processes, everything, everything if offload else frozenset())


def _deepspeed(processes: int, settings: dict[str, Any]) -> Layout:
    if file := settings.get("deepspeed_config_file"):  # what DeepSpeed itself reads, in place of the settings beside it
        whole = json.loads(Path(file).expanduser().read_text(encoding="utf-8"))
        zero = whole.get("zero_optimization") or {"stage": 0}
        places = {name: (zero.get(name) or {}).get("device", "none") for name in ("offload_param", "offload_optimizer")}
        settings = {"zero_stage": zero.get("stage", 0)} | {f"{name}_device": place for name, place in places.items()}
    stage = int(settings.get("zero_stage", 2))
    if not 0 <= stage <= 3:
        msg = f"zero_stage is {stage}"
        raise ValueError(msg)
    split = frozenset(["optimizer", "gradients", "weights"][:stage])
    moved = {"weights": "offload_param_device", "optimizer": "offload_optimizer_device"}
    elsewhere = frozenset(what for what, key in moved.items() if str(settings.get(key, "none")) != "none")
    return Layout(f"ZeRO-{stage}", processes, split, elsewhere)
