"""Engines that write texts and score answers: one file per back end, one contract."""

from __future__ import annotations

from inspect import signature
from typing import TYPE_CHECKING, Any

from bftembed._lazy import attach
from bftembed._near import did_you_mean
from bftembed._options import check_types
from bftembed._plugins import load_plugin, plugin_names
from bftembed.engines.base import Engine
from bftembed.engines.values import Completion, Request, Sampling, Scored, Scores
from bftembed.errors import InputError

if TYPE_CHECKING:
    from bftembed.engines.annotation import AnnotationEngine
    from bftembed.engines.answer_store import AnswerStore, complete_stored, score_stored
    from bftembed.engines.lm_eval import EngineLM
    from bftembed.engines.openai import OpenAIEngine
    from bftembed.engines.transformers import TransformersEngine
    from bftembed.engines.vllm import VLLMEngine

__all__ = [
    "AnnotationEngine",
    "AnswerStore",
    "Completion",
    "Engine",
    "EngineLM",
    "OpenAIEngine",
    "Request",
    "Sampling",
    "Scored",
    "Scores",
    "TransformersEngine",
    "VLLMEngine",
    "complete_stored",
    "engine_class",
    "get_engine",
    "score_stored",
]

_BACKENDS = {
    "annotation": "AnnotationEngine",
    "openai": "OpenAIEngine",
    "transformers": "TransformersEngine",
    "vllm": "VLLMEngine",
}
_HOMES = {class_name: module for module, class_name in _BACKENDS.items()}
_HOMES |= dict.fromkeys(("AnswerStore", "complete_stored", "score_stored"), "answer_store")
_HOMES["EngineLM"] = "lm_eval"
__getattr__, __dir__ = attach(__name__, _HOMES)


def get_engine(spec: str | Engine = "default", **options: Any) -> Engine:
    """Make an engine from its short name.

    Parameters
    ----------
    spec
        ``"default"`` (the embedded model), ``"transformers:MODEL"``, ``"vllm:MODEL"``,
        ``"openai:MODEL@http://host:port/v1"`` (several servers of one model: ``"openai:MODEL@URL1,URL2"``),
        ``"annotation"``, ``"NAME"`` or ``"NAME:MODEL"`` of a plug-in (entry point ``bftembed.engines``), or an engine,
        which is given back as it is.
        MODEL is a directory (a merged model or a PEFT adapter) or the id of a model on the hub.
    options
        Handed to the engine's class, e.g. ``batch_size=32``, ``dtype="bfloat16"``.

    Raises
    ------
    InputError
        If there is no such back end, it has no such option, or the option is of another type.

    Examples
    --------
    >>> from bftembed.engines import get_engine
    >>> get_engine("annotation").generates  # no language model
    False
    """
    if isinstance(spec, Engine):
        return spec
    make: Any = engine_class(spec)
    backend, _, model = _full(spec).partition(":")
    given = (model,) if model else ()
    try:
        signature(make).bind(*given, **options)
    except TypeError as error:
        known = [name for name, each in signature(make).parameters.items() if each.kind is each.KEYWORD_ONLY]
        near = "".join(did_you_mean(name, known) for name in options if name not in known)
        msg = f"The engine `{backend}` does not take these options: {error}.{near}"
        raise InputError(msg) from error
    check_types(make, options)
    engine: Engine = make(*given, **options)
    return engine


def engine_class(spec: str) -> type[Engine]:
    """Class of the engine that a short name stands for, as in `get_engine`; nothing is loaded.

    Raises
    ------
    InputError
        If there is no such back end.
    PluginError
        If a plug-in of that name cannot be loaded.

    Examples
    --------
    >>> from bftembed.engines import engine_class
    >>> engine_class("transformers:some/model").__name__
    'TransformersEngine'
    """
    backend, _, model = _full(spec).partition(":")
    if backend in _BACKENDS and (backend == "annotation") != bool(model):
        found = __getattr__(_BACKENDS[backend])
    elif (found := load_plugin("engines", backend)) is None:
        others = "".join(f", `{name}`" for name in plugin_names("engines"))
        msg = (
            f"`{spec}` is no engine. Use `default`, `annotation`, `transformers:MODEL`, `vllm:MODEL`, "
            f"`openai:MODEL@http://host:port/v1`{others}."
        )
        raise InputError(msg)
    made: type[Engine] = found
    return made


def _full(spec: str) -> str:
    return "transformers:default" if spec == "default" else str(spec)
