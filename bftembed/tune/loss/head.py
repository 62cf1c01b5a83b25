"""A causal language model that gives log-probabilities of its labels instead of logits."""

from __future__ import annotations

import contextlib
import functools
import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from transformers.utils.generic import ModelOutput

from bftembed.errors import ModelError
from bftembed.tune.loss.chunks import CHUNK_SIZE
from bftembed.tune.loss.divergence import Reference, token_divergence
from bftembed.tune.loss.logprobs import TokenLogprobs, token_logprobs
from bftembed.tune.loss.places import located, supervised_states

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import nn
    from transformers import PreTrainedModel


@dataclass
class LogprobOutput(ModelOutput):
    """What a model with a log-prob head gives of the supervised tokens, (n_tokens,) each: see `TokenLogprobs`.

    As a reference it gives its hidden states at their places instead, (n_tokens, hidden_size), and its head.
    """

    states: torch.Tensor | None = None
    weight: torch.Tensor | None = None
    bias: torch.Tensor | None = None
    logprobs: torch.Tensor | None = None
    entropy: torch.Tensor | None = None
    purity: torch.Tensor | None = None
    frozen: torch.Tensor | None = None
    divergence: torch.Tensor | None = None


class LogprobHead:
    """Base of the classes of models that `add_logprob_head` was called on; the model's own class stands after it."""

    _plain: Any  # the model's own class
    _logprob_options: dict[str, Any]

    def __reduce__(self) -> tuple[Any, ...]:
        # The class is made while the program runs, so that pickle cannot find it by its name.
        return _empty, (self._plain,), self.__getstate__()


def add_logprob_head(model: PreTrainedModel, *, chunk_size: int = CHUNK_SIZE) -> None:
    """Let ``model(..., labels=labels, token_logprobs=True)`` give a `LogprobOutput`, never holding all logits.

    Without that argument the model's forward is as it was, so generation is unchanged. It is the forward of the model
    that is extended, and not a function beside it, so that the hooks of DDP, FSDP and PEFT run as for any other call;
    and it is its class that is extended, so that a copy of the model (``copy.deepcopy``, a moving average, a replica, a
    pickle) runs its own weights.

    Parameters
    ----------
    model
        A causal language model, or a PEFT model around one.
    chunk_size
        Tokens whose logits are held at once; a second call changes it.

    Raises
    ------
    ModelError
        If the output head is not a plain linear layer (an adapter on it, a quantised head), or if the log-probabilities
        differ from those of the model's own logits, which means that the model changes its logits in a way that is not
        known here.
    """
    base = base_model(model)
    if isinstance(base, LogprobHead):
        base._logprob_options["chunk_size"] = chunk_size
        return
    output_head(base)
    config = base.config.get_text_config()
    plain: Any = type(base)
    # A forward of the object itself, e.g. with accelerate's hooks, would hide that of the class.
    own = vars(base).pop("forward", None)
    base.__class__ = _with_logprobs(plain)
    base._own_forward = own
    base._logprob_options = {
        "softcap": getattr(config, "final_logit_softcapping", None),
        "scale": _logit_scale(config),
        "chunk_size": chunk_size,
    }
    if all(_is_there(parameter) for parameter in base.parameters()):
        try:
            _compare(base)
        except ModelError:
            base.__class__ = plain
            del base._own_forward, base._logprob_options
            if own is not None:
                base.forward = own
            raise


