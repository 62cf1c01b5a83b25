"""Text from any server that speaks the OpenAI chat protocol."""

from __future__ import annotations

import asyncio
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Any

from bftembed._openai import open_client, server_address
from bftembed._optional import require
from bftembed.engines.base import Completion, Engine, check_positive
from bftembed.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from bftembed.engines.base import FinishReason, Request, Sampling


class OpenAIEngine(Engine):
    """A model behind ``/v1/chat/completions``: vLLM, SGLang, llama.cpp, LLaMA-Factory, ``transformers serve``, ...

    All requests are submitted at once and at most `concurrency` are in flight, on an event loop in a thread of its own,
    so that it works inside a notebook. The SDK retries connection errors, time-outs, 429 and 5xx with growing pauses. A
    request that keeps failing becomes a completion with its error; after `give_up_after` failures in a row the run
    ends with an error, since a dead server would otherwise cost every request its time-out.

    Parameters
    ----------
    model
        ``MODEL@http://host:port/v1``, or the model's name beside `base_url`.
    base_url
        Address of the server; by default what follows ``@``, else ``OPENAI_BASE_URL``.
    api_key
        By default ``OPENAI_API_KEY``; local servers need none.
    concurrency
        Most requests in flight.
    timeout
        Seconds for one attempt.
    max_retries
        Attempts after the first.
    give_up_after
        Failures in a row that end the run.
    """

    name = "openai"

    def __init__(
        self,
        model: str,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        concurrency: int = 32,
        timeout: float = 600.0,
        max_retries: int = 4,
        give_up_after: int = 64,
    ) -> None:
        check_positive(concurrency=concurrency, give_up_after=give_up_after)
        self._model, self._url = server_address(model, base_url)
        self._client_options: dict[str, Any] = {"api_key": api_key, "timeout": timeout, "max_retries": max_retries}
        self._concurrency = concurrency
        self._give_up_after = give_up_after

    def describe(self) -> dict[str, str]:
        """Model and address. The protocol tells neither weights nor versions: name a model so that it says which."""
        return {"engine": self.name, "model": self._model, "server": self._url}

    def _generate(self, requests: list[Request], sampling: Sampling) -> Iterator[list[Completion]]:
        if not requests:
            return
        failed_in_a_row = 0
        with open_client(self._url, **self._client_options) as client:
            for done in _in_background(lambda put: self._complete_all(client, requests, sampling, put)):
                yield [done]
                failed_in_a_row = failed_in_a_row + 1 if done.finish_reason == "error" else 0
                if failed_in_a_row >= self._give_up_after:
                    msg = (
                        f"{failed_in_a_row} requests in a row failed at {self._url}, the last with: {done.error}. "
                        "What was finished is stored; run again when the server works."
                    )
                    raise EngineError(msg)

    async def _complete_all(
        self, client: Any, requests: list[Request], sampling: Sampling, put: Callable[[Completion], None]
    ) -> None:
        openai = require("openai")
        options = {**self._client_options, "api_key": client.api_key}
        gate = asyncio.Semaphore(self._concurrency)
        async with openai.AsyncOpenAI(base_url=self._url, **options) as asynchronous:

            async def answer(request: Request) -> None:
                async with gate:
                    put(await self._complete(asynchronous, request, sampling))

            await asyncio.gather(*map(answer, requests))

    async def _complete(self, client: Any, request: Request, sampling: Sampling) -> Completion:
        openai = require("openai")
        try:
            answer = await client.chat.completions.create(
                model=self._model,
                messages=request.messages,
                max_tokens=sampling.max_new_tokens,
                temperature=sampling.temperature,
                top_p=sampling.top_p,
                seed=sampling.seed,
            )
            return _completion(request.id, answer)
        except openai.OpenAIError as error:
            return Completion(request.id, "", "error", error=f"{type(error).__name__}: {error}")
        except (ValueError, AttributeError, LookupError, TypeError) as error:
            reason = (
                f"the answer of {self._url} is no chat completion ({type(error).__name__}: {error}); "
                "is the address right, and does it end in /v1?"
            )
            return Completion(request.id, "", "error", error=reason)


def _completion(id: str, answer: Any) -> Completion:
    """Read an answer, trusting nothing: the SDK does not check what a server sends."""
    choice = answer.choices[0]
    text = choice.message.content
    if text is None:
        text = ""
    if not isinstance(text, str):
        msg = f"the content is a {type(text).__name__}"
        raise TypeError(msg)
    finish: FinishReason = "length" if choice.finish_reason == "length" else "stop"
    n_prompt, n_new = (getattr(answer.usage, name, None) for name in ("prompt_tokens", "completion_tokens"))
    return Completion(
        id,
        text,
        finish,
        n_prompt_tokens=n_prompt if isinstance(n_prompt, int) else 0,
        n_tokens=n_new if isinstance(n_new, int) else 0,
    )


def _in_background(work: Callable[[Callable[[Completion], None]], Coroutine[Any, Any, None]]) -> Iterator[Completion]:
    """Give what `work` hands to its argument, while it runs on an event loop in a thread of its own.

    Closing the iterator cancels what is in flight at once, so that Ctrl-C does not wait for a server's time-out.
    """
    answers: SimpleQueue[Completion | None] = SimpleQueue()
    loop = asyncio.new_event_loop()
    task = loop.create_task(work(answers.put))
    task.add_done_callback(lambda _: answers.put(None))
    thread = Thread(target=loop.run_until_complete, args=[asyncio.wait([task])], name="bftembed-openai", daemon=True)
    thread.start()
    try:
        while (done := answers.get()) is not None:
            yield done
        task.result()
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join()
        loop.close()
