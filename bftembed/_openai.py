"""The client that the OpenAI-compatible engine and encoder share."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

from bftembed._optional import require
from bftembed.errors import InputError, ServerError

#: Seconds for the question whether anybody answers.
_PATIENCE = 60.0


def server_address(spec: str, base_url: str | None) -> tuple[str, str]:
    """Split ``MODEL@URL``; the URL may come from the argument or from ``OPENAI_BASE_URL`` too.

    Raises
    ------
    InputError
        If there is no model, or no http(s) URL.
    """
    model, _, url = spec.rpartition("@") if "@http" in spec else (spec, "", "")
    url = base_url or url or os.environ.get("OPENAI_BASE_URL", "")
    if not model or not url.startswith(("http://", "https://")):
        msg = f"`{spec}` does not name a model and a server; write it as `MODEL@http://host:port/v1`."
        raise InputError(msg)
    return model, url


def open_client(url: str, *, api_key: str | None, timeout: float, max_retries: int) -> Any:
    """OpenAI client of `url`, after one question whether anybody answers there.

    Raises
    ------
    ServerError
        If no server answers, or it refuses the key.
    """
    openai = require("openai")
    key = api_key or os.environ.get("OPENAI_API_KEY", "none")
    client = openai.OpenAI(base_url=url, api_key=key, timeout=timeout, max_retries=max_retries)
    try:
        # Asked with little patience: a server that is down is known in seconds, not after all retries of a long text.
        client.with_options(timeout=min(timeout, _PATIENCE), max_retries=min(max_retries, 1)).models.list()
    except openai.APITimeoutError as error:
        client.close()
        msg = f"The server at {url} takes longer than {min(timeout, _PATIENCE):g} s to answer; is it still loading?"
        raise ServerError(msg) from error
    except openai.APIConnectionError as error:
        client.close()
        cause = f"{type(error.__cause__ or error).__name__}: {error.__cause__ or error}"
        msg = f"No server answers at {url} ({cause}). Start it, or correct the address; texts already stored are kept."
        raise ServerError(msg) from error
    except (openai.AuthenticationError, openai.PermissionDeniedError) as error:
        client.close()
        msg = f"The server at {url} refuses the key; set OPENAI_API_KEY."
        raise ServerError(msg) from error
    except (openai.OpenAIError, ValueError, AttributeError, TypeError):
        # Not every server lists its models; whether it completes prompts shows with the first request.
        return client
    return client


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
