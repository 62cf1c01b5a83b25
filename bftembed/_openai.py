"""The client that the OpenAI-compatible engine and encoder share."""

from __future__ import annotations

import os
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from bftembed._optional import require
from bftembed.errors import InputError, ServerError

#: Seconds for the question whether anybody answers.
PATIENCE = 60.0


def server_addresses(spec: str, base_url: str | None) -> tuple[str, list[str]]:
    """Split ``MODEL@URL1,URL2``; the addresses may come from the argument or from ``OPENAI_BASE_URL`` too.

    Raises
    ------
    InputError
        If there is no model, or no http(s) URL.
    """
    model, found, address = spec.partition("@http")
    given = base_url or (found[1:] + address) or os.environ.get("OPENAI_BASE_URL", "")
    named = [url.strip() for url in given.split(",")] if isinstance(given, str) else []
    # The same address once, with or without a slash at its end: each would be asked as a server of its own.
    bare = [url.rstrip("/") for url in named]
    urls = [url for n, url in enumerate(named) if url and bare.index(bare[n]) == n]
    if not model or not urls or not all(map(_is_address, urls)):
        msg = (
            f"`{spec}` does not name a model and a server; write it as `MODEL@http://host:port/v1`, several servers of "
            "the same model as `MODEL@http://host:port/v1,http://host:port/v1`."
        )
        raise InputError(msg)
    return model, urls


def _is_address(url: str) -> bool:
    """Whether it has a scheme of the web, a host, and a port that there can be; one address, not several."""
    try:
        parts = urlsplit(url)
        named = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:  # a port that is no number, or too large
        return False
    return parts.scheme in {"http", "https"} and named and url.count("://") == 1 and not any(map(str.isspace, url))


def server_address(spec: str, base_url: str | None) -> tuple[str, str]:
    """Split ``MODEL@URL``, as `server_addresses` does.

    Raises
    ------
    InputError
        If there is no model, or not one http(s) URL.
    """
    model, urls = server_addresses(spec, base_url)
    if len(urls) > 1:
        msg = f"One server makes vectors, got {len(urls)}: {', '.join(urls)}."
        raise InputError(msg)
    return model, urls[0]


def open_client(url: str, *, api_key: str | None, timeout: float, max_retries: int) -> Any:
    """OpenAI client of `url`, after one question whether anybody answers there.

    Raises
    ------
    ServerError
        If no server answers, or it refuses the key.
    """
    openai = require("openai")
    client = openai.OpenAI(base_url=url, api_key=key_or_default(api_key), timeout=timeout, max_retries=max_retries)
    patience = min(timeout, PATIENCE)
    try:
        # Asked with little patience: a server that is down is known in seconds, not after all retries of a long text.
        client.with_options(timeout=patience, max_retries=min(max_retries, 1)).models.list()
    except (openai.OpenAIError, ValueError, AttributeError, TypeError) as error:
        # Not every server lists its models; whether it answers shows with the first request.
        if unusable := why_unusable(error, url, patience):
            client.close()
            raise unusable from error
    return client


def key_or_default(api_key: str | None) -> str:
    """The key that servers are shown; local ones need none."""
    return api_key or os.environ.get("OPENAI_API_KEY", "none")


def why_unusable(error: Exception, url: str, patience: float) -> ServerError | None:
    """What an error of the question for the models says against a server; None if it may work nevertheless."""
    openai = require("openai")
    if isinstance(error, openai.APITimeoutError):
        return ServerError(f"The server at {url} takes longer than {patience:g} s to answer; is it still loading?")
    if isinstance(error, openai.APIConnectionError):
        cause: BaseException = error
        while deeper := cause.__cause__ or cause.__context__:
            cause = deeper  # "[Errno 111] Connection refused" stands below what the libraries make of it
        return ServerError(
            f"No server answers at {url} ({type(cause).__name__}: {cause}). Start it, or correct the address; texts "
            "already stored are kept."
        )
    if isinstance(error, openai.AuthenticationError | openai.PermissionDeniedError):
        return ServerError(f"The server at {url} refuses the key; set OPENAI_API_KEY.")
    return None


class ServerFault(NamedTuple):
    """An error that stands where an answer should be: the server's words, and whether to ask again."""

    words: str
    passing: bool


def fault_in(answer: Any) -> ServerFault | None:
    """The error that an answer with status 200 holds instead of a result, in the shapes that public servers use.

    ``{"error": {"message", "code"}}`` (OpenRouter), ``{"error": "..."}``, ``{"object": "error", "message"}`` (FastChat,
    older vLLM), ``{"detail"}`` (FastAPI), ``{"errors": [...]}`` (Cloudflare), ``{"base_resp": {"status_msg"}}``
    (MiniMax), ``{"code", "msg"}``; each of them in a list too (Google).
    """
    if isinstance(answer, list) and answer:
        answer = answer[0]
    error = getattr(answer, "error", None)
    if not error and not getattr(answer, "choices", None) and not getattr(answer, "data", None):
        found = (getattr(answer, name, None) for name in ("errors", "detail", "base_resp"))
        plain = {name: getattr(answer, name, None) for name in ("message", "msg", "error_msg", "code", "error_code")}
        error = next(filter(None, found), None) or {name: value for name, value in plain.items() if value}
    return fault_of(error) if error else None


def fault_of(error: Any) -> ServerFault:
    """Words and kind of an error: an object, a text, or a list of them. Codes 4xx but 408, 409 and 429 are final."""
    first = error[0] if isinstance(error, list) else error
    values = first if isinstance(first, dict) else {"message": first}
    words = next((values[name] for name in ("message", "msg", "status_msg", "error_msg") if values.get(name)), error)
    code = next((values[name] for name in ("code", "status", "status_code", "error_code") if values.get(name)), None)
    number = int(str(code)) if str(code).isdecimal() else 0
    final = 400 <= number < 500 and number not in {408, 409, 429}
    return ServerFault(shortened(words if code is None else f"{words} (code {code})"), passing=not final)


def said_by(error: Exception) -> str:
    """Kind of an error and the server's words; the SDK leaves them out unless they are called ``error``."""
    response = getattr(error, "response", None)
    words = str(error)
    if response is not None and words == f"Error code: {response.status_code}":
        words += f" - {response.text}"
    return shortened(f"{type(error).__name__}: {words}")


def shortened(words: object) -> str:
    """What a server says, in one line of at most 500 characters."""
    return " ".join(str(words).split())[:500]
