"""The objectives: from the log-probabilities of a batch's target tokens to the weights of its tokens and samples.

Supervised tokens stand one after another in a flat array, sample after sample, with the samples' lengths beside it, so
that neither padding nor packing exists here. Weights carry no gradient and are computed in float64.

Sources
-------
``sft`` is the mean negative log-likelihood. ``dft``: Wu et al., "On the generalization of SFT: a reinforcement learning
perspective with reward rectification", arXiv 2508.05629. ``bft-v1`` and ``bft``: "Aligning LLMs with biomedical
knowledge using Balanced Fine-Tuning", arXiv 2511.21075; ``bft-v1`` follows the public code of its first version
(github.com/TencentAILabHealthcare/BFT, commit e54ca5c), ``bft`` is this package's reading of the description in its
third version, whose equations for the place of the window and for the sample coefficient are not public as code.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from bftembed._near import did_you_mean
from bftembed._plugins import load_plugin, plugin_names
from bftembed.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable


class Weights(NamedTuple):
    """Weight of each supervised token, (n_tokens,), and of each sample, (n_samples,); float64, without gradient."""

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
    values = _wide(values)
    sample = _sample_of(lengths)
    n = lengths[sample]
    first = (lengths.cumsum(0) - lengths)[sample]
    position = torch.arange(len(values), device=values.device) - first
    begin = first + (position - window // 2).clamp(min=0).minimum((n - window).clamp(min=0))
    whole = values.new_zeros(len(lengths)).index_add(0, sample, values)[sample]
    return torch.where(n > window, _window_sums(values, window)[begin], whole) / n.clamp(max=window)


def sft(logprobs: torch.Tensor, lengths: torch.Tensor) -> Weights:
    """Every weight is one."""
    return Weights(torch.ones_like(_wide(logprobs)), _ones(lengths, logprobs))


def dft(logprobs: torch.Tensor, lengths: torch.Tensor) -> Weights:
    """The weight of a token is its confidence, the probability the model gives it."""
    return Weights(_wide(logprobs).exp(), _ones(lengths, logprobs))


def bft_v1(logprobs: torch.Tensor, lengths: torch.Tensor, *, window: int = 256, gamma: float = 1.0) -> Weights:
    """DFT's token weights; the weight of a sample is one minus its lowest group confidence to the power `gamma`.

    The group confidence is the geometric mean of the confidences in a window, as in the public code (its README says
    the arithmetic mean). A sample without supervised tokens has the lowest group confidence 0, as there.
    """
    logs = _wide(logprobs)
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
    confidence = _wide(logprobs).exp()
    context = window_means(confidence, lengths, window)
    token = (confidence / (context + eps)).clamp(0, 1)
    if not sample_weight:
        return Weights(token, _ones(lengths, logprobs))
    return Weights(token, (1 - _lowest(context, lengths, empty=0.0)).clamp(0, 1))


class ObjectiveKind(NamedTuple):
    """How an objective weighs.

    Attributes
    ----------
    weights
        ``weights(logprobs, lengths, **options)`` gives `Weights`, or the token weights alone, (n_tokens,); what it is
        given, `logprobs` (n_tokens,) and `lengths` (n_samples,), is as for `Objective.weights`. Its further parameters
        are options: those named as a field of `Objective` (``window``, ``gamma``, ...) get the field's value, others
        that of ``Objective.options``.
    per_sample
        Whether the loss is a mean over samples, each a mean over its tokens, rather than over all tokens.
    """

    weights: Callable[..., Weights | torch.Tensor]
    per_sample: bool = False


_KINDS = {
    "sft": ObjectiveKind(sft),
    "dft": ObjectiveKind(dft),
    "bft-v1": ObjectiveKind(bft_v1, per_sample=True),
    "bft": ObjectiveKind(bft, per_sample=True),
}
#: The objectives of this package.
OBJECTIVES: tuple[str, ...] = tuple(_KINDS)


def register_objective(
    name: str, weights: Callable[..., Weights | torch.Tensor], *, per_sample: bool = False
) -> ObjectiveKind:
    """Make an objective known by a name, in this process.

    An installed package makes one known in every process, `bftembed tune` included, by an entry point of the group
    ``bftembed.objectives`` that names an `ObjectiveKind`.

    Parameters
    ----------
    name
        What `Objective` and configurations call it.
    weights, per_sample
        See `ObjectiveKind`.

    Raises
    ------
    InputError
        If the name is taken, or `weights` does not take two arguments.

    Examples
    --------
    >>> from bftembed.tune import make_loss, register_objective
    >>> def focal(logprobs, lengths, *, power: float = 2.0):
    ...     return (1 - logprobs.exp()) ** power
    >>> _ = register_objective("focal", focal)
    >>> loss = make_loss("focal", options={"power": 1.0})
    """
    if name in _KINDS and (name in OBJECTIVES or _KINDS[name].weights is not weights):
        msg = f"There is an objective `{name}` already; choose another name."
        raise InputError(msg)
    if not callable(weights) or len(inspect.signature(weights).parameters) < 2:
        msg = f"The weights of `{name}` are no function of `logprobs` and `lengths`, but `{weights!r}`."
        raise InputError(msg)
    _KINDS[name] = ObjectiveKind(weights, per_sample)
    return _KINDS[name]


def _find(name: str) -> ObjectiveKind:
    if name not in _KINDS and (plugin := load_plugin("objectives", name)) is not None:
        kind = plugin if isinstance(plugin, ObjectiveKind) else ObjectiveKind(plugin)
        register_objective(name, kind.weights, per_sample=kind.per_sample)
    if name not in _KINDS:
        known = list(dict.fromkeys([*_KINDS, *plugin_names("objectives")]))
        near = did_you_mean(name, known)
        msg = f"there are {', '.join(known)}{near and f'.{near}'}"
        raise InputError(msg)
    return _KINDS[name]


def _options(name: str) -> list[str]:
    """Options of an objective's function: all its parameters but log-probabilities and lengths."""
    return list(inspect.signature(_find(name).weights).parameters)[2:]


