"""Kullback-Leibler divergence of a model from the frozen one that it started from, over the whole vocabulary.

As in `bftembed.tune.loss.logprobs` the logits, here of both, are made for a chunk of tokens at a time, and the gradient
with respect to the hidden states is taken while the chunk is in memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch.autograd.function import once_differentiable

from bftembed.errors import InputError
from bftembed.tune.loss.chunks import CHUNK_SIZE, ChunkLogits, Head, head_gradients, without_autocast

if TYPE_CHECKING:
    from collections.abc import Callable


class Reference(NamedTuple):
    """Hidden states of a frozen model at the supervised tokens, (n_tokens, hidden_size), and its output head.

    Without a weight, the head is that of the model that is trained, which is frozen then.
    """

    states: torch.Tensor
    weight: torch.Tensor | None = None
    bias: torch.Tensor | None = None


def token_divergence(
    hidden: torch.Tensor,
    weight: torch.Tensor,
    targets: torch.Tensor,
    reference: Reference,
    *,
    bias: torch.Tensor | None = None,
    softcap: float | None = None,
    scale: float = 1.0,
    chunk_size: int = CHUNK_SIZE,
) -> torch.Tensor:
    """``KL(reference || model)`` of the next-token distributions, in nats.

    Parameters
    ----------
    hidden, weight, targets, bias, softcap, scale, chunk_size
        As for `token_logprobs`; memory is about four (chunk_size, vocabulary) arrays of float32. `targets` matter only
        in half precision, where their logits are computed again in float32.
    reference
        What is compared with; soft cap and scale are the same.

    Returns
    -------
    (n_tokens,), float32 (float64 for float64 input), with gradient with respect to `hidden`, `weight` and `bias`.

    Raises
    ------
    InputError
        If the reference has another number of tokens, or another vocabulary.

    Examples
    --------
    >>> hidden, weight = torch.zeros(1, 2), torch.eye(2)
    >>> reference = Reference(torch.tensor([[0.0, 1000.0]]))  # sure of one of two tokens
    >>> token_divergence(hidden, weight, torch.tensor([0]), reference).exp().round(decimals=4)
    tensor([2.])
    """
    rows = weight if reference.weight is None else reference.weight
    if reference.states.shape[:1] != hidden.shape[:1] or len(rows) != len(weight):
        msg = (
            f"The reference has {len(reference.states)} tokens and a vocabulary of {len(rows)}, and the model "
            f"{len(hidden)} and {len(weight)}: both have to read the same tokens."
        )
        raise InputError(msg)
    head = Head.of(weight, softcap, scale, chunk_size)
    theirs = (reference.states.detach(), rows.detach(), bias if reference.weight is None else reference.bias)
    with without_autocast(hidden.device.type):
        result: torch.Tensor = _Divergence.apply(  # type: ignore[no-untyped-call]
            hidden, weight, bias, targets, theirs, head, torch.is_grad_enabled()
        )
    return result


class _Divergence(torch.autograd.Function):
    @staticmethod
    def forward(  # noqa: PLR0917 - autograd functions take positional arguments only
        ctx: Any,
        hidden: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        targets: torch.Tensor,
        theirs: tuple[torch.Tensor, torch.Tensor, torch.Tensor | None],
        head: Head,
        grad: bool,  # noqa: FBT001
    ) -> torch.Tensor:
        chunks = ChunkLogits(head, hidden, weight, bias, targets)
        result = hidden.new_empty(len(targets), dtype=chunks.wide)
        error_of = _errors(chunks, ChunkLogits(head, *theirs, targets), result)
        slopes = torch.empty_like(hidden) if grad and ctx.needs_input_grad[0] else None
        for part in chunks.parts:
            error, cap_slope = error_of(part)
            if slopes is not None:
                if cap_slope is not None:
                    error.mul_(cap_slope)
                product = error.to(head.dtype) @ chunks.rows
                slopes[part] = product.to(chunks.wide).mul_(head.scale).to(slopes.dtype)
            del cap_slope
        trains_head = ctx.needs_input_grad[1] or (bias is not None and ctx.needs_input_grad[2])
        kept = (hidden, weight, bias, targets, *theirs) if grad and trains_head else (None,) * 7
        ctx.save_for_backward(slopes, *kept)
        ctx.head = head
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        slopes, hidden, weight, bias, targets, states, rows, shift = ctx.saved_tensors
        grad_hidden = None if slopes is None else slopes.to(grad.dtype).mul(grad[:, None]).to(slopes.dtype)
        grad_weight = grad_bias = None
        if hidden is not None:
            chunks = ChunkLogits(ctx.head, hidden, weight, bias, targets)
            error_of = _errors(chunks, ChunkLogits(ctx.head, states, rows, shift, targets))
            with without_autocast(hidden.device.type):
                wanted = ctx.needs_input_grad[1:3]
                grad_weight, grad_bias = head_gradients(chunks, error_of, grad * ctx.head.scale, wanted)
        return grad_hidden, grad_weight, grad_bias, None, None, None, None


def _errors(
    ours: ChunkLogits, theirs: ChunkLogits, result: torch.Tensor | None = None
) -> Callable[[slice], tuple[torch.Tensor, torch.Tensor | None]]:
    """Gradient of a chunk's divergences with respect to the model's capped logits; the divergences go into `result`."""
    lowest = torch.finfo(ours.wide).min

    def error_of(part: slice) -> tuple[torch.Tensor, torch.Tensor | None]:
        logits, cap_slope = ours.chunk(part)
        others, _ = theirs.chunk(part)
        for each in (logits, others):
            # A logit of minus infinity has probability 0 for both and adds nothing.
            each.sub_(each.logsumexp(1, keepdim=True)).clamp_(min=lowest)
        expected = others.exp()
        if result is not None:
            result[part] = others.sub_(logits).mul_(expected).sum(1)
        return logits.exp_().sub_(expected), cap_slope

    return error_of
