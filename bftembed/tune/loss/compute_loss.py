"""`make_loss`: the objectives as a drop-in ``compute_loss_func`` for any transformers or TRL trainer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from bftembed._near import check_number
from bftembed.errors import InputError
from bftembed.tune.loss.chunks import CHUNK_SIZE
from bftembed.tune.loss.given_logits import logits_logprobs
from bftembed.tune.loss.objectives import Objective, named
from bftembed.tune.loss.places import IGNORED

if TYPE_CHECKING:
    from collections.abc import Callable


def make_loss(
    objective: str | Objective = "bft",
    *,
    samples_per_step: int | None = None,
    chunk_size: int = CHUNK_SIZE,
    **options: Any,
) -> Callable[..., torch.Tensor]:
    """A loss function for ``Trainer(compute_loss_func=...)`` of transformers or TRL.

    What it cannot know: a trainer tells its loss how many supervised *tokens* the global batch has, and not how many
    *samples*, which is what BFT divides by. Pass ``samples_per_step`` (batch size per device x accumulation steps x
    processes) and the loss is exactly that of the whole global batch. Without it each micro-batch's mean over samples
    counts by its share of the global batch's tokens: the size of the loss does not depend on the number of accumulation
    steps, but samples of micro-batches with more tokens weigh more. `Tuner` knows both numbers and also saves the
    memory of the logits. Rows are taken to be samples, so do not use it with packing.

    Parameters
    ----------
    objective
        Name of an objective (``"sft"``, ``"dft"``, ``"bft"``, ...) or an `Objective`.
    samples_per_step
        Samples per optimizer step, over all processes.
    chunk_size
        Tokens whose logits are turned to float32 at once.
    options
        Of `Objective`: ``window=256``, ``gamma``, ``eps``, ``sample_weight``; and its further options, ``alpha``.

    Returns
    -------
    ``loss(outputs, labels, num_items_in_batch=None)`` with labels (batch, length) not yet shifted.

    Raises
    ------
    InputError
        If the objective or a number cannot be used, or a reference is needed. From the loss: if the outputs carry no
        logits (a fused loss, as Liger's, gives none; the public BFT code then silently trains plain SFT), or there are
        no labels, or they do not fit.

    Examples
    --------
    >>> from bftembed.tune import make_loss
    >>> loss = make_loss("bft-v1", window=64)  # Trainer(..., compute_loss_func=loss)
    """
    chosen = named(objective, **options)
    check_number("chunk_size", chunk_size, least=1, whole=True)
    if samples_per_step is not None:
        check_number("samples_per_step", samples_per_step, least=1, whole=True)
    if chosen.needs_reference:
        msg = f"`{chosen.name}` needs the frozen model that was started from, which no loss is given: use `Tuner`."
        raise InputError(msg)

    def loss(outputs: Any, labels: torch.Tensor | None, num_items_in_batch: Any = None) -> torch.Tensor:
        logits = outputs["logits"] if isinstance(outputs, dict) and "logits" in outputs else None
        if logits is None or labels is None:
            msg = (
                f"The `{chosen.name}` objective needs logits and labels, and this model gave none"
                f"{'' if labels is None else ' of the former'}. Turn off fused losses (`use_liger_kernel`), or use "
                "`bftembed.tune.Tuner`, which needs no logits."
            )
            raise InputError(msg)
        if logits.shape[:-1] != labels.shape:
            msg = (
                f"Logits of shape {tuple(logits.shape)} do not fit labels of shape {tuple(labels.shape)}: the one is "
                "(batch, length, vocabulary), the other (batch, length), not yet shifted."
            )
            raise InputError(msg)
        targets = labels[:, 1:]
        mask = targets != IGNORED
        values = logits_logprobs(logits[:, :-1][mask], targets[mask], chunk_size=chunk_size, **chosen.asks)
        if not chosen.per_sample:
            return chosen.loss(values, mask.sum(1), n_tokens=num_items_in_batch)[0]
        value, _ = chosen.loss(values, mask.sum(1), n_samples=samples_per_step)
        if samples_per_step is None and num_items_in_batch is not None:
            value = value * (mask.sum().to(value.dtype) / torch.as_tensor(num_items_in_batch).clamp(min=1))
        return value

    return loss
