"""Which tokens of a batch are supervised: found where a batch is made, so that no step waits for a GPU to tell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from bftembed.errors import InputError, ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

#: Label of a token that is not supervised.
IGNORED = -100


def located(batch: Mapping[str, Any]) -> dict[str, Any]:
    """A batch with the places of its supervised tokens; as it is if it has them.

    How many there are decides the shapes of all that follows. On a GPU the program would wait for the number, in every
    micro-batch; on the CPU, before the batch is sent there, it costs nothing.

    Parameters
    ----------
    batch
        As `bftembed.tune.loss.head.supervised_logprobs` takes it.

    Returns
    -------
    The batch with ``supervised``, (n_tokens,), int64, the places of the supervised tokens in the flat labels, and
    ``lengths``, (n_samples,), int64, how many each sample has.

    Raises
    ------
    InputError
        If the batch has no labels.

    Examples
    --------
    >>> batch = located({"labels": torch.tensor([[-100, 5, 6], [7, 8, -100]])})  # a first token is predicted by none
    >>> batch["supervised"].tolist(), batch["lengths"].tolist()
    ([1, 2, 4], [2, 1])
    """
    if "supervised" in batch and "lengths" in batch:
        return dict(batch)
    if "labels" not in batch:
        msg = f"A batch has no `labels`, only {', '.join(map(repr, batch))}; the data collator has to give them."
        raise InputError(msg)
    places = supervised_places(batch["labels"])
    return {**batch, "supervised": places, "lengths": _lengths(batch, places)}


def supervised_places(labels: torch.Tensor) -> torch.Tensor:
    """Places of the supervised tokens in flat labels (batch, length): (n_tokens,), int64, none in the first column."""
    mask = labels != IGNORED
    mask[:, 0] = False
    return mask.flatten().nonzero()[:, 0]


def supervised_states(
    hidden: torch.Tensor, labels: torch.Tensor | None, supervised: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """States that predict the supervised tokens, (n_tokens, hidden_size), and these tokens, (n_tokens,).

    Raises
    ------
    ModelError
        If there are no labels.
    """
    if labels is None:
        msg = "`token_logprobs=True` needs `labels`."
        raise ModelError(msg)
    places = (supervised_places(labels) if supervised is None else supervised).to(hidden.device)
    targets = labels.to(hidden.device).flatten().index_select(0, places)
    return hidden.flatten(0, 1).index_select(0, places - 1), targets


def _lengths(batch: Mapping[str, torch.Tensor], places: torch.Tensor) -> torch.Tensor:
    if "position_ids" not in batch or "attention_mask" in batch:
        rows, width = batch["labels"].shape
        return torch.bincount(places // max(width, 1), minlength=rows)
    begins = batch["position_ids"].flatten() == 0
    sample = begins.cumsum(0) - 1
    return torch.bincount(sample[places], minlength=int(begins.sum()))


@dataclass(frozen=True)
class Locating:
    """A data collator whose batches are `located`, around another one."""

    collate: Callable[[list[Any]], Mapping[str, Any]]

    def __call__(self, samples: list[Any]) -> dict[str, Any]:
        """One batch."""
        return located(self.collate(samples))
