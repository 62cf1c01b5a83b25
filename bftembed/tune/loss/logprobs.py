"""Log-probabilities of target tokens from hidden states and an output head, without the logits of the whole batch.

Every objective, the diagnostic and the evaluation need one thing: log p of each supervised token. Logits are made for
``chunk_size`` tokens at a time. The weight that an objective gives to a token is only a factor of the gradient with
respect to its hidden state, so this gradient is taken in the forward pass, while the chunk's softmax is in memory, and
scaled in the backward pass. Only where the head itself is trained are the logits made a second time.
"""

from __future__ import annotations

import functools
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import torch
from torch.autograd.function import once_differentiable
from transformers.utils.import_utils import is_fake_tensor

from bftembed.errors import InputError
from bftembed.tune.loss.spread import Asked

#: Tokens whose logits are held at once.
CHUNK_SIZE = 256
#: Logits per token that are computed again in float32 where the product is rounded to half precision.
_CORRECTED = 16
#: Whether CUDA multiplies half-precision matrices into a float32 result (from torch 2.8 on).
_WIDE_PRODUCT = hasattr(torch.ops.aten.mm, "dtype_out") and torch.version.hip is None


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
    """

    logprobs: torch.Tensor
    entropy: torch.Tensor | None = None
    purity: torch.Tensor | None = None


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
    """
    _check(hidden, weight, targets, chunk_size)
    asked = Asked(entropy, k, purity)
    asked.check(len(weight))
    device = hidden.device.type
    mixed = torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)
    dtype = torch.get_autocast_dtype(device) if mixed else weight.dtype
    head = _Head(softcap, scale, chunk_size, dtype)
    with _without_autocast(device):
        logprobs, *spread = _TokenLogprobs.apply(  # type: ignore[no-untyped-call]
            hidden, weight, bias, targets, head, asked, torch.is_grad_enabled()
        )
    return TokenLogprobs(logprobs, spread[0] if entropy else None, spread[1] if purity else None)


class _Head(NamedTuple):
    softcap: float | None
    scale: float
    chunk_size: int
    dtype: torch.dtype  # of the product


