"""The objectives: which weights of tokens and samples, with which options, and the loss that they make."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from bftembed._near import did_you_mean
from bftembed._plugins import load_plugin, plugin_names
from bftembed.errors import InputError
from bftembed.tune.loss.weights import Weights, bft, bft_v1, dft, ones, sample_of, sft, wide

if TYPE_CHECKING:
    from collections.abc import Callable


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
        If another function has the name, or `weights` does not take two arguments.

    Examples
    --------
    >>> from bftembed.tune import make_loss, register_objective
    >>> def focal(logprobs, lengths, *, power: float = 2.0):
    ...     return (1 - logprobs.exp()) ** power
    >>> _ = register_objective("focal", focal)
    >>> loss = make_loss("focal", options={"power": 1.0})
    """
    if name in _KINDS and (name in OBJECTIVES or not _same_function(_KINDS[name].weights, weights)):
        msg = f"There is an objective `{name}` already; choose another name."
        raise InputError(msg)
    if not callable(weights) or len(inspect.signature(weights).parameters) < 2:
        msg = f"The weights of `{name}` are no function of `logprobs` and `lengths`, but `{weights!r}`."
        raise InputError(msg)
    _KINDS[name] = ObjectiveKind(weights, per_sample)
    return _KINDS[name]


def _same_function(one: object, other: object) -> bool:
    """Whether both are one function of one module, which may have been defined anew, as a notebook's cell does."""
    places = [(getattr(each, "__module__", None), getattr(each, "__qualname__", None)) for each in (one, other)]
    return one is other or (places[0] == places[1] and None not in places[0])


def _find(name: str) -> ObjectiveKind:
    if name not in _KINDS and (plugin := load_plugin("objectives", name)) is not None:
        kind = plugin if isinstance(plugin, ObjectiveKind) else ObjectiveKind(plugin)
        register_objective(name, kind.weights, per_sample=kind.per_sample)
    if name not in _KINDS:
        known = list(dict.fromkeys([*_KINDS, *plugin_names("objectives")]))
        msg = f"{did_you_mean(name, known)} There are {', '.join(known)}".strip()
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
        token, sample = (made, ones(lengths, logprobs)) if isinstance(made, torch.Tensor) else made
        if token.shape != logprobs.shape or sample.shape != lengths.shape:
            msg = (
                f"The objective `{self.name}` gives token weights of shape {tuple(token.shape)} and sample weights of "
                f"shape {tuple(sample.shape)}; expected {tuple(logprobs.shape)} and {tuple(lengths.shape)}."
            )
            raise InputError(msg)
        return Weights(wide(token), wide(sample))

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
            share = (weights.sample / lengths.clamp(min=1))[sample_of(lengths, len(logprobs))]
            total = len(lengths) if n_samples is None else n_samples
        else:
            share = torch.ones_like(weights.token)
            total = len(logprobs) if n_tokens is None else n_tokens
        total = total.to(logprobs.device).clamp(min=1) if isinstance(total, torch.Tensor) else max(total, 1)
        factor = weights.token * share / total
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
