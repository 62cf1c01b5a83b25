"""Logits of one chunk of tokens after the other, and the gradients of the head that made them."""

from __future__ import annotations

import functools
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: Tokens whose logits are held at once.
CHUNK_SIZE = 256
#: Logits per token that are computed again in float32 where the product is rounded to half precision.
_CORRECTED = 16
#: Whether CUDA multiplies half-precision matrices into a float32 result (from torch 2.8 on).
_WIDE_PRODUCT = hasattr(torch.ops.aten.mm, "dtype_out") and torch.version.hip is None


class Head(NamedTuple):
    """How logits are made: soft cap and factor of the model, tokens at once, and the type of the product."""

    softcap: float | None
    scale: float
    chunk_size: int
    dtype: torch.dtype

    @classmethod
    def of(cls, weight: torch.Tensor, softcap: float | None, scale: float, chunk_size: int) -> Head:
        """With the type of the product that holds now: that of autocast, else the weight's."""
        device = weight.device.type
        mixed = torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)
        return cls(softcap, scale, chunk_size, torch.get_autocast_dtype(device) if mixed else weight.dtype)


class ChunkLogits:
    """Float32 logits (float64 for float64) of one chunk of tokens after the other, in one buffer."""

    def __init__(
        self, head: Head, hidden: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, targets: torch.Tensor
    ) -> None:
        self.head, self.hidden, self.weight, self.bias, self.targets = head, hidden, weight, bias, targets
        self.wide = wide_dtype(head.dtype)
        self.rows = weight.to(head.dtype)
        self._buffer = hidden.new_empty(min(head.chunk_size, len(targets)), len(weight), dtype=self.wide)

    @property
    def parts(self) -> Iterator[slice]:
        """The chunks' places."""
        size = self.head.chunk_size
        return (slice(begin, begin + size) for begin in range(0, len(self.targets), size))

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


def head_gradients(
    chunks: ChunkLogits,
    error_of: Callable[[slice], tuple[torch.Tensor, torch.Tensor | None]],
    factor: torch.Tensor,
    wanted: tuple[bool, bool],
) -> tuple[torch.Tensor | None, torch.Tensor | None]:
    """Gradients of a head's weight and bias, from those of the logits, chunk after chunk.

    Parameters
    ----------
    chunks
        The logits' inputs.
    error_of
        Gives the gradient of a value of each token in a chunk with respect to its capped logits, free to be changed in
        place, and the slope of the soft cap, if there is one.
    factor
        (n_tokens,), what this gradient is multiplied by.
    wanted
        Whether the gradients of weight and bias are wanted.
    """
    weight, bias = chunks.weight, chunks.bias
    grad_weight = torch.zeros_like(weight, dtype=chunks.wide) if wanted[0] else None
    grad_bias = torch.zeros_like(bias, dtype=chunks.wide) if bias is not None and wanted[1] else None
    for part in chunks.parts:
        error, cap_slope = error_of(part)
        if cap_slope is not None:
            error.mul_(cap_slope)
        error.mul_(factor[part, None])
        if grad_weight is not None:
            _add_product(grad_weight, error, chunks.hidden[part], chunks.head.dtype)
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


def without_autocast(device: str) -> AbstractContextManager[Any]:
    """No autocast inside; there is none to turn off on some devices (``"meta"``)."""
    return torch.autocast(device, enabled=False) if torch.amp.is_autocast_available(device) else nullcontext()
