"""Text from any server that speaks the OpenAI chat protocol."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

from bftembed._near import check_number
from bftembed._openai import key_or_default, server_addresses
from bftembed._optional import require
from bftembed.engines.base import Engine, check_positive
from bftembed.engines.openai_chat import Asker, failed
from bftembed.engines.openai_scoring import Scorer, unscored
from bftembed.engines.openai_servers import Server, Shared, answering, in_background
from bftembed.engines.values import Scores
from bftembed.errors import EngineError, InputError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from bftembed.engines.openai_servers import Answer, Outcome
    from bftembed.engines.values import Completion, Request, Sampling


class OpenAIEngine(Engine):
    """A model behind ``/v1/chat/completions``: vLLM, SGLang, llama.cpp, LLaMA-Factory, ``transformers serve``, ...

    All requests are submitted at once and at most `concurrency` are in flight at each server, on an event loop in a
    thread of its own, so that it works inside a notebook. Connection errors, time-outs, 429, 5xx and errors inside an
    answer with status 200 are retried with growing pauses. A request that keeps failing becomes a completion with its
    error; after `give_up_after` failures in a row the run ends with an error, since a dead server would otherwise cost
    every request its time-out.

    Several servers of the same model share the requests, each as fast as it can. One that does not answer at the start,
    or fails three times in a row later, is named in a warning and left out for the rest of the run; what it was asked
    is asked elsewhere.

    Every field of `Sampling` is sent, those at their neutral values too, since servers fill what is missing from the
    model's own defaults. Where a server refuses one by name, it is left out if that changes nothing (a neutral value;
    ``max_completion_tokens`` for ``max_tokens``) or only reproducibility (``seed``, with a warning).

    Parameters
    ----------
    model
        ``MODEL@http://host:port/v1``, several servers as ``MODEL@URL1,URL2``, or the model's name beside `base_url`.
    base_url
        Address of the server, or several with commas; by default what follows ``@``, else ``OPENAI_BASE_URL``.
    api_key
        By default ``OPENAI_API_KEY``; local servers need none.
    extra_body
        Further fields of every request, e.g. ``{"chat_template_kwargs": {"enable_thinking": False}}``; part of a text's
        key. None leaves a field out: ``{"temperature": None}`` for a model that takes its default alone.
    server
        Name that stands in the key of texts, by default the first address. Texts that any one of the addresses made are
        found in either case; with a name they are found after the addresses have changed, too.
    concurrency
        Most requests in flight at each server.
    timeout
        Seconds for one attempt; where there are several servers, for all attempts at one of them.
    max_retries
        Attempts after the first.
    give_up_after
        Failures in a row that end the run.

    Examples
    --------
    >>> from bftembed.engines import get_engine
    >>> engine = get_engine("openai:Qwen/Qwen3-32B@http://localhost:8000/v1", concurrency=8)  # not asked yet
    >>> engine.describe()["model"]
    'Qwen/Qwen3-32B'
    """

    name = "openai"

    def __init__(
        self,
        model: str,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        extra_body: Mapping[str, Any] | None = None,
        server: str | None = None,
        concurrency: int = 32,
        timeout: float = 600.0,
        max_retries: int = 4,
        give_up_after: int = 64,
    ) -> None:
        check_positive(concurrency=concurrency, give_up_after=give_up_after)
        check_number("timeout", timeout, least=0, above=True)
        check_number("max_retries", max_retries, least=0, whole=True)
        self._model, self._urls = server_addresses(model, base_url)
        self._server = server or self._urls[0]
        self._api_key, self._timeout, self._max_retries = api_key, timeout, max_retries
        if extra_body is not None and not isinstance(extra_body, Mapping):
            msg = f"extra_body is a mapping of fields to values, got {extra_body!r}."
            raise InputError(msg)
        self._extra_body = dict(extra_body or {})
        self._asker = Asker(self._model, self._extra_body)
        self._concurrency = concurrency
        self._give_up_after = give_up_after

    def describe(self) -> dict[str, str]:
        """Model, address and extra fields. The protocol tells neither weights nor versions: let the name say them."""
        extra = {"extra_body": json.dumps(self._extra_body, sort_keys=True)} if self._extra_body else {}
        return {"engine": self.name, "model": self._model, "server": self._server, **extra}

    def provenance(self) -> dict[str, str]:
        """The addresses, where the key does not say them."""
        return {} if self._urls == [self._server] else {"servers": ", ".join(self._urls)}

    def in_current_terms(self, described: dict[str, str]) -> dict[str, str]:
        """A description that names another one of the servers: it has the same model."""
        same = described.get("engine") == self.name and described.get("server") in self._urls
        return {**described, "server": self._server} if same else described

    def _generate(self, requests: list[Request], sampling: Sampling) -> Iterator[list[Completion]]:
        yield from self._shared(requests, partial(self._asker.complete, sampling=sampling), failed)

    def _score(self, requests: list[Request], options: list[tuple[str, ...]], *, end: bool) -> Iterator[list[Scores]]:
        given = {request.id: each for request, each in zip(requests, options, strict=True)}
        yield from self._shared(requests, Scorer(self._asker, given, end=end).score, unscored)

    def _shared(
        self,
        requests: list[Request],
        ask: Callable[[Server, Request], Awaitable[Outcome[Answer]]],
        fail: Callable[[str, str], Answer],
    ) -> Iterator[list[Answer]]:
        """Answers of all servers that answer, one by one, until too many in a row have failed."""
        if not requests:
            return
        openai = require("openai")
        options = {"timeout": self._timeout, "max_retries": self._max_retries}

        async def work(put: Callable[[Answer], None]) -> None:
            async with AsyncExitStack() as stack:
                servers = []
                for url in self._urls:
                    client = openai.AsyncOpenAI(base_url=url, api_key=key_or_default(self._api_key), **options)
                    servers.append(Server(url, await stack.enter_async_context(client)))
                there = await answering(servers, self._model, self._timeout)
                await Shared(there, ask, fail, put, concurrency=self._concurrency, timeout=self._timeout).run(requests)

        failed_in_a_row = 0
        for done in in_background(work):
            yield [done]
            became = done.status if isinstance(done, Scores) else done.finish_reason
            failed_in_a_row = failed_in_a_row + 1 if became == "error" else 0
            if failed_in_a_row >= self._give_up_after:
                msg = (
                    f"{failed_in_a_row} requests in a row failed at {', '.join(self._urls)}, the last with: "
                    f"{done.error}. What was finished is stored; run again when the server works."
                )
                raise EngineError(msg)
