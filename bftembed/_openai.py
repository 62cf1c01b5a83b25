"""The client that the OpenAI-compatible engine and encoder share."""

from __future__ import annotations

import os
from typing import Any

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
