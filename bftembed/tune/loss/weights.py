"""The weights of tokens and samples, from the log-probabilities of a batch's target tokens.

Supervised tokens stand one after another in a flat array, sample after sample, with the samples' lengths beside it, so
that neither padding nor packing exists here. Weights carry no gradient and are computed in float64.

Sources
-------
``sft`` is the mean negative log-likelihood. ``dft``: Wu et al., "On the generalization of SFT: a reinforcement learning
perspective with reward rectification", arXiv 2508.05629. ``bft-v1`` and ``bft``: "Aligning LLMs with biomedical
knowledge using Balanced Fine-Tuning", arXiv 2511.21075; ``bft-v1`` follows the public code of its first version
(github.com/TencentAILabHealthcare/BFT, commit e54ca5c), ``bft`` is this package's reading of the description in its
third version, whose equations for the place of the window and for the sample coefficient are not public as code.
``power``: the family of "Beyond Log Likelihood", arXiv 2510.00526 (github.com/GaotangLi/Beyond-Log-Likelihood).
``profit``: arXiv 2601.09195 (github.com/Utaotao/ProFit). ``eaft``: entropy-adaptive fine-tuning, arXiv 2601.02151
(github.com/PRIS-CV/EAFT). ``deft``: arXiv 2602.11424 (github.com/luludus/DEFT).
"""

from __future__ import annotations

import math
from typing import Annotated, NamedTuple

import torch
from pydantic import Field

#: Options of objectives, with what they are held against when a configuration is read.
Exponent = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Probability = Annotated[float, Field(ge=0, le=1)]
Several = Annotated[int, Field(ge=2)]


class Weights(NamedTuple):
    """Weight of each supervised token, (n_tokens,), and of each sample, (n_samples,); float64, without gradient.

    Examples
    --------
    >>> import torch
    >>> from bftembed.tune import Objective
    >>> logprobs = torch.tensor([0.9, 0.1]).log()
    >>> Objective(name="dft").weights(logprobs, torch.tensor([2])).token
    tensor([0.9000, 0.1000], dtype=torch.float64)
    """

    token: torch.Tensor
    sample: torch.Tensor


