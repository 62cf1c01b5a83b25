"""Text to vectors: one file per back end, one contract, one cache."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bftembed.errors import InputError

if TYPE_CHECKING:
    from bftembed.encoders.base import Encoder
    from bftembed.encoders.cache import encode_cached
    from bftembed.encoders.openai import OpenAIEncoder
    from bftembed.encoders.sentence_transformers import SentenceTransformersEncoder

__all__ = ["Encoder", "OpenAIEncoder", "SentenceTransformersEncoder", "encode_cached", "get_encoder"]

_HOMES = {
    "Encoder": "base",
    "OpenAIEncoder": "openai",
    "SentenceTransformersEncoder": "sentence_transformers",
    "encode_cached": "cache",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    import importlib

    return getattr(importlib.import_module(f"bftembed.encoders.{_HOMES[name]}"), name)


def get_encoder(spec: str | Encoder = "default", **options: Any) -> Encoder:
    """Make an encoder from its short name.

    Parameters
    ----------
    spec
        ``"default"`` (all-MiniLM-L6-v2, embedded), ``"sentence-transformers:MODEL"`` with a directory or the id of a
        model on the hub, ``"openai:MODEL@http://host:port/v1"``, or an encoder, which is given back as it is.
    options
        Handed to the encoder's class, e.g. ``batch_size=64``.

    Raises
    ------
    InputError
        If there is no such back end.
    """
    if not isinstance(spec, str):
        return spec
    backend, _, model = ("sentence-transformers:default" if spec == "default" else spec).partition(":")
    classes = {"sentence-transformers": "SentenceTransformersEncoder", "openai": "OpenAIEncoder"}
    if backend not in classes or not model:
        msg = f"`{spec}` is no encoder. Use `default`, `sentence-transformers:MODEL` or `openai:MODEL@http://host/v1`."
        raise InputError(msg)
    encoder: Encoder = __getattr__(classes[backend])(model, **options)
    return encoder
