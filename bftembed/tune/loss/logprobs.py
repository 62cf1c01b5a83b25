"""Log-probabilities of target tokens from hidden states and an output head, without the logits of the whole batch.

Every objective, the diagnostic and the evaluation need one thing: log p of each supervised token. Logits are made for
``chunk_size`` tokens at a time. The weight that an objective gives to a token is only a factor of the gradient with
respect to its hidden state, so this gradient is taken in the forward pass, while the chunk's softmax is in memory, and
scaled in the backward pass. Only where the head itself is trained are the logits made a second time.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch.autograd.function import once_differentiable
from transformers.utils.import_utils import is_fake_tensor

from bftembed.errors import InputError
from bftembed.tune.loss.chunks import CHUNK_SIZE, ChunkLogits, Head, head_gradients, without_autocast
from bftembed.tune.loss.spread import Asked


class TokenLogprobs(NamedTuple):
    """Values of the supervised tokens, (n_tokens,) each, those that were asked for; None where not.

    Attributes
    ----------
    logprobs
        Log-probability of each target token, with gradient.
    entropy
        Entropy of each next-token distribution, or of its likeliest tokens, in nats; without gradient.
    purity
        Sum of the squared probabilities of each next-token distribution; without gradient.
    frozen
        Log-probability of each target token by the reference, whose are entropy and purity then; without gradient.
    divergence
        ``KL(reference || model)`` of each next-token distribution, with gradient.
    """

    logprobs: torch.Tensor
    entropy: torch.Tensor | None = None
    purity: torch.Tensor | None = None
    frozen: torch.Tensor | None = None
    divergence: torch.Tensor | None = None


def token_logprobs(
    hidden: torch.Tensor,
    weight: torch.Tensor,
    targets: torch.Tensor,
    *,
    bias: torch.Tensor | None = None,
    softcap: float | None = None,
    scale: float = 1.0,
    chunk_size: int = CHUNK_SIZE,
    entropy: bool = False,
    k: int | None = None,
    purity: bool = False,
) -> TokenLogprobs:
    """Log-probability of each target token, in chunks of tokens.

    The logits are ``scale * (hidden @ weight.T + bias)``, and with a soft cap ``softcap * tanh(logits / softcap)``.
    Under autocast the product is taken in autocast's dtype, else in the weight's. Its result and the log-sum-exp are
    float32 at least: where the device gives products of half precision in half precision only (CPU), the logits of the
    target and of the likeliest tokens are computed again in float32.

    Parameters
    ----------
    hidden
        (n_tokens, hidden_size), floating; the state that predicts each target.
    weight
        (vocabulary, hidden_size), the output head's weight; may be tied to the input embedding.
    targets
        (n_tokens,), int64, in [0, vocabulary).
    bias
        (vocabulary,), the head's bias.
    softcap, scale
        The soft cap and the factor of models that have them.
    chunk_size
        Tokens whose logits are held at once; memory is about two (chunk_size, vocabulary) arrays of float32.
    entropy
        Also give the entropy of each next-token distribution.
    k
        Give that of its `k` likeliest tokens instead, their probabilities made to add up to 1.
    purity
        Also give the sum of squared probabilities of each next-token distribution.

    Returns
    -------
    float32 (float64 for float64 input) arrays of shape (n_tokens,), those asked for. With no tokens the result is empty
    and still connected to ``hidden``.

    Raises
    ------
    InputError
        If shapes do not fit together, ``chunk_size`` is below 1, a target lies outside the vocabulary, or ``k`` is not
        between 1 and the size of the vocabulary.

    Examples
    --------
    >>> import torch
    >>> from bftembed.tune import token_logprobs
    >>> hidden, weight = torch.zeros(2, 4), torch.ones(8, 4)  # all 8 tokens are alike
    >>> token_logprobs(hidden, weight, torch.tensor([0, 5])).logprobs.exp()
    tensor([0.1250, 0.1250])
    """
    _check(hidden, weight, targets, chunk_size)
    asked = Asked(entropy, k, purity)
    asked.check(len(weight))
    head = Head.of(weight, softcap, scale, chunk_size)
    with without_autocast(hidden.device.type):
        logprobs, *spread = _TokenLogprobs.apply(  # type: ignore[no-untyped-call]
            hidden, weight, bias, targets, head, asked, torch.is_grad_enabled()
        )
    return TokenLogprobs(logprobs, spread[0] if entropy else None, spread[1] if purity else None)


class _TokenLogprobs(torch.autograd.Function):
    @staticmethod
    def forward(  # noqa: PLR0917 - autograd functions take positional arguments only
        ctx: Any,
        hidden: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        targets: torch.Tensor,
        head: Head,
        asked: Asked,
        grad: bool,  # noqa: FBT001
    ) -> tuple[torch.Tensor, ...]:
        n = len(targets)
        chunks = ChunkLogits(head, hidden, weight, bias, targets)
        wide = chunks.wide
        logprobs = hidden.new_empty(n, dtype=wide)
        spread = asked.room(hidden, n, wide)
        logsumexp = hidden.new_empty(n, dtype=wide)
        # d logprob / d hidden, to be scaled in the backward pass.
        slopes = torch.empty_like(hidden) if grad and ctx.needs_input_grad[0] else None
        for part in chunks.parts:
            logits, cap_slope = chunks.chunk(part)
            target = targets[part, None]
            chosen = logits.gather(1, target)
            top = logits.amax(1, keepdim=True)
            exp = logits.sub_(top).exp_()
            total = exp.sum(1, keepdim=True)
            lse = top + total.log()
            logsumexp[part] = lse[:, 0]
            logprobs[part] = (chosen - lse)[:, 0]
            asked.fill(spread, part, exp)
            if slopes is not None:
                exp.scatter_add_(1, target, -total)
                if cap_slope is not None:
                    exp.mul_(cap_slope)
                product = exp.to(head.dtype) @ chunks.rows
                slopes[part] = product.to(wide).mul_(-head.scale / total).to(slopes.dtype)
            del cap_slope  # else it lives on until the next chunk's has been made
        trains_head = ctx.needs_input_grad[1] or (bias is not None and ctx.needs_input_grad[2])
        kept = (hidden, weight, bias, targets, logsumexp) if grad and trains_head else (None,) * 5
        ctx.save_for_backward(slopes, *kept)
        ctx.head = head
        ctx.mark_non_differentiable(*spread)
        return logprobs, *spread

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: torch.Tensor, *_: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        slopes, hidden, weight, bias, targets, logsumexp = ctx.saved_tensors
        grad_hidden = None if slopes is None else slopes.to(grad.dtype).mul(grad[:, None]).to(slopes.dtype)
        grad_weight = grad_bias = None
        if hidden is not None:
            chunks = ChunkLogits(ctx.head, hidden, weight, bias, targets)

            def error_of(part: slice) -> tuple[torch.Tensor, torch.Tensor | None]:
                logits, cap_slope = chunks.chunk(part)
                error = logits.sub_(logsumexp[part, None]).exp_()
                error.scatter_add_(1, targets[part, None], error.new_full((len(error), 1), -1.0))
                return error, cap_slope

            with without_autocast(hidden.device.type):
                wanted = ctx.needs_input_grad[1:3]
                grad_weight, grad_bias = head_gradients(chunks, error_of, grad * -ctx.head.scale, wanted)
        return grad_hidden, grad_weight, grad_bias, None, None, None, None


def _check(hidden: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor, chunk_size: int) -> None:
    if hidden.ndim != 2 or weight.ndim != 2 or hidden.shape[1] != weight.shape[1] or targets.shape != hidden.shape[:1]:
        msg = (
            f"`hidden` has shape {tuple(hidden.shape)}, `weight` {tuple(weight.shape)} and `targets` "
            f"{tuple(targets.shape)}; expected (n_tokens, hidden_size), (vocabulary, hidden_size) and (n_tokens,)."
        )
        raise InputError(msg)
    check_chunk(chunk_size)
    check_targets(targets, len(weight))


def check_targets(targets: torch.Tensor, vocabulary: int) -> None:
    """Refuse tokens that are none of the vocabulary, with an `InputError`."""
    if len(targets) and targets.device.type == "cpu" and not is_fake_tensor(targets):
        # On a GPU the check would wait for the device at every step, and the gather raises there by itself. Tensors
        # without values are those of a memory plan.
        low, high = int(targets.min()), int(targets.max())
        if low < 0 or high >= vocabulary:
            msg = f"Targets lie between {low} and {high}, outside the vocabulary of {vocabulary} tokens."
            raise InputError(msg)


def check_chunk(chunk_size: int) -> None:
    """Refuse a size of chunks below 1, with an `InputError`."""
    if chunk_size < 1:
        msg = f"`chunk_size` is {chunk_size}; it has to be at least 1."
        raise InputError(msg)
