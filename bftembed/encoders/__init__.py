"""Text to vectors: one file per back end, one contract, one cache."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from bftembed._lazy import attach
from bftembed._near import did_you_mean
from bftembed._options import check_types
from bftembed._plugins import load_plugin, plugin_names
from bftembed.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bftembed.encoders.base import Encoder
    from bftembed.encoders.cache import encode_cached
    from bftembed.encoders.given import FileEncoder, KnownVectors, NoEncoder
    from bftembed.encoders.openai import OpenAIEncoder
    from bftembed.encoders.sentence_transformers import SentenceTransformersEncoder

__all__ = [
    "Encoder",
    "FileEncoder",
    "KnownVectors",
    "NoEncoder",
    "OpenAIEncoder",
    "SentenceTransformersEncoder",
    "encode_cached",
    "get_encoder",
    "restore_encoder",
]

__getattr__, __dir__ = attach(
    __name__,
    {
        "Encoder": "base",
        "FileEncoder": "given",
        "KnownVectors": "given",
        "NoEncoder": "given",
        "OpenAIEncoder": "openai",
        "SentenceTransformersEncoder": "sentence_transformers",
        "encode_cached": "cache",
    },
)
_BACKENDS = {
    "file": "FileEncoder",
    "none": "NoEncoder",
    "openai": "OpenAIEncoder",
    "sentence-transformers": "SentenceTransformersEncoder",
}


def get_encoder(spec: str | Encoder = "default", **options: Any) -> Encoder:
    """Make an encoder from its short name.

    Parameters
    ----------
    spec
        ``"default"`` (all-MiniLM-L6-v2, embedded), ``"sentence-transformers:MODEL"`` with a directory or the id of a
        model on the hub, ``"openai:MODEL@http://host:port/v1"``, ``"file:PATH"`` (vectors of texts that were computed
        elsewhere), ``"none"`` (texts only), ``"NAME"`` or ``"NAME:MODEL"`` of a plug-in (entry
        point ``bftembed.encoders``), or an encoder, which is given back as it is.
    options
        Handed to the encoder's class, e.g. ``batch_size=64``, ``prompt_name="document"``.

    Raises
    ------
    InputError
        If there is no such back end, it takes no such option, or the option is of another type.

    Examples
    --------
    >>> from bftembed.encoders import get_encoder
    >>> encoder = get_encoder("default", batch_size=64)
    >>> vectors, was_split = encoder.encode(["A T cell."])
    >>> vectors.shape
    (1, 384)
    """
    if not isinstance(spec, str):
        return spec
    backend, _, model = ("sentence-transformers:default" if spec == "default" else spec).partition(":")
    known = (
        __getattr__(_BACKENDS[backend])
        if backend in _BACKENDS and (backend == "none") != bool(model)
        else load_plugin("encoders", backend)
    )
    if known is not None:
        _check_options(backend, known, options)
        encoder: Encoder = known(model, **options) if model else known(**options)
        encoder.spec = encoder.spec or spec
        return encoder
    others = "".join(f", `{name}`" for name in plugin_names("encoders"))
    msg = (
        f"`{spec}` is no encoder. Use `default`, `sentence-transformers:MODEL`, `openai:MODEL@http://host/v1`, "
        f"`file:VECTORS.parquet`, `none`{others}."
    )
    raise InputError(msg)


def _check_options(backend: str, make: Any, options: Mapping[str, Any]) -> None:
    taken = inspect.signature(make).parameters
    if any(each.kind is inspect.Parameter.VAR_KEYWORD for each in taken.values()):
        return
    for name in options:
        if name not in taken:
            there = ", ".join(each.name for each in taken.values() if each.kind is inspect.Parameter.KEYWORD_ONLY)
            msg = f"The encoder `{backend}` has no option `{name}`; it has {there or 'none'}."
            raise InputError(msg + did_you_mean(name, taken))
    check_types(make, options)


def restore_encoder(made_with: Mapping[str, Any], encoder: str | Encoder | None = None) -> Encoder:
    """Make the encoder of an embedding again, to encode what is searched for in it.

    Parameters
    ----------
    made_with
        Of the embedding: what `Encoder.record` said, of this version or the one before.
    encoder
        The encoder itself, or its short name, where it is known; checked against `made_with`.

    Raises
    ------
    InputError
        If it is not the encoder of the embedding, or `made_with` does not tell how to make it.

    Examples
    --------
    >>> from bftembed.encoders import get_encoder, restore_encoder
    >>> encoder = get_encoder()
    >>> restore_encoder(encoder.record()).describe() == encoder.describe()
    True
    """
    spec = encoder or made_with.get("spec")
    if not spec:
        msg = f"Pass the `encoder` that made the embedding; it was an object ({dict(made_with)})."
        raise InputError(msg)
    kept = {"prompt", "query_prompt", "backend", *(["dtype"] if made_with.get("dtype", "float32") != "float32" else [])}
    options = {name: str(made_with[name]) for name in sorted(kept) if name in made_with}
    chosen = get_encoder(spec, **options)
    described = chosen.describe()
    known = chosen.in_current_terms(dict(made_with))
    names = {*described, *({"prompt"} & set(made_with))}
    if any(str(known.get(name, described.get(name))) != described.get(name) for name in names):
        msg = f"The encoder {described} is not the one that made the embedding ({dict(made_with)})."
        raise InputError(msg)
    return chosen
