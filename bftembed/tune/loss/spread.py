"""How wide next-token distributions are: entropy, of all or of the likeliest tokens, and sum of squared probabilities.

Both are read from a chunk's exponentials ``exp(logits - largest logit)``, which are there when log-probabilities are
computed, so that nothing of the size of the chunk is made a second time (but for the entropy of the whole vocabulary).
"""

from __future__ import annotations

from typing import NamedTuple

import torch

from bftembed.errors import InputError

#: Tokens of a block of the vocabulary. Of 16 to 256 the fastest on a CPU, half the time of `torch.topk` alone.
_BLOCK = 64


class Asked(NamedTuple):
    """Which statistics are computed: the entropy (of the `k` likeliest tokens, if given) and the purity."""

    entropy: bool = False
    k: int | None = None
    purity: bool = False

    def check(self, vocabulary: int) -> None:
        """Refuse a `k` without meaning.

        Raises
        ------
        InputError
            If `k` is below 1 or above the size of the vocabulary.
        """
        if self.entropy and self.k is not None and not (isinstance(self.k, int) and 1 <= self.k <= vocabulary):
            msg = (
                f"`k` is {self.k!r}; the entropy of the `k` likeliest of {vocabulary} tokens needs one from 1 to that."
            )
            raise InputError(msg)

    def room(self, like: torch.Tensor, n_tokens: int, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
        """Empty arrays for `n_tokens` entropies and purities; without elements where they are not asked for."""
        sizes = (n_tokens if self.entropy else 0, n_tokens if self.purity else 0)
        return like.new_empty(sizes[0], dtype=dtype), like.new_empty(sizes[1], dtype=dtype)

    def fill(self, room: tuple[torch.Tensor, torch.Tensor], part: slice, exp: torch.Tensor) -> None:
        """Write the statistics of a chunk of tokens to their place."""
        entropies, purities = room
        if self.entropy:
            entropies[part] = entropy_of(exp if self.k is None else largest(exp, self.k))
        if self.purity:
            purities[part] = purity_of(exp)


def entropy_of(exp: torch.Tensor) -> torch.Tensor:
    """Entropy (nats) of the distributions that are proportional to the rows of `exp`, which are at most 1.

    Examples
    --------
    >>> entropy_of(torch.ones(1, 4)).exp().round(decimals=4)
    tensor([4.])
    """
    total = exp.sum(1)
    # Both terms are positive where the largest element is 1: no digits are lost. Elements of 0 add 0.
    spread: torch.Tensor = torch.special.entr(exp).sum(1) / total
    return spread + total.log()


def purity_of(exp: torch.Tensor) -> torch.Tensor:
    """Sum of squared probabilities of the distributions that are proportional to the rows of `exp`.

    Examples
    --------
    >>> purity_of(torch.tensor([[1.0, 1.0], [1.0, 0.0]]))
    tensor([0.5000, 1.0000])
    """
    # A norm is summed without an array of squares.
    norm: torch.Tensor = torch.linalg.vector_norm(exp, dim=1)
    return (norm / exp.sum(1)).square()


def largest(values: torch.Tensor, k: int) -> torch.Tensor:
    """The `k` largest values of each row, in any order: those of the `k` blocks whose maxima are largest.

    Any value outside of these blocks has `k` values, their maxima, that are at least as large.

    Parameters
    ----------
    values
        (n_rows, n_columns).
    k
        From 1 to `n_columns`.

    Returns
    -------
    (n_rows, k).
    """
    n_blocks = values.shape[1] // _BLOCK
    if n_blocks <= k:
        return values.topk(k, dim=1, sorted=False).values
    blocks = values[:, : n_blocks * _BLOCK].view(len(values), n_blocks, _BLOCK)
    best = blocks.amax(2).topk(k, dim=1, sorted=False).indices[:, :, None].expand(-1, -1, _BLOCK)
    candidates = torch.cat([blocks.gather(1, best).flatten(1), values[:, n_blocks * _BLOCK :]], dim=1)
    return candidates.topk(k, dim=1, sorted=False).values
