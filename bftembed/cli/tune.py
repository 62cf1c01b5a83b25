"""``bftembed tune``."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from bftembed.tune.config import TuneConfig

#: Set in the processes that the launcher starts: it gives no rank to a process that is alone.
_LAUNCHED = "BFTEMBED_LAUNCHED"
_TIMES = {"epoch", "eval_runtime", "eval_samples_per_second", "eval_steps_per_second"}


def tune(
    config: Annotated[str, typer.Argument(help="YAML file, or the name of a configuration that comes with bftembed.")],
    objective: Annotated[
        str | None, typer.Option(help="bft, sft, dft, ..., PATH.py:FUNCTION or grpo, in place of the file's.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Model to tune, in place of the file's.")] = None,
    output: Annotated[str | None, typer.Option(help="Directory of the result, in place of the file's.")] = None,
    show: Annotated[bool, typer.Option("--show", help="Print the configuration, to be kept and changed.")] = False,
    plan: Annotated[
        bool,
        typer.Option("--plan", help="Print the memory that each device needs, from the model's config.json alone."),
    ] = False,
) -> None:
    """Tune a language model with SFT, DFT, BFT or GRPO; run again to go on after an interruption."""
    from bftembed.tune.config import find_config, load_config

    if show:
        print(find_config(config).read_text(encoding="utf-8"), end="")
        return
    settings = load_config(config, objective=objective, model=model, output=output)
    if plan:
        from bftembed.tune import plan as memory_plan

        print(memory_plan(settings))
        return
    if settings.accelerate and not os.environ.keys() & {"LOCAL_RANK", _LAUNCHED}:
        _refuse_merging(settings)
        _launch(find_config(settings.accelerate, "accelerate"))
    from bftembed.tune import tune as run
    from bftembed.tune.output import perplexity_line

    result = run(settings)
    _leave_group()
    if os.environ.get("LOCAL_RANK", "0") != "0":
        return
    if line := perplexity_line(result.initial_metrics, result.metrics):
        print(line)
    for name, value in result.metrics.items():
        if name not in _TIMES:
            print(f"{name}: {value:.4g}")
    print(f"{result.steps} steps; the model is in {result.path}: use it by --engine transformers:{result.path}")


def _refuse_merging(settings: TuneConfig) -> None:
    """Say before processes are started what each of them would refuse."""
    from bftembed.tune.devices import refuse_merges

    merged = None if settings.objective == "grpo" else settings.adapter
    refuse_merges(merged, settings.lora, settings.training.trainer, settings.accelerate)


def _leave_group() -> None:
    """Join the threads of a process group: one that still needs Python aborts a process that is about to end."""
    from torch import distributed

    if distributed.is_available() and distributed.is_initialized():
        distributed.destroy_process_group()


def _launch(configuration: Path) -> None:
    """Start this very command again on every device, through accelerate."""
    from bftembed._optional import require

    require("accelerate")
    launcher = ["-m", "accelerate.commands.launch", "--config_file", str(configuration)]
    command = ["-m", "bftembed", *sys.argv[1:]]
    started = os.environ | {_LAUNCHED: "1"}
    os.execve(sys.executable, [sys.executable, *launcher, *command], started)  # in this process's place
