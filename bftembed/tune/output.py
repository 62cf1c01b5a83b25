"""The output directory of a run: one run at a time, one set-up, and what made the model that lies there."""

from __future__ import annotations

import json
import math
import os
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import filelock
from pydantic import BaseModel

from bftembed._files import refuse_nul
from bftembed.errors import TuneError
from bftembed.tune.card import write_card
from bftembed.tune.checkpoints import last_checkpoint, storing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bftembed.models.files import ModelFiles
    from bftembed.tune.config import TuneConfig, TuneResult
    from bftembed.tune.data.dataset import TokenDataset

_SETTINGS, _REPORT = "bft_run.json", "bft_report.json"
#: What is written when a run of GRPO has ended.
GRPO_REPORT = "bft_grpo.json"
#: Settings that came later, with what held before for the runs that have the others of their section.
_LATER = {"objective.weights_from": "model"}
#: What may change when a run goes on; batches may be split otherwise.
_FREE = {"batch_size", "accumulation_steps", "log_steps", "eval_steps", "save_steps", "keep_checkpoints"} | {
    "gradient_checkpointing"
}


@contextmanager
def held(output: Path) -> Iterator[None]:
    """Make a directory and keep it to one run (its first process), until the context or the process ends.

    Raises
    ------
    TuneError
        If it cannot be made or written to, or another run holds it.
    """
    lock = filelock.FileLock(output / ".lock", timeout=0)
    try:
        refuse_nul(output)
        output.mkdir(parents=True, exist_ok=True)
        if os.environ.get("RANK", "0") == "0":
            lock.acquire()
    except filelock.Timeout as error:
        msg = f"Another run is writing into `{output}`; wait for its end, or choose another output."
        raise TuneError(msg) from error
    except OSError as error:
        msg = f"The output directory `{output}` cannot be made or written to: {error}. Choose another."
        raise TuneError(msg) from error
    try:
        yield
    finally:
        lock.release()


def foreign_model(output: Path) -> bool:
    """Whether a directory holds a model that no run with a memory of its settings has put there."""
    models = ("config.json", "adapter_config.json")
    return any((output / name).exists() for name in models) and not (output / _SETTINGS).exists()


def claim(output: Path, settings: dict[str, Any], **files: ModelFiles | None) -> None:
    """Write down what fixes the loss curve of a run, or compare it with what a run that is continued has.

    With `files` by their names in `settings`, a run that version 0.1 began knows them by the digests of then.

    Raises
    ------
    TuneError
        If there is a checkpoint or the result of a run with other settings: two runs would be mixed in one curve.
    """
    path = output / _SETTINGS
    ended = any((output / name).exists() for name in (_REPORT, GRPO_REPORT))
    if not (path.exists() and (last_checkpoint(output) or ended)):
        with storing(output, f"`{path}`"):
            path.write_text(json.dumps(settings, indent=2) + "\n")
        return
    before = _stored(path, settings)
    for name, known in files.items():
        if known is not None and before.get(name) and known.current(before[name]) == known.digest:
            before[name] = settings[name]
    changes = [
        f"`{name}` was {before.get(name)!r} and is {settings.get(name)!r}"
        for name in before | settings
        if before.get(name) != settings.get(name)
    ]
    if changes:
        msg = (
            f"`{output}` holds a run that was set up otherwise: {'; '.join(changes)}. Put that back to go on, choose "
            "another output, or remove this one."
        )
        raise TuneError(msg)


def run_settings(
    config: TuneConfig, processes: int, files: ModelFiles, adapter: ModelFiles | None, train: TokenDataset
) -> dict[str, Any]:
    """What fixes the loss curve of a run, by the names of the configuration."""
    settings: dict[str, Any] = {"model": files.revision, "adapter": adapter.revision if adapter else None}
    settings |= {"data.train": train.digest, "data.packing": config.data.packing}
    training = config.training
    settings["training.batch_size x accumulation_steps x processes"] = (
        training.batch_size * training.accumulation_steps * processes
    )
    if not isinstance(config.objective, str) and config.objective.source:
        settings["objective.source"] = config.objective.source
    return settings | section_settings(objective=config.objective, lora=config.lora, training=training)


def section_settings(**sections: Any) -> dict[str, Any]:
    """What of sections of a configuration may not change when a run goes on, by their names."""
    found: dict[str, Any] = {}
    for name, section in sections.items():
        values = section.model_dump(mode="json", exclude=_FREE) if isinstance(section, BaseModel) else {}
        found |= {f"{name}.{key}": value for key, value in values.items()}
    return found


def _stored(path: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """Settings of the run that began in a directory, those that came later too, if `settings` has them."""
    later = {name: value for name, value in _LATER.items() if name in settings}
    stored = _object(path)
    if stored is None:
        msg = f"`{path}` is damaged, so that nothing can be gone on from: remove `{path.parent}` to train anew."
        raise TuneError(msg)
    return later | stored


def _object(path: Path) -> dict[str, Any] | None:
    """The JSON object of a file, None where it is cut off or holds something else."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def finished_report(output: Path, settings: dict[str, Any], name: str = _REPORT) -> dict[str, Any] | None:
    """The report of a run with the same settings that has ended in a directory, or None."""
    path, report = output / _SETTINGS, output / name
    if not (path.exists() and report.exists()) or _stored(path, settings) != json.loads(json.dumps(settings)):
        return None
    content = _object(report)  # one that a kill has cut off is of a run that has not ended
    return content if content and "steps" in content else None


def write_report(config: TuneConfig, files: ModelFiles, train: TokenDataset, result: TuneResult) -> None:
    """What made this model, beside it: ``bft_report.json`` and a model card."""
    packages = ("bftembed", "torch", "transformers", "peft", "accelerate")
    report: dict[str, Any] = {
        "config": config.model_dump(mode="json"),
        "model": files.name,
        "revision": files.revision,
        "data": asdict(train.report),
        "steps": result.steps,
        "initial_metrics": _finite(result.initial_metrics),
        "metrics": _finite(result.metrics),
        "versions": {package: version(package) for package in packages},
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    write_card(result.path, files.name, report["config"]["objective"]["name"], _card_rows(report))
    # Last: this file says that the run has ended.
    (result.path / _REPORT).write_text(json.dumps(report, indent=2) + "\n")


def _card_rows(report: dict[str, Any]) -> dict[str, str]:
    config, data = report["config"], report["data"]
    training, lora = config["training"], config["lora"]
    rows = {
        "Base model": f"{report['model']}, {report['revision']}",
        "Objective": _listed(config["objective"]),
        "Data": f"{data['samples']:,} samples, {data['supervised_tokens']:,} supervised tokens",
        "Training": f"{report['steps']:,} steps, learning rate {training['learning_rate']:g}, {training['schedule']}",
    }
    if lora:
        rows["LoRA"] = _listed({key: value for key, value in lora.items() if key != "merge"})
    if line := perplexity_line(report["initial_metrics"], report["metrics"]):
        rows["Validation"] = line
    return rows | {"Made": f"{report['date'][:10]} with {_listed(report['versions'])}"}


def _listed(values: dict[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in values.items())


def perplexity_line(before: dict[str, float], after: dict[str, float]) -> str:
    """Perplexity on the validation data before and after, for reading; empty without validation data."""
    values = [metrics["eval_perplexity"] for metrics in (before, after) if "eval_perplexity" in metrics]
    return f"perplexity {' -> '.join(f'{value:.4g}' for value in values)}" if values else ""


def _finite(metrics: dict[str, float]) -> dict[str, float]:
    return {key: value for key, value in metrics.items() if math.isfinite(value)}