@functools.cache
def _with_logprobs(plain: Any) -> Any:
    """A class of models with a log-prob head, under the name of the models' own class."""

    def forward(
        self: Any,
        *args: Any,
        token_logprobs: bool = False,
        labels: torch.Tensor | None = None,
        supervised: torch.Tensor | None = None,
        asked: Mapping[str, Any] | None = None,
        only_states: bool = False,
        own_head: bool = False,
        **kwargs: Any,
    ) -> Any:
        if not token_logprobs:
            original = self._own_forward or functools.partial(plain.forward, self)
            return original(*args, **kwargs) if labels is None else original(*args, labels=labels, **kwargs)
        kwargs.pop("num_items_in_batch", None)
        outputs = self.base_model(*args, **{**kwargs, "use_cache": False})
        # Looked up here and not before: FSDP and `modules_to_save` replace the head after this is set up.
        head, options = output_head(self), self._logprob_options
        states, targets = supervised_states(outputs.last_hidden_state, labels, supervised)
        if only_states:
            return LogprobOutput(states, *(_head(head) if own_head else ()))
        return LogprobOutput(**_head_logprobs(head, states, targets, **(asked or {}), **options)._asdict())

    # Not `functools.wraps`: accelerate follows `__wrapped__` where it takes its autocast off a model.
    forward.__doc__, forward.__signature__ = plain.forward.__doc__, inspect.signature(plain.forward)  # type: ignore[attr-defined]
    names = {"__module__": plain.__module__, "__qualname__": plain.__qualname__, "__doc__": plain.__doc__}
    return type(plain.__name__, (LogprobHead, plain), {**names, "forward": forward, "_plain": plain})


def _empty(plain: Any) -> Any:
    """A model with a log-prob head before its attributes are set."""
    kind = _with_logprobs(plain)
    return kind.__new__(kind)


def supervised_logprobs(
    model: nn.Module, batch: Mapping[str, torch.Tensor], **asked: Any
) -> tuple[TokenLogprobs, torch.Tensor]:
    """Log-probabilities of the supervised tokens of a batch, and how many each sample has.

    Parameters
    ----------
    model
        A model that `add_logprob_head` was called on, possibly wrapped (PEFT, DDP, FSDP).
    batch
        ``input_ids`` and ``labels`` (batch, length), labels not shifted and -100 where not supervised, with
        ``attention_mask``; or, for samples laid end to end in one row, with ``position_ids`` that start at 0 in each
        sample and no ``attention_mask``. What `bftembed.tune.loss.places.located` adds is looked for where it is not
        there yet, which makes a GPU wait.
    asked
        What else is computed: ``entropy``, ``k`` and ``purity`` of `token_logprobs`, e.g. ``**objective.asks``; with a
        ``reference``, what that gives (``frozen=True``, ``divergence=True``, see `TokenLogprobs`).

    Returns
    -------
    Flat values (n_tokens,), sample after sample, and lengths (n_samples,), int64.
    """
    inputs = located(batch)
    lengths = inputs.pop("lengths")
    outputs = model(**inputs, token_logprobs=True, asked=asked)
    return TokenLogprobs(**{name: getattr(outputs, name) for name in TokenLogprobs._fields}), lengths


