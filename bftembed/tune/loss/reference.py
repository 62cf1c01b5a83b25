"""What an objective's loss needs of a model, and of the frozen one that it started from: its own, with adapters off."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import torch

from bftembed.errors import InputError
from bftembed.tune.loss.divergence import Reference
from bftembed.tune.loss.head import base_model, supervised_logprobs
from bftembed.tune.loss.places import located

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import nn

    from bftembed.tune.loss.logprobs import TokenLogprobs
    from bftembed.tune.loss.objectives import Objective


def objective_logprobs(
    model: nn.Module, batch: Mapping[str, torch.Tensor], objective: Objective, reference: nn.Module | None = None
) -> tuple[TokenLogprobs, torch.Tensor]:
    """All that the loss of an objective depends on, and no more.

    Parameters
    ----------
    model, batch
        As for `supervised_logprobs`.
    objective
        What is trained.
    reference
        A frozen model with a log-prob head, if the objective needs one; by default the model with its adapters off.

    Returns
    -------
    As `supervised_logprobs`; for ``objective.loss``.
    """
    inputs = located(batch)
    if not objective.needs_reference:
        return supervised_logprobs(model, inputs, **objective.asks)
    return supervised_logprobs(
        model,
        inputs,
        reference=_read(model, inputs, objective) if reference is None else _states(reference, inputs, own_head=True),
        frozen=objective.weights_from == "reference",
        divergence=objective.kl > 0,
        **objective.asks,
    )


def check_reference(objective: Objective, *, has_adapter: bool) -> None:
    """Refuse an objective that needs a reference, where there is no adapter that could be turned off.

    Raises
    ------
    InputError
        If so.
    """
    if objective.needs_reference and not has_adapter:
        what = f"`{objective.name}`" if objective.kl else "`weights_from: reference`"
        msg = (
            f"{what} needs the frozen model that was started from, which is this one with its adapter off, and it has "
            "none. Train an adapter (`lora`), or give `Tuner` a `reference`."
        )
        raise InputError(msg)


def _read(model: Any, inputs: Mapping[str, torch.Tensor], objective: Objective) -> Reference:
    """States of a model without its adapters; its own head too, if the adapter trains a copy of it."""
    from accelerate.utils import extract_model_from_parallel

    adapted = extract_model_from_parallel(model, keep_torch_compile=False)
    check_reference(objective, has_adapter=hasattr(adapted, "disable_adapter"))
    own_head = hasattr(base_model(adapted).get_output_embeddings(), "modules_to_save")
    with _adapters_off(adapted):
        return _states(model, inputs, own_head=own_head)


def _states(model: nn.Module, inputs: Mapping[str, torch.Tensor], *, own_head: bool) -> Reference:
    modes = [(module, module.training) for module in model.modules()]
    model.eval()  # no dropout
    try:
        with torch.no_grad():
            given = {name: value for name, value in inputs.items() if name != "lengths"}
            outputs = model(**given, token_logprobs=True, only_states=True, own_head=own_head)
    finally:
        for module, training in modes:
            module.training = training
    return Reference(outputs.states, outputs.weight, outputs.bias)


@contextlib.contextmanager
def _adapters_off(model: Any) -> Iterator[None]:
    """PEFT's context, after which it would train all of the adapters, those that were frozen too."""
    trained = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    try:
        with model.disable_adapter():
            yield
    finally:
        for parameter, wanted in trained:
            parameter.requires_grad_(wanted)
