"""Engines that write texts: one file per back end, one contract."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bftembed.engines.base import Completion, Engine, Request, Sampling
from bftembed.errors import InputError

if TYPE_CHECKING:
    from bftembed.engines.annotation import AnnotationEngine
    from bftembed.engines.openai import OpenAIEngine
    from bftembed.engines.transformers import TransformersEngine
    from bftembed.engines.vllm import VLLMEngine

__all__ = [
    "AnnotationEngine",
    "Completion",
    "Engine",
    "OpenAIEngine",
    "Request",
    "Sampling",
    "TransformersEngine",
    "VLLMEngine",
    "engine_class",
    "get_engine",
]

_BACKENDS = {
    "annotation": ("annotation", "AnnotationEngine"),
    "openai": ("openai", "OpenAIEngine"),
    "transformers": ("transformers", "TransformersEngine"),
    "vllm": ("vllm", "VLLMEngine"),
}


def __getattr__(name: str) -> Any:
    for module, class_name in _BACKENDS.values():
        if name == class_name:
            import importlib

            return getattr(importlib.import_module(f"bftembed.engines.{module}"), name)
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)


def get_engine(spec: str | Engine = "default", **options: Any) -> Engine:
    """Make an engine from its short name.

    Parameters
    ----------
    spec
        ``"default"`` (the embedded model), ``"transformers:MODEL"``, ``"vllm:MODEL"``,
        ``"openai:MODEL@http://host:port/v1"``, ``"annotation"``, or an engine, which is given back as it is.
        MODEL is a directory (a merged model or a PEFT adapter) or the id of a model on the hub.
    options
        Handed to the engine's class, e.g. ``batch_size=32``, ``dtype="bfloat16"``.

    Raises
    ------
    InputError
        If there is no such back end.
    """
    if isinstance(spec, Engine):
        return spec
    make: Any = engine_class(spec)
    _, _, model = _full(spec).partition(":")
    engine: Engine = make(model, **options) if model else make(**options)
    return engine


def engine_class(spec: str) -> type[Engine]:
    """Class of the engine that a short name stands for, as in `get_engine`; nothing is loaded.

    Raises
    ------
    InputError
        If there is no such back end.
    """
    backend, _, model = _full(spec).partition(":")
    if backend not in _BACKENDS or (backend == "annotation") == bool(model):
        msg = (
            f"`{spec}` is no engine. Use `default`, `annotation`, `transformers:MODEL`, `vllm:MODEL` or "
            "`openai:MODEL@http://host:port/v1`."
        )
        raise InputError(msg)
    found: type[Engine] = __getattr__(_BACKENDS[backend][1])
    return found


def _full(spec: str) -> str:
    return "transformers:default" if spec == "default" else str(spec)