def base_model(model: Any) -> Any:
    """The transformers model inside a PEFT model, or the model itself."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def output_head(model: Any) -> Any:
    """The linear output head of a model.

    Raises
    ------
    ModelError
        If there is none, or it is not a plain linear layer.
    """
    head = model.get_output_embeddings()
    # PEFT's `modules_to_save` keeps a trained copy beside the original.
    if hasattr(head, "modules_to_save") and hasattr(head, "active_adapter"):
        head = head.original_module if head.disable_adapters else head.modules_to_save[head.active_adapter]
    if not isinstance(head, torch.nn.Linear) or hasattr(head, "lora_A"):
        msg = (
            f"The output head of this model is a `{type(head).__name__}` and not a plain linear layer, so its "
            "log-probabilities cannot be computed from its weight. Leave the head out of the adapter's and the "
            'quantisation\'s modules, or train it in full (`modules_to_save=["lm_head"]`).'
        )
        raise ModelError(msg)
    return head


@torch.compiler.disable  # type: ignore[untyped-decorator]  # a loop over chunks, whose number is another one in each batch
def _head_logprobs(
    head: Any,
    states: torch.Tensor,
    targets: torch.Tensor,
    *,
    reference: Reference | None = None,
    frozen: bool = False,
    divergence: bool = False,
    chunk_size: int,
    softcap: float | None,
    scale: float,
    **statistics: Any,
) -> TokenLogprobs:
    """Values of the supervised tokens; with `frozen`, statistics are those of the reference."""
    shape: dict[str, Any] = {"chunk_size": chunk_size, "softcap": softcap, "scale": scale}
    weight, bias = _head(head)
    with _gathered(weight, bias):
        if reference is None:
            return token_logprobs(states, weight, targets, bias=bias, **shape, **statistics)
        values = token_logprobs(states, weight, targets, bias=bias, **shape, **({} if frozen else statistics))
        if frozen:
            own = (weight, bias) if reference.weight is None else (reference.weight, reference.bias)
            with torch.no_grad():
                start = token_logprobs(reference.states, own[0], targets, bias=own[1], **shape, **statistics)
            values = values._replace(frozen=start.logprobs, entropy=start.entropy, purity=start.purity)
        if divergence:
            values = values._replace(
                divergence=token_divergence(states, weight, targets, reference, bias=bias, **shape)
            )
        return values


def _head(head: Any) -> tuple[Any, Any]:
    """All of the weight and the bias of an output head."""
    return _whole(head.weight), _whole(head.bias)


def _whole(parameter: Any) -> Any:
    """All of a parameter that FSDP2 has split over processes."""
    return parameter.full_tensor() if hasattr(parameter, "full_tensor") else parameter


def _gathered(*parameters: Any) -> contextlib.AbstractContextManager[Any]:
    """All of the parameters that DeepSpeed ZeRO-3 has split, for as long as the context lasts."""
    split = [parameter for parameter in parameters if hasattr(parameter, "ds_id")]
    if not split:
        return contextlib.nullcontext()
    import deepspeed
    from deepspeed.runtime.zero.partition_parameters import ZeroParamStatus

    if any(parameter.requires_grad for parameter in split):
        msg = "Under DeepSpeed ZeRO-3 the output head has to stay frozen (LoRA); use FSDP to train it."
        raise ModelError(msg)
    absent = [parameter for parameter in split if parameter.ds_status != ZeroParamStatus.AVAILABLE]
    return deepspeed.zero.GatheredParameters(absent) if absent else contextlib.nullcontext()


def _logit_scale(config: Any) -> float:
    """The factor on a model's logits: each family of models has its own name for it."""
    for name in ("logit_scale", "output_multiplier", "lm_head_multiplier"):
        if getattr(config, name, None) is not None:
            return float(getattr(config, name))
    divisor = getattr(config, "logits_scaling", None)
    if divisor is None:
        return 1.0
    return float(divisor) if config.model_type == "hyperclovax" else 1 / float(divisor)


def _is_there(parameter: Any) -> bool:
    """Whether a process has values of a parameter: under ZeRO-3 it has a part, before FSDP's broadcast maybe none."""
    return not (parameter.is_meta or hasattr(parameter, "ds_id"))


def _compare(model: Any) -> None:
    """Compare the log-probabilities of a few tokens with those of the model's own logits."""
    head = output_head(model)
    tokens = torch.arange(5, device=model.device)[None] % len(head.weight)
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    with torch.no_grad():
        ours = model(input_ids=tokens, labels=tokens, token_logprobs=True).logprobs
        logits = model(input_ids=tokens, use_cache=False).logits[0, :-1]
    for module, training in modes:
        module.training = training
    theirs = logits.to(ours.dtype).log_softmax(-1).gather(1, tokens[0, 1:, None].to(logits.device))[:, 0]
    # The model rounds each logit to its type, and its products in it may be rounded too.
    rounding = 2 * torch.finfo(logits.dtype).eps * float(logits.nan_to_num(0, 0, 0).abs().max())
    if not torch.allclose(ours, theirs, rtol=1e-3, atol=max(1e-3, rounding)):
        msg = (
            f"The log-probabilities of this model (`{type(model).__name__}`) differ from those of its own logits by up "
            f"to {float((ours - theirs).abs().max()):.3g}: it changes its logits in a way that is not known here. Use "
            "`make_loss` with another trainer, which works on the logits."
        )
        raise ModelError(msg)
