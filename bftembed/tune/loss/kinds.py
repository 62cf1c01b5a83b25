"""The registry of objectives: a name, the function that weighs, and which options and statistics it takes."""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import ConfigDict, TypeAdapter, ValidationError

from bftembed._near import check_number, did_you_mean
from bftembed._plugins import load_plugin, plugin_names, plugin_source
from bftembed.errors import InputError
from bftembed.tune.loss.weights import Exponent, Weights, bft, bft_v1, deft, dft, eaft, power, profit, sft

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import torch

#: Parameters of a function that are given statistics of the next-token distributions, and are no options.
STATISTICS = ("entropy", "purity")
#: An option has no annotation, or no default.
EMPTY = inspect.Parameter.empty


class Option(NamedTuple):
    """What a value is held against, and which one there is by default; either may be `EMPTY`."""

    annotation: Any
    default: Any


class ObjectiveKind(NamedTuple):
    """How an objective weighs.

    Attributes
    ----------
    weights
        ``weights(logprobs, lengths, **options)`` gives `Weights`, or the token weights alone, (n_tokens,); what it is
        given, `logprobs` (n_tokens,) and `lengths` (n_samples,), is as for `Objective.weights`. A parameter named
        ``entropy`` gets the entropy of each next-token distribution, (n_tokens,), in nats: of its `k` likeliest tokens,
        if the function has an option ``k``. One named ``purity`` gets the sum of its squared probabilities. They are
        computed only for functions that have these parameters. All others are options: those named as a field of
        `Objective` (``window``, ``gamma``, ...) get the field's value, others that of ``Objective.options``, which is
        held against their annotation (``alpha: Annotated[float, pydantic.Field(ge=0)] = 1.0``).
    per_sample
        Whether the loss is a mean over samples, each a mean over its tokens, rather than over all tokens.
    kl
        What ``KL(reference || model)`` is multiplied by before it is added to the loss, with the same mean; None for no
        such term. The option ``lambda`` replaces it.
    source
        What tells the function from another of the same name: ``sha256:`` of the file if its name is a path, of the
        package if an entry point names it, else of the function's own text where that can be had. None of this
        package's own.

    Examples
    --------
    >>> from bftembed.tune import Objective, ObjectiveKind
    >>> kind = ObjectiveKind(lambda logprobs, lengths: logprobs.exp(), source="of the example")
    >>> kind.per_sample
    False
    """

    weights: Callable[..., Weights | torch.Tensor]
    per_sample: bool = False
    kl: float | None = None
    source: str | None = None

    @property
    def statistics(self) -> tuple[str, ...]:
        """Which statistics the function takes: ``"entropy"``, ``"purity"``."""
        return tuple(name for name in self._parameters() if name in STATISTICS)

    @property
    def options(self) -> dict[str, Option]:
        """Options of the function, and ``lambda`` if there is a divergence, by name."""
        found = {
            name: Option(parameter.annotation, parameter.default)
            for name, parameter in self._parameters().items()
            if name not in STATISTICS
        }
        return found if self.kl is None else {**found, "lambda": Option(Exponent, self.kl)}

    def check(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Values of options as their annotations have them.

        Raises
        ------
        InputError
            If a value does not fit.
        """
        checked, known = {}, self.options
        for name, value in options.items():
            annotation = known[name].annotation
            try:
                # Text is an annotation whose names stand nowhere at run time.
                plain = annotation is EMPTY or isinstance(annotation, str)
                checked[name] = value if plain else TypeAdapter(annotation, config=_ANY).validate_python(value)
            except ValidationError as error:
                reason = error.errors()[0]["msg"]
                msg = f"`{name}` is {value!r}: {reason[0].lower()}{reason[1:]}"
                raise InputError(msg) from error
        return checked

    def _parameters(self) -> dict[str, inspect.Parameter]:
        try:
            signature = inspect.signature(self.weights, eval_str=True)
        except Exception:  # noqa: BLE001 - an annotation that is imported for type checkers alone, or any text
            signature = inspect.signature(self.weights)
        return dict(list(signature.parameters.items())[2:])


_ANY = ConfigDict(arbitrary_types_allowed=True)
_KINDS = {
    "sft": ObjectiveKind(sft),
    "dft": ObjectiveKind(dft),
    "bft-v1": ObjectiveKind(bft_v1, per_sample=True),
    "bft": ObjectiveKind(bft, per_sample=True),
    "power": ObjectiveKind(power),
    "profit": ObjectiveKind(profit),
    "eaft": ObjectiveKind(eaft),
    "deft": ObjectiveKind(deft),
    "sft+kl": ObjectiveKind(sft, kl=0.05),
    "asft": ObjectiveKind(dft, kl=0.05),
}
#: The objectives of this package.
OBJECTIVES: tuple[str, ...] = tuple(_KINDS)


def register_objective(
    name: str, weights: Callable[..., Weights | torch.Tensor], *, per_sample: bool = False, kl: float | None = None
) -> ObjectiveKind:
    """Make an objective known by a name, in this process.

    In every process, `bftembed tune` included, a function in a file is known as ``"path/to/file.py:function"``, and one
    of an installed package by an entry point of the group ``bftembed.objectives``; both may name an `ObjectiveKind`.

    Parameters
    ----------
    name
        What `Objective` and configurations call it.
    weights, per_sample, kl
        See `ObjectiveKind`.

    Raises
    ------
    InputError
        If another function has the name or it is no name, `weights` does not take two arguments, or `kl` is negative.

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
    if not isinstance(name, str) or name.strip() in {"", "grpo"}:
        msg = f"{name!r} cannot be the name of an objective; choose a word, and not `grpo`, which is no objective."
        raise InputError(msg)
    if not _takes_two(weights):
        msg = f"The weights of `{name}` are no function of `logprobs` and `lengths`, but `{weights!r}`."
        raise InputError(msg)
    if kl is not None:
        check_number(f"kl of {name}", kl, least=0)
    _KINDS[name] = ObjectiveKind(weights, per_sample, kl, _text_digest(weights))
    return _KINDS[name]


def _takes_two(weights: object) -> bool:
    """Whether a function names two arguments that may be given by their places."""
    try:
        first = list(inspect.signature(weights).parameters.values())[:2] if callable(weights) else []
    except ValueError:  # of some that are written in C nothing is known
        return False
    return len(first) == 2 and all(each.kind in {each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD} for each in first)


def _same_function(one: object, other: object) -> bool:
    """Whether both are one function of one module, which may have been defined anew, as a notebook's cell does."""
    places = [(getattr(each, "__module__", None), getattr(each, "__qualname__", None)) for each in (one, other)]
    return one is other or (places[0] == places[1] and None not in places[0])


def find_kind(name: str) -> ObjectiveKind:
    """The objective of a name.

    Raises
    ------
    InputError
        If there is none, or its file cannot be run.
    """
    if name not in _KINDS:
        in_file = ".py:" in name
        found, source = _in_file(name) if in_file else (load_plugin("objectives", name), None)
        if found is not None:
            kind = found if isinstance(found, ObjectiveKind) else ObjectiveKind(found)
            made = register_objective(name, kind.weights, per_sample=kind.per_sample, kl=kind.kl)
            _KINDS[name] = made._replace(source=source if in_file else plugin_source("objectives", name))
    if name not in _KINDS:
        known = list(dict.fromkeys([*_KINDS, *plugin_names("objectives")]))
        msg = f"{did_you_mean(name, known)} There are {', '.join(known)}".strip()
        raise InputError(msg)
    return _KINDS[name]


def _text_digest(weights: object) -> str | None:
    """``sha256:`` of the text of a function, None where there is none: typed in at a prompt, made by a call."""
    try:
        return f"sha256:{hashlib.sha256(inspect.getsource(weights).encode()).hexdigest()}"  # type: ignore[arg-type]
    except (OSError, TypeError):
        return None


def _in_file(name: str) -> tuple[Any, str]:
    """What ``path/to/file.py:function`` names, and the digest of the file."""
    place, _, attribute = name.rpartition(":")
    path = Path(place).expanduser()
    try:
        source = hashlib.sha256(path.read_bytes()).hexdigest()
        spec = importlib.util.spec_from_file_location(f"bftembed_objective_{source[:16]}", path)
        module = importlib.util.module_from_spec(spec)  # type: ignore[arg-type]  # there is one for a file in Python
        sys.modules[module.__name__] = module  # as dataclasses need it
        spec.loader.exec_module(module)  # type: ignore[union-attr]
    except (Exception, SystemExit) as error:  # code of the user, which may fail in any way
        msg = f"The file of the objective `{name}` cannot be run: {type(error).__name__}: {error}"
        raise InputError(msg) from error
    if not hasattr(module, attribute):
        near = did_you_mean(attribute, [each for each in vars(module) if not each.startswith("_")])
        msg = f"`{path}` has no `{attribute}`.{near}"
        raise InputError(msg)
    return getattr(module, attribute), f"sha256:{source}"
