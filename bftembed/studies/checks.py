"""What can be known to be wrong before any cell is run, said by the key of the configuration that it stands under."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import torch

from bftembed._optional import needs
from bftembed.errors import BftembedError, InputError, ModelError
from bftembed.models.causal import add_lora
from bftembed.models.files import resolve_adapted
from bftembed.tune.devices import layout_of, refuse_merges
from bftembed.tune.loss.logprobs import TokenLogprobs
from bftembed.tune.loss.objectives import OBJECTIVES
from bftembed.tune.memory import bare_model
from bftembed.tune.supervised import training_arguments

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bftembed.studies.tuning import Recipe
    from bftembed.tune import Objective
    from bftembed.tune.config import GRPOSettings, Training

    Settings = TypeVar("Settings", Training, GRPOSettings)

_MAPS = ("auto", "balanced", "balanced_low_0", "sequential")
#: Arguments of a trainer that start something or hang on the machine, so that an estimate leaves them out.
_OF_MACHINES = {"deepspeed", "fsdp", "fsdp_config", "parallelism_config", "tf32", "fp16", "fp16_full_eval"}


@contextmanager
def told_of(key: str) -> Iterator[None]:
    """Say what is refused inside by the key of the configuration.

    Raises
    ------
    InputError
        In place of any other error of this package.

    Examples
    --------
    >>> from bftembed.errors import DataError, InputError
    >>> from bftembed.studies.checks import told_of
    >>> try:
    ...     with told_of("data.train"):
    ...         raise DataError("There is no such file.")
    ... except InputError as error:
    ...     print(error)
    In `data.train`: There is no such file.
    """
    try:
        yield
    except BftembedError as error:
        msg = f"In `{key}`: {error}"
        raise InputError(msg) from error


def check_recipe(recipe: Recipe, key: str = "recipe") -> None:
    """Refuse a recipe that no run could be made with.

    Of a model of the hub, which an estimate does not fetch, nothing is looked at.

    Parameters
    ----------
    recipe
        What all runs have in common.
    key
        Where it stands in the configuration.

    Raises
    ------
    InputError
        If there is no such scheduler, argument of the trainer, accelerate configuration, layout on devices, model,
        adapter or layer to put an adapter on.
    MissingExtraError
        If a package is not installed.
    """
    needs("accelerate")
    if recipe.accelerate:
        with told_of(f"{key}.accelerate"):
            layout_of(recipe.accelerate)
            refuse_merges(recipe.adapter, recipe.lora, recipe.training.trainer, recipe.accelerate)
    with told_of(key):
        training_arguments(_anywhere(recipe.training), Path("unused"), evaluate=False)
    _check_device_map(recipe.reading.device_map, f"{key}.reading.device_map")
    with told_of(f"{key}.model"):
        if recipe.of_hub:
            return
        files, _ = resolve_adapted(recipe.model, recipe.adapter)
    if recipe.lora is None:
        return
    try:
        bare = bare_model(files.path / "config.json", torch.float32)
    except ModelError:  # told when it is loaded, in the first cell: some cannot be made without their weights
        return
    with told_of(f"{key}.lora"):
        add_lora(bare, files, **recipe.lora.model_dump(exclude={"merge"}))


def _anywhere(settings: Settings) -> Settings:
    """Settings without the arguments of the trainer that hang on the machine."""
    further = {name: value for name, value in settings.trainer.items() if name not in _OF_MACHINES}
    return settings.model_copy(update={"trainer": further})


def _check_device_map(device_map: str | None, key: str) -> None:
    if device_map is None or device_map in _MAPS:
        return
    try:
        torch.device(device_map)
    except RuntimeError as error:
        msg = f"`{key}` is `{device_map}`; it has to be {', '.join(_MAPS)} or a device, as `cuda:0`."
        raise InputError(msg) from error


def check_objectives(objectives: Mapping[str, Objective]) -> None:
    """Let objectives that are not of this package weigh a few made-up tokens.

    Parameters
    ----------
    objectives
        By the keys under which they stand in the configuration.

    Raises
    ------
    InputError
        If one fails, or gives no weights.
    """
    lengths = torch.tensor([5, 7])
    logprobs = torch.linspace(0.05, 0.95, 12).log()
    spread = torch.linspace(0.1, 0.9, 12)
    values = TokenLogprobs(logprobs, entropy=spread, purity=spread, frozen=logprobs)
    for key, objective in objectives.items():
        if objective.name not in OBJECTIVES:
            with told_of(key):
                objective.weights(values, lengths)


def check_grpo(settings: GRPOSettings, accelerate: str | None) -> None:
    """Refuse settings of GRPO that TRL would refuse, before starts are tuned for hours.

    Parameters
    ----------
    settings
        Of the runs.
    accelerate
        Configuration that says how many processes a run has; None for one.

    Raises
    ------
    InputError
        If they do not fit together, or TRL knows no such argument.
    MissingExtraError
        If TRL is not installed.
    """
    needs("trl")
    from bftembed.tune.grpo.trainer import batches_of, make_arguments

    with told_of("grpo"):
        batches_of(settings, layout_of(accelerate).processes)
        if accelerate is None:
            make_arguments(_anywhere(settings), Path("unused"))
