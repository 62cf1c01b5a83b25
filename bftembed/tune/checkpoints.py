"""Checkpoints that are whole or absent, and the log of a run that goes on after it was killed."""

from __future__ import annotations

import json
import logging
import re
import shutil
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import TrainerCallback
from transformers.trainer_utils import rotate_checkpoints

from bftembed.errors import TuneError
from bftembed.tune.logs import read_log

if TYPE_CHECKING:
    from collections.abc import Iterator

log = logging.getLogger("bftembed")
#: Written into a checkpoint last, when every process has written its part.
_WHOLE = "complete"
#: What of a log entry is shown while a run lasts; the file has all of it.
_SHOWN = {
    *("loss", "grad_norm", "mean_confidence", "mean_token_weight", "eval_loss", "eval_perplexity", "train_runtime"),
    *("reward", "answered", "unparsed", "kl"),
}
_NAME = re.compile(r"checkpoint-(\d+)")


@contextmanager
def storing(output: Path, what: str) -> Iterator[None]:
    """Say in a sentence that something cannot be saved, and what is left.

    Raises
    ------
    TuneError
        In place of any error.
    """
    try:
        yield
    except Exception as error:  # safetensors, torch and tokenizers each have their own, the last a bare Exception
        last = last_checkpoint(output)
        kept = f"The last good checkpoint, `{last}`, is untouched: free some space and run again to go on from there."
        msg = f"{what} could not be saved: {error}. {kept if last else 'There is no earlier checkpoint.'}"
        raise TuneError(msg) from error


@contextmanager
def without_hub_warnings() -> Iterator[None]:
    """Save an adapter: peft asks the hub whether the vocabulary has grown, and warns where it cannot; it never has."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Could not find a config file|Unable to fetch remote file")
        yield


@contextmanager
def publishing(trainer: Any) -> Iterator[None]:
    """Mark the checkpoint that is saved in this context as whole; older ones are deleted only after that.

    Raises
    ------
    TuneError
        If it cannot be written, e.g. for want of space; what was written of it is removed.
    """
    output, limit = Path(trainer.args.output_dir), trainer.args.save_total_limit
    target = output / f"checkpoint-{trainer.state.global_step}"
    trainer.args.save_total_limit = None
    try:
        with storing(output, f"`{target}`"):
            yield
            trainer.accelerator.wait_for_everyone()
            if trainer.args.should_save:
                (target / _WHOLE).touch()
    except TuneError:
        shutil.rmtree(target, ignore_errors=True)
        raise
    finally:
        trainer.args.save_total_limit = limit
    if trainer.args.should_save:
        rotate_checkpoints(str(output), limit, trainer.state.best_model_checkpoint)


def last_checkpoint(output: Path) -> Path | None:
    """The last checkpoint in a directory that is whole."""
    whole = [(step, path) for step, path in _checkpoints(output) if (path / _WHOLE).exists()]
    return max(whole)[1] if whole else None


def remove_broken(output: Path) -> None:
    """Delete checkpoints that a killed run left half written: those after the last whole one."""
    last = last_checkpoint(output)
    after = int(last.name.split("-")[1]) if last else 0
    for step, path in _checkpoints(output):
        if step > after:
            log.warning("`%s` was left half written; it is removed.", path)
            shutil.rmtree(path)


def _checkpoints(output: Path) -> list[tuple[int, Path]]:
    if not output.is_dir():
        return []
    return [(int(found[1]), path) for path in output.iterdir() if (found := _NAME.fullmatch(path.name))]


class LogFile(TrainerCallback):
    """Write every log entry as a JSON line; a run that is continued drops the lines after its checkpoint."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Keep the entries up to the step from which the run goes on."""
        if not state.is_world_process_zero:
            return
        lines = read_log(self._path) if state.global_step else []
        # The summary of a run that was killed after its last step is written again.
        kept = [line for line in lines if line["step"] <= state.global_step and "train_runtime" not in line]
        with storing(self._path.parent, f"`{self._path}`"):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._path.write_text("".join(json.dumps(line) + "\n" for line in kept))

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
        """Append one entry."""
        if state.is_world_process_zero and logs:
            shown = ", ".join(f"{key} {value:.4g}" for key, value in logs.items() if key in _SHOWN)
            log.info("Step %d of %d: %s.", state.global_step, state.max_steps, shown)
            with storing(self._path.parent, f"`{self._path}`"), self._path.open("a") as handle:
                handle.write(json.dumps({"step": state.global_step, **logs}) + "\n")