class _Logits:
    """Float32 logits (float64 for float64) of one chunk of tokens after the other, in one buffer."""

    def __init__(
        self, head: _Head, hidden: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, targets: torch.Tensor
    ) -> None:
        self.head, self.hidden, self.weight, self.bias, self.targets = head, hidden, weight, bias, targets
        self.wide = wide_dtype(head.dtype)
        self.rows = weight.to(head.dtype)
        self._buffer = hidden.new_empty(min(head.chunk_size, len(targets)), len(weight), dtype=self.wide)

    def chunk(self, part: slice) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Logits, free to be changed in place, and d(capped)/d(raw) where there is a soft cap."""
        hidden = self.hidden[part].to(self.head.dtype)
        logits = self._buffer[: len(hidden)]
        rounded = False
        if self.wide == self.head.dtype:
            torch.mm(hidden, self.rows.T, out=logits)
        elif hidden.is_cuda and _WIDE_PRODUCT:
            torch.mm(hidden, self.rows.T, out_dtype=self.wide, out=logits)
        else:
            logits.copy_(hidden @ self.rows.T)
            rounded = True
        if self.bias is not None:
            logits.add_(self.bias)
        if rounded:
            self._correct(logits, part)
        if self.head.scale != 1.0:
            logits.mul_(self.head.scale)
        if self.head.softcap is None:
            return logits, None
        logits.div_(self.head.softcap).tanh_()
        slope = 1 - logits * logits
        return logits.mul_(self.head.softcap), slope

    def _correct(self, logits: torch.Tensor, part: slice) -> None:
        """Put products of unrounded float32 in place of the target's logit and the largest ones.

        A product that comes in bfloat16 is off by up to 2**-9 of each logit. A probability hangs on the logits of its
        token and of the likeliest ones; the errors of the many others cancel in the sum.
        """
        largest = logits.topk(min(_CORRECTED, logits.shape[1]), sorted=False).indices
        where = torch.cat([largest, self.targets[part, None]], 1)
        exact = (self.weight[where].to(self.wide) @ self.hidden[part, :, None].to(self.wide))[:, :, 0]
        logits.scatter_(1, where, exact if self.bias is None else exact + self.bias[where])


class _TokenLogprobs(torch.autograd.Function):
    @staticmethod
    def forward(  # noqa: PLR0917 - autograd functions take positional arguments only
        ctx: Any,
        hidden: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        targets: torch.Tensor,
        head: _Head,
        asked: Asked,
        grad: bool,  # noqa: FBT001
    ) -> tuple[torch.Tensor, ...]:
        n = len(targets)
        chunks = _Logits(head, hidden, weight, bias, targets)
        wide = chunks.wide
        logprobs = hidden.new_empty(n, dtype=wide)
        spread = asked.room(hidden, n, wide)
        logsumexp = hidden.new_empty(n, dtype=wide)
        # d logprob / d hidden, to be scaled in the backward pass.
        slopes = torch.empty_like(hidden) if grad and ctx.needs_input_grad[0] else None
        for begin in range(0, n, head.chunk_size):
            part = slice(begin, begin + head.chunk_size)
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
        slopes, hidden, *_ = ctx.saved_tensors
        grad_hidden = None if slopes is None else slopes.to(grad.dtype).mul(grad[:, None]).to(slopes.dtype)
        grad_weight = grad_bias = None
        if hidden is not None:
            with _without_autocast(hidden.device.type):
                grad_weight, grad_bias = _head_gradients(ctx, grad)
        return grad_hidden, grad_weight, grad_bias, None, None, None, None


def _head_gradients(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor | None]:
    _, hidden, weight, bias, targets, logsumexp = ctx.saved_tensors
    head: _Head = ctx.head
    chunks = _Logits(head, hidden, weight, bias, targets)
    wide = chunks.wide
    grad_weight = torch.zeros_like(weight, dtype=wide) if ctx.needs_input_grad[1] else None
    grad_bias = torch.zeros_like(bias, dtype=wide) if bias is not None and ctx.needs_input_grad[2] else None
    for begin in range(0, len(targets), head.chunk_size):
        part = slice(begin, begin + head.chunk_size)
        logits, cap_slope = chunks.chunk(part)
        error = logits.sub_(logsumexp[part, None]).exp_()
        error.scatter_add_(1, targets[part, None], error.new_full((len(error), 1), -1.0))
        if cap_slope is not None:
            error.mul_(cap_slope)
        error.mul_(grad[part, None] * -head.scale)
        if grad_weight is not None:
            _add_product(grad_weight, error, hidden[part], head.dtype)
        if grad_bias is not None:
            grad_bias.add_(error.sum(0))
        del cap_slope
    return (
        None if grad_weight is None else grad_weight.to(weight.dtype),
        None if grad_bias is None or bias is None else grad_bias.to(bias.dtype),
    )


def _add_product(total: torch.Tensor, error: torch.Tensor, hidden: torch.Tensor, dtype: torch.dtype) -> None:
    """Add ``error.T @ hidden``, on a GPU from operands in bfloat16: float32 products run at a fraction of that speed.

    The states have been rounded to bfloat16 before they were multiplied by the head, so that only the error loses
    digits. Not so in float16, in which most of the errors of a large vocabulary are zero.
    """
    if dtype == torch.bfloat16 and _sums_wide(total.device):
        torch.addmm(total, error.to(dtype).T, hidden.to(dtype), out_dtype=total.dtype, out=total)
    else:
        total.addmm_(error.T, hidden.to(total.dtype))


@functools.cache
def _sums_wide(device: torch.device) -> bool:
    """Whether a device adds products of bfloat16 matrices to a float32 one: CUDA; older versions of torch refuse it."""
    if device.type != "cuda" or not _WIDE_PRODUCT:
        return False
    total = torch.zeros(16, 16, device=device)
    part = total.to(torch.bfloat16)
    try:
        torch.addmm(total, part, part, out_dtype=total.dtype, out=total)
    except RuntimeError:
        return False
    return True


def wide_dtype(dtype: torch.dtype) -> torch.dtype:
    """What sums of a type are kept in: float32, or float64 for float64."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def _without_autocast(device: str) -> AbstractContextManager[Any]:
    """No autocast inside; there is none to turn off on some devices (``"meta"``)."""
    return torch.autocast(device, enabled=False) if torch.amp.is_autocast_available(device) else nullcontext()


def _check(hidden: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor, chunk_size: int) -> None:
    if hidden.ndim != 2 or weight.ndim != 2 or hidden.shape[1] != weight.shape[1] or targets.shape != hidden.shape[:1]:
        msg = (
            f"`hidden` has shape {tuple(hidden.shape)}, `weight` {tuple(weight.shape)} and `targets` "
            f"{tuple(targets.shape)}; expected (n_tokens, hidden_size), (vocabulary, hidden_size) and (n_tokens,)."
        )
        raise InputError(msg)
    check_chunk(chunk_size)
    if len(targets) and targets.device.type == "cpu" and not is_fake_tensor(targets):
        # On a GPU the check would wait for the device at every step, and the gather raises there by itself. Tensors
        # without values are those of a memory plan.
        low, high = int(targets.min()), int(targets.max())
        if low < 0 or high >= len(weight):
            msg = f"Targets lie between {low} and {high}, outside the vocabulary of {len(weight)} tokens."
            raise InputError(msg)


def check_chunk(chunk_size: int) -> None:
    """Refuse a size of chunks below 1, with an `InputError`."""
    if chunk_size < 1:
        msg = f"`chunk_size` is {chunk_size}; it has to be at least 1."
        raise InputError(msg)
