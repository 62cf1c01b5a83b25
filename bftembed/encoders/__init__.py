"""Text to vectors: one file per back end, one contract, one cache."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bftembed._lazy import attach
from bftembed._plugins import load_plugin, plugin_names
from bftembed.errors import InputError

if TYPE_CHECKING:
    from bftembed.encoders.base import Encoder
    from bftembed.encoders.cache import encode_cached
    from bftembed.encoders.openai import OpenAIEncoder
    from bftembed.encoders.sentence_transformers import SentenceTransformersEncoder

__all__ = ["Encoder", "OpenAIEncoder", "SentenceTransformersEncoder", "encode_cached", "get_encoder"]

__getattr__, __dir__ = attach(
    __name__,
    {
        "Encoder": "base",
        "OpenAIEncoder": "openai",
        "SentenceTransformersEncoder": "sentence_transformers",
        "encode_cached": "cache",
    },
)
_BACKENDS = {"openai": "OpenAIEncoder", "sentence-transformers": "SentenceTransformersEncoder"}


def get_encoder(spec: str | Encoder = "default", **options: Any) -> Encoder:
    """Make an encoder from its short name.

    Parameters
    ----------
    spec
        ``"default"`` (all-MiniLM-L6-v2, embedded), ``"sentence-transformers:MODEL"`` with a directory or the id of a
        model on the hub, ``"openai:MODEL@http://host:port/v1"``, ``"NAME"`` or ``"NAME:MODEL"`` of a plug-in (entry
        point ``bftembed.encoders``), or an encoder, which is given back as it is.
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
    if backend in _BACKENDS and model:
        encoder: Encoder = __getattr__(_BACKENDS[backend])(model, **options)
        return encoder
    if (plugin := load_plugin("encoders", backend)) is not None:
        encoder = plugin(model, **options) if model else plugin(**options)
        return encoder
    others = "".join(f", `{name}`" for name in plugin_names("encoders"))
    msg = (
        f"`{spec}` is no encoder. Use `default`, `sentence-transformers:MODEL`, `openai:MODEL@http://host/v1`{others}."
    )
    raise InputError(msg)
