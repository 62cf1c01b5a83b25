"""Log-probabilities of target tokens from logits that exist already."""

from __future__ import annotations

from typing import Any

import torch
from torch.autograd.function import once_differentiable

from bftembed.tune.loss.chunks import CHUNK_SIZE, wide_dtype
from bftembed.tune.loss.logprobs import TokenLogprobs, check_chunk, check_targets
from bftembed.tune.loss.spread import Asked


def logits_logprobs(
    logits: torch.Tensor,
    targets: torch.Tensor,
    *,
    chunk_size: int = CHUNK_SIZE,
    entropy: bool = False,
    k: int | None = None,
    purity: bool = False,
) -> TokenLogprobs:
    """Log-probability of each target token from logits that exist already; float32 work is done in chunks.

    Parameters
    ----------
    logits
        (n_tokens, vocabulary), floating.
    targets
        (n_tokens,), int64.
    chunk_size
        Rows that are copied to float32 at once. The gradient with respect to ``logits`` is one more array of its size.
    entropy, k, purity
        As for `token_logprobs`.

    Returns
    -------
    float32 (float64 for float64 input) arrays of shape (n_tokens,), those asked for.

    Raises
    ------
    InputError
        If ``chunk_size`` or ``k`` is below 1, or ``k`` or a target above the size of the vocabulary.
    """
    check_chunk(chunk_size)
    check_targets(targets, logits.shape[1])
    asked = Asked(entropy, k, purity)
    asked.check(logits.shape[1])
    logprobs, *spread = _LogitsLogprobs.apply(logits, targets, chunk_size, asked)  # type: ignore[no-untyped-call]
    return TokenLogprobs(logprobs, spread[0] if entropy else None, spread[1] if purity else None)


class _LogitsLogprobs(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, logits: torch.Tensor, targets: torch.Tensor, chunk_size: int, asked: Asked
    ) -> tuple[torch.Tensor, ...]:
        wide = wide_dtype(logits.dtype)
        logsumexp = logits.new_empty(len(targets), dtype=wide)
        chosen = logits.gather(1, targets[:, None])[:, 0].to(wide)
        spread = asked.room(logits, len(targets), wide)
        for begin in range(0, len(targets), chunk_size):
            part = slice(begin, begin + chunk_size)
            rows = logits[part].to(wide)
            logsumexp[part] = rows.logsumexp(1)
            if asked.entropy or asked.purity:
                asked.fill(spread, part, (rows - rows.amax(1, keepdim=True)).exp_())
        # A logit of plus infinity leaves no distribution, and no target may seem to be ruled out by it.
        logsumexp.masked_fill_(logsumexp == torch.inf, torch.nan)
        ctx.save_for_backward(logits, targets, logsumexp)
        ctx.chunk_size = chunk_size
        ctx.mark_non_differentiable(*spread)
        return chosen - logsumexp, *spread

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: torch.Tensor, *_: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        logits, targets, logsumexp = ctx.saved_tensors
        result = torch.empty_like(logits)
        for begin in range(0, len(targets), ctx.chunk_size):
            part = slice(begin, begin + ctx.chunk_size)
            slope = logits[part].to(grad.dtype).sub(logsumexp[part, None]).exp_().neg_()
            slope.scatter_add_(1, targets[part, None], torch.ones_like(slope[:, :1]))
            result[part] = slope.mul_(grad[part, None]).to(result.dtype)
        return result, None, None, None
