"""The objectives: which weights of tokens and samples, with which options, and the loss that they make."""

from __future__ import annotations

from traceback import walk_tb
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError
from transformers.utils.import_utils import is_fake_tensor

from bftembed._near import did_you_mean
from bftembed.errors import InputError
from bftembed.tune.loss.kinds import EMPTY, OBJECTIVES, ObjectiveKind, find_kind, register_objective
from bftembed.tune.loss.logprobs import TokenLogprobs
from bftembed.tune.loss.weights import Weights, ones, sample_of, wide

__all__ = ["OBJECTIVES", "Objective", "ObjectiveKind", "named", "register_objective"]


def _refusal(reason: str) -> PydanticCustomError:
    return PydanticCustomError("objective", "{reason}", {"reason": reason})


class Objective(BaseModel):
    """Which objective, with its hyperparameters; saved beside a tuned model as ``bft_objective.json``.

    Attributes
    ----------
    name
        One of `OBJECTIVES`, of `register_objective`, of an installed package, or ``"path/to/file.py:function"``.
    window
        Tokens in a window (g): ``bft`` and ``bft-v1``.
    gamma
        Exponent of the lowest group confidence: ``bft-v1``.
    eps
        Added to the context confidence: ``bft``.
    sample_weight
        Whether samples are weighted: ``bft``.
    weights_from
        Whose probabilities, entropies and purities the weights are made of: those of the ``"model"`` as it is, or of
        the frozen ``"reference"`` that it started from (PriFT, arXiv 2606.09396). Weights of the model grow with what
        they teach; those of the reference do not.
    options
        Further options: ``alpha`` of ``power``, ``tau`` of ``profit``, ``alpha`` and ``k`` of ``eaft``, ``lambda`` of
        ``sft+kl`` and ``asft``, and those of objectives that are not of this package. They may stand beside the others,
        ``{"name": "power", "alpha": 0.5}``.

    Examples
    --------
    >>> Objective.model_validate({"name": "power", "alpha": 0.5}).options
    {'alpha': 0.5}
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str = "bft"
    window: int = Field(default=256, ge=1, lt=2**31)
    gamma: float = Field(default=1.0, gt=0)
    eps: float = Field(default=1e-30, gt=0)
    sample_weight: bool = True
    weights_from: Literal["model", "reference"] = "model"
    options: dict[str, Any] = Field(default_factory=dict, validate_default=True)

    @model_validator(mode="before")
    @classmethod
    def _short(cls, values: Any) -> Any:
        """Take what is no field for an option, if the objective has any."""
        if not isinstance(values, dict) or not isinstance(options := values.get("options", {}), dict):
            return values
        own = values.keys() - cls.model_fields.keys() - options.keys()
        try:
            if not own or not find_kind(str(values.get("name"))).options.keys() - cls.model_fields.keys():
                return values
        except InputError:  # said of the name, below
            return values
        rest = {key: value for key, value in values.items() if key not in own}
        return {**rest, "options": {**options, **{key: values[key] for key in own}}}

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        try:
            find_kind(name)
        except InputError as error:
            raise _refusal(str(error)) from error
        return name

    @field_validator("options")
    @classmethod
    def _taken(cls, options: dict[str, Any], found: ValidationInfo) -> dict[str, Any]:
        if not (name := found.data.get("name")):
            return options
        kind = find_kind(name)
        known = {option: value for option, value in kind.options.items() if option not in cls.model_fields}
        if unknown := [option for option in options if option not in known]:
            near = did_you_mean(unknown[0], list(known))
            reason = f"`{name}` takes no option `{unknown[0]}`{near and f'.{near}'}"
            raise _refusal(reason)
        needed = [option for option, value in known.items() if value.default is EMPTY]
        if missing := [option for option in needed if option not in options]:
            reason = f"`{name}` needs the option `{missing[0]}`"
            raise _refusal(reason)
        try:
            return kind.check(options)
        except InputError as error:
            raise _refusal(str(error)) from error

    @property
    def per_sample(self) -> bool:
        """Whether the loss is a mean over samples (BFT) rather than over tokens (SFT, DFT)."""
        return find_kind(self.name).per_sample

    @property
    def has_window(self) -> bool:
        """Whether the objective looks at windows of tokens."""
        return "window" in find_kind(self.name).options

    @property
    def source(self) -> str | None:
        """``sha256:`` of what an objective that is not of this package is made of; see `ObjectiveKind`."""
        return find_kind(self.name).source

    @property
    def kl(self) -> float:
        """What the divergence from the reference is multiplied by; 0 where the objective has none."""
        return float(self.options.get("lambda", find_kind(self.name).kl or 0.0))

    @property
    def needs_reference(self) -> bool:
        """Whether the loss depends on the frozen model that was started from."""
        return self.weights_from == "reference" or self.kl > 0

    @property
    def asks(self) -> dict[str, Any]:
        """Statistics that its weights depend on, as arguments of `token_logprobs`; empty if there are none."""
        kind = find_kind(self.name)
        asked: dict[str, Any] = dict.fromkeys(kind.statistics, True)
        if "entropy" in asked and "k" in kind.options:
            asked["k"] = self.options.get("k", kind.options["k"].default)
        return asked

    def weights(self, values: torch.Tensor | TokenLogprobs, lengths: torch.Tensor) -> Weights:
        """Token and sample weights.

        Parameters
        ----------
        values
            (n_tokens,), log p of the supervised tokens, sample after sample; with the statistics that `asks` names, if
            it names any, and those of the reference, if the weights come from it.
        lengths
            (n_samples,), int64, the number of supervised tokens of each sample.

        Raises
        ------
        InputError
            If a statistic is missing, or an objective that is not of this package fails, or gives anything but weights
            of the right shape that are numbers of 0 or more.
        """
        values = values if isinstance(values, TokenLogprobs) else TokenLogprobs(values)
        logprobs = self._given(values, "frozen" if self.weights_from == "reference" else "logprobs").detach()
        kind = find_kind(self.name)
        given = {name: self._given(values, name) for name in kind.statistics}
        own = {name: getattr(self, name) for name in kind.options if name in type(self).model_fields}
        options = {name: value for name, value in self.options.items() if name != "lambda" or kind.kl is None}
        if self.name in OBJECTIVES:
            made = kind.weights(logprobs, lengths, **given, **own, **options)
        else:
            made = _made_by_user(self.name, kind, (logprobs, lengths), {**given, **own, **options})
        token, sample = (made, ones(lengths, logprobs)) if isinstance(made, torch.Tensor) else made
        if token.shape != logprobs.shape or sample.shape != lengths.shape:
            msg = (
                f"The objective `{self.name}` gives token weights of shape {tuple(token.shape)} and sample weights of "
                f"shape {tuple(sample.shape)}; expected {tuple(logprobs.shape)} and {tuple(lengths.shape)}."
            )
            raise InputError(msg)
        weights = Weights(wide(token), wide(sample))
        if self.name not in OBJECTIVES:
            _check_values(self.name, weights, logprobs)
        return weights

    def loss(
        self,
        values: torch.Tensor | TokenLogprobs,
        lengths: torch.Tensor,
        *,
        n_tokens: torch.Tensor | float | None = None,
        n_samples: torch.Tensor | float | None = None,
    ) -> tuple[torch.Tensor, Weights]:
        """The loss of a micro-batch as its part of the loss of the global batch: the parts add up to the whole.

        BFT: each sample's mean of weighted negative log-likelihoods times its sample weight, summed, over `n_samples`;
        a sample without supervised tokens counts as a sample. The others: the sum of weighted negative log-likelihoods
        over `n_tokens`, which counts tokens of weight 0 too. A divergence is added with the same mean, unweighted.
        A token that the model rules out (probability 0) adds nothing where its weight is 0, as by ``dft``, ``bft``,
        ``bft-v1``, ``deft`` and ``power`` above 0; else, as by ``sft``, the loss is infinite: the run has diverged.

        Parameters
        ----------
        values, lengths
            As for `weights`; log-probabilities with gradient.
        n_tokens, n_samples
            Supervised tokens and samples of the *global* batch: all accumulation steps of all processes. Those of this
            micro-batch by default.

        Returns
        -------
        The loss, a scalar that stays connected to the graph when nothing is supervised, and the weights.
        """
        weights = self.weights(values, lengths)
        logprobs = values.logprobs if isinstance(values, TokenLogprobs) else values
        if self.per_sample:
            share = (weights.sample / lengths.clamp(min=1))[sample_of(lengths, len(logprobs))]
            total = len(lengths) if n_samples is None else n_samples
        else:
            share = torch.ones_like(weights.token)
            total = len(logprobs) if n_tokens is None else n_tokens
        total = total.to(logprobs.device).clamp(min=1) if isinstance(total, torch.Tensor) else max(total, 1)
        factor = (weights.token * share / total).to(logprobs.dtype)
        # A token of probability 0 and weight 0 adds nothing: p**a * log p goes to 0 with p, and here is 0 * -inf.
        loss = -(logprobs.masked_fill((logprobs == -torch.inf) & (factor == 0), 0.0) * factor).sum()
        if self.kl:
            divergence = self._given(values, "divergence")
            if self.per_sample:
                divergence = divergence / lengths[sample_of(lengths, len(logprobs))]
            loss = loss + self.kl * (divergence / total).sum()
        return loss, weights

    def _given(self, values: TokenLogprobs | torch.Tensor, name: str) -> torch.Tensor:
        value: torch.Tensor | None = getattr(values, name, None)
        if value is None:
            msg = f"`{self.name}` needs the `{name}` of the tokens; `Tuner` and `objective_logprobs` give it."
            raise InputError(msg)
        return value


def _made_by_user(name: str, kind: ObjectiveKind, given: tuple[torch.Tensor, ...], options: dict[str, Any]) -> Any:
    """What a function that is not of this package gives: of copies, since it may write into them."""
    copies = {key: value.clone() if isinstance(value, torch.Tensor) else value for key, value in options.items()}
    try:
        made = kind.weights(*(each.clone() for each in given), **copies)
    except torch.OutOfMemoryError:
        raise
    except (Exception, SystemExit) as error:  # code of the user, which may fail in any way
        *_, (frame, line) = walk_tb(error.__traceback__)
        place = f"{frame.f_code.co_filename}:{line}"
        msg = f"The objective `{name}` failed at {place}: {type(error).__name__}: {error}"
        raise InputError(msg) from error
    pair = isinstance(made, tuple) and len(made) == 2 and all(isinstance(each, torch.Tensor) for each in made)
    if not pair and not isinstance(made, torch.Tensor):
        msg = (
            f"The objective `{name}` gives a {type(made).__name__}; expected a tensor of token weights, (n_tokens,), "
            "or `Weights(token, sample)`."
        )
        raise InputError(msg)
    return made


def _check_values(name: str, weights: Weights, logprobs: torch.Tensor) -> None:
    """Refuse weights that no mean can be made with, unless the model gives no numbers itself: then the run diverged."""
    every = torch.cat(weights)
    if (
        not is_fake_tensor(every)
        and not bool(((every >= 0) & every.isfinite()).all())
        and bool(logprobs.isfinite().all())
    ):
        msg = f"The objective `{name}` gives weights that are negative, infinite or no numbers; give 0 or more."
        raise InputError(msg)


def named(objective: str | Objective, **options: Any) -> Objective:
    """An objective from its name and options, or as it is.

    Raises
    ------
    InputError
        If there is no such objective or option, a value is out of range, or options stand beside an `Objective`.
    """
    if isinstance(objective, Objective):
        if options:
            msg = (
                f"The objective is given with its options, and `{next(iter(options))}` beside it: give its name alone."
            )
            raise InputError(msg)
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