def window_means(values: torch.Tensor, lengths: torch.Tensor, window: int) -> torch.Tensor:
    """Mean of `values` in the window of each token, for the whole batch at once.

    The window of a token is the one of ``min(window, n)`` tokens of its own sample that is nearest to being centred on
    it: its first token is ``clamp(t - window // 2, 0, max(n - window, 0))``. Together they are exactly the stride-1
    sliding windows of the sample; a sample shorter than the window has one, itself.

    Parameters
    ----------
    values
        (n_tokens,), the samples' tokens one after another.
    lengths
        (n_samples,), int64, supervised tokens of each sample; zeros are allowed.
    window
        Tokens in a window.

    Returns
    -------
    (n_tokens,), float64 (float32 on devices without float64).
    """
    values = wide(values)
    sample = sample_of(lengths, len(values))
    n = lengths[sample]
    first = (lengths.cumsum(0) - lengths)[sample]
    position = torch.arange(len(values), device=values.device) - first
    begin = first + (position - window // 2).clamp(min=0).minimum((n - window).clamp(min=0))
    whole = values.new_zeros(len(lengths)).index_add(0, sample, values)[sample]
    return torch.where(n > window, _window_sums(values, window)[begin], whole) / n.clamp(max=window)


def sft(logprobs: torch.Tensor, lengths: torch.Tensor) -> Weights:
    """Every weight is one."""
    return Weights(torch.ones_like(wide(logprobs)), ones(lengths, logprobs))


def dft(logprobs: torch.Tensor, lengths: torch.Tensor) -> Weights:
    """The weight of a token is its confidence, the probability the model gives it."""
    return Weights(wide(logprobs).exp(), ones(lengths, logprobs))


def power(logprobs: torch.Tensor, lengths: torch.Tensor, *, alpha: Exponent = 0.5) -> Weights:
    """The confidence to the power `alpha`: the gradient of the loss ``(1 - p**alpha) / alpha``.

    0 is `sft` and 1 is `dft`, bit for bit; 10 is the "-p^10" of the paper.
    """
    return Weights(wide(logprobs).exp() ** alpha, ones(lengths, logprobs))


def profit(logprobs: torch.Tensor, lengths: torch.Tensor, *, tau: Probability = 0.1) -> Weights:
    """One for tokens of a confidence of at least `tau`, else zero; all tokens count in the mean."""
    confident = wide(logprobs).exp() >= tau
    return Weights(confident.to(wide(logprobs[:0]).dtype), ones(lengths, logprobs))


def eaft(
    logprobs: torch.Tensor,
    lengths: torch.Tensor,
    entropy: torch.Tensor,
    *,
    alpha: Exponent = 1.0,
    k: Several = 20,
) -> Weights:
    """Entropy of the `k` likeliest tokens as a share of the largest that they could have, to the power `alpha`.

    Where the model is certain, of the target or of another token, the weight is 0; where it wavers evenly, 1. The
    authors divide by 3.0, which is ln 20 = 2.996 rounded: their weights are 0.9986 of these for ``k=20`` and
    ``alpha=1``, and for another `k` they are no share. A copy that leaves the division out has weights 2.996 times as
    large, and learning rates that are not comparable.
    """
    return Weights((wide(entropy) / math.log(k)) ** alpha, ones(lengths, logprobs))


def deft(logprobs: torch.Tensor, lengths: torch.Tensor, purity: torch.Tensor) -> Weights:
    """The confidence to the power of the sum of all tokens' squared probabilities.

    This is near `sft` where the model is unsure of the next token, and near `dft` where it is sure of one.
    """
    return Weights(wide(logprobs).exp() ** wide(purity), ones(lengths, logprobs))


def bft_v1(logprobs: torch.Tensor, lengths: torch.Tensor, *, window: int = 256, gamma: float = 1.0) -> Weights:
    """DFT's token weights; the weight of a sample is one minus its lowest group confidence to the power `gamma`.

    The group confidence is the geometric mean of the confidences in a window, as in the public code (its README says
    the arithmetic mean). A sample without supervised tokens has the lowest group confidence 0, as there.
    """
    logs = wide(logprobs)
    lowest = _lowest(window_means(logs, lengths, window), lengths, empty=-torch.inf).exp()
    return Weights(logs.exp(), 1 - lowest**gamma)


def bft(
    logprobs: torch.Tensor,
    lengths: torch.Tensor,
    *,
    window: int = 256,
    eps: float = 1e-30,
    sample_weight: bool = True,
) -> Weights:
    """Confidence relative to the local context, and samples weighted by their least confident window.

    Token: ``clip(c / (C + eps), 0, 1)`` with C the mean confidence in the token's window. An isolated token of low
    confidence among confident ones is held back; one among others as low keeps its gradient. Sample: ``1 - min C``.
    With ``window=1`` and ``sample_weight=False`` this is `sft`. The place of the window (see `window_means`) and the
    sample's coefficient are this package's reading of the paper's description, not its published equations.
    """
    confidence = wide(logprobs).exp()
    context = window_means(confidence, lengths, window)
    token = (confidence / (context + eps)).clamp(0, 1)
    if not sample_weight:
        return Weights(token, ones(lengths, logprobs))
    return Weights(token, (1 - _lowest(context, lengths, empty=0.0)).clamp(0, 1))


def _window_sums(values: torch.Tensor, window: int) -> torch.Tensor:
    """Sum of the `window` values from each one on, as far as there are so many.

    Cumulative sums within blocks of `window` values, from the left and from the right: a window is the end of one block
    and the beginning of the next. Nothing is subtracted, so a tiny value is not lost in the sum of a long batch.
    """
    window = min(window, max(len(values), 1))
    blocks = torch.nn.functional.pad(values, (0, -len(values) % window)).view(-1, window)
    from_left = blocks.cumsum(1).flatten()
    from_right = blocks.flip(1).cumsum(1).flip(1)
    from_right[:, 0] = 0  # a window that begins with a block is all of it, which `from_left` has
    last = (torch.arange(len(values), device=values.device) + window - 1).clamp(max=max(len(from_left) - 1, 0))
    return from_right.flatten()[: len(values)] + from_left[last]


def wide(values: torch.Tensor) -> torch.Tensor:
    """Without gradient and in float64, or in float32 on Apple's GPUs, which have no float64."""
    return values.detach().to(torch.float32 if values.device.type == "mps" else torch.float64)


def ones(lengths: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """A one for each sample, of the type that `wide` makes of `like`."""
    return torch.ones(len(lengths), dtype=wide(like[:0]).dtype, device=lengths.device)


def sample_of(lengths: torch.Tensor, n_tokens: int) -> torch.Tensor:
    """Index of the sample of each token, of which there are as many as the lengths add up to."""
    samples = torch.arange(len(lengths), device=lengths.device)
    return torch.repeat_interleave(samples, lengths, output_size=n_tokens)


def _lowest(values: torch.Tensor, lengths: torch.Tensor, *, empty: float) -> torch.Tensor:
    """Minimum of each sample's values, `empty` for a sample that has none."""
    lowest = values.new_full((len(lengths),), torch.inf)
    lowest.scatter_reduce_(0, sample_of(lengths, len(values)), values, "amin")
    return lowest.masked_fill(lengths == 0, empty)