def _refusal(reason: str) -> PydanticCustomError:
    return PydanticCustomError("objective", "{reason}", {"reason": reason})


class Objective(BaseModel):
    """Which objective, with its hyperparameters; saved beside a tuned model as ``bft_objective.json``.

    Attributes
    ----------
    name
        ``"sft"``, ``"dft"``, ``"bft-v1"``, ``"bft"``, or one of `register_objective` or of an installed package.
    window
        Tokens in a window (g): ``bft`` and ``bft-v1``.
    gamma
        Exponent of the lowest group confidence: ``bft-v1``.
    eps
        Added to the context confidence: ``bft``.
    sample_weight
        Whether samples are weighted: ``bft``.
    options
        Further options, of objectives that are not of this package.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str = "bft"
    window: int = Field(default=256, ge=1, lt=2**31)
    gamma: float = Field(default=1.0, gt=0)
    eps: float = Field(default=1e-30, gt=0)
    sample_weight: bool = True
    options: dict[str, Any] = Field(default_factory=dict)

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        try:
            _find(name)
        except InputError as error:
            raise _refusal(str(error)) from error
        return name

    @field_validator("options")
    @classmethod
    def _taken(cls, options: dict[str, Any], found: ValidationInfo) -> dict[str, Any]:
        if options and (name := found.data.get("name")):
            taken = [option for option in _options(name) if option not in cls.model_fields]
            if unknown := [option for option in options if option not in taken]:
                near = did_you_mean(unknown[0], taken)
                reason = f"`{name}` takes no option `{unknown[0]}`{near and f'.{near}'}"
                raise _refusal(reason)
        return options

    @property
    def per_sample(self) -> bool:
        """Whether the loss is a mean over samples (BFT) rather than over tokens (SFT, DFT)."""
        return _find(self.name).per_sample

    @property
    def has_window(self) -> bool:
        """Whether the objective looks at windows of tokens."""
        return "window" in _options(self.name)

    def weights(self, logprobs: torch.Tensor, lengths: torch.Tensor) -> Weights:
        """Token and sample weights.

        Parameters
        ----------
        logprobs
            (n_tokens,), log p of the supervised tokens, sample after sample.
        lengths
            (n_samples,), int64, the number of supervised tokens of each sample.

        Raises
        ------
        InputError
            If an objective that is not of this package gives arrays of another shape.
        """
        own = {name: getattr(self, name) for name in _options(self.name) if name in type(self).model_fields}
        made = _find(self.name).weights(logprobs.detach(), lengths, **own, **self.options)
        token, sample = (made, _ones(lengths, logprobs)) if isinstance(made, torch.Tensor) else made
        if token.shape != logprobs.shape or sample.shape != lengths.shape:
            msg = (
                f"The objective `{self.name}` gives token weights of shape {tuple(token.shape)} and sample weights of "
                f"shape {tuple(sample.shape)}; expected {tuple(logprobs.shape)} and {tuple(lengths.shape)}."
            )
            raise InputError(msg)
        return Weights(_wide(token), _wide(sample))

    def loss(
        self,
        logprobs: torch.Tensor,
        lengths: torch.Tensor,
        *,
        n_tokens: torch.Tensor | float | None = None,
        n_samples: torch.Tensor | float | None = None,
    ) -> tuple[torch.Tensor, Weights]:
        """The loss of a micro-batch as its part of the loss of the global batch: the parts add up to the whole.

        SFT and DFT: the sum of weighted negative log-likelihoods over `n_tokens`. BFT: each sample's mean of them times
        its sample weight, summed, over `n_samples`; a sample without supervised tokens counts as a sample.

        Parameters
        ----------
        logprobs, lengths
            As for `weights`; `logprobs` with gradient.
        n_tokens, n_samples
            Supervised tokens and samples of the *global* batch: all accumulation steps of all processes. Those of this
            micro-batch by default.

        Returns
        -------
        The loss, a scalar that stays connected to the graph when nothing is supervised, and the weights.
        """
        weights = self.weights(logprobs, lengths)
        if self.per_sample:
            share = (weights.sample / lengths.clamp(min=1))[_sample_of(lengths)]
            total = len(lengths) if n_samples is None else n_samples
        else:
            share = torch.ones_like(weights.token)
            total = len(logprobs) if n_tokens is None else n_tokens
        factor = weights.token * share / torch.as_tensor(total, device=logprobs.device).clamp(min=1)
        return -(logprobs * factor.to(logprobs.dtype)).sum(), weights


def named(objective: str | Objective, **options: Any) -> Objective:
    """An objective from its name and options, or as it is.

    Raises
    ------
    InputError
        If there is no such objective or option, or a value is out of range.
    """
    if isinstance(objective, Objective):
        return objective
    try:
        return Objective.model_validate({"name": objective, **options})
    except ValidationError as error:
        problems = [
            f"`{item['loc'][0]}` is {item['input']!r}: {item['msg'][0].lower()}{item['msg'][1:]}"
            for item in error.errors()
        ]
        msg = f"There is no such objective: {'; '.join(problems)}."
        raise InputError(msg) from error


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


def _wide(values: torch.Tensor) -> torch.Tensor:
    # Apple's GPUs have no float64.
    return values.detach().to(torch.float32 if values.device.type == "mps" else torch.float64)


def _ones(lengths: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    return torch.ones(len(lengths), dtype=_wide(like[:0]).dtype, device=lengths.device)


def _sample_of(lengths: torch.Tensor) -> torch.Tensor:
    """Index of the sample of each token."""
    return torch.repeat_interleave(torch.arange(len(lengths), device=lengths.device), lengths)


def _lowest(values: torch.Tensor, lengths: torch.Tensor, *, empty: float) -> torch.Tensor:
    """Minimum of each sample's values, `empty` for a sample that has none."""
    lowest = values.new_full((len(lengths),), torch.inf)
    lowest.scatter_reduce_(0, _sample_of(lengths), values, "amin")
    return lowest.masked_fill(lengths == 0, empty)
