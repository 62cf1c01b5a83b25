"""Text from any server that speaks the OpenAI chat protocol."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TYPE_CHECKING, Any

from bftembed._openai import open_client, server_address
from bftembed._optional import require
from bftembed.engines.base import Capabilities, Completion, Engine
from bftembed.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bftembed.engines.base import FinishReason, Request, Sampling


class OpenAIEngine(Engine):
    """A model behind ``/v1/chat/completions``: vLLM, SGLang, llama.cpp, LLaMA-Factory, ``transformers serve``, ...

    All requests are submitted at once and at most `concurrency` are in flight; threads rather than an event loop, so
    that it works inside a notebook. The SDK retries connection errors, time-outs, 429 and 5xx with growing pauses. A
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
        self._model, self._url = server_address(model, base_url)
        self._client_options: dict[str, Any] = {"api_key": api_key, "timeout": timeout, "max_retries": max_retries}
        self._concurrency = concurrency
        self._give_up_after = give_up_after

    @property
    def capabilities(self) -> Capabilities:
        """What servers of this protocol usually can do."""
        return Capabilities(system_role=True, json_schema=True, tools=True)

    def describe(self) -> dict[str, str]:
        """Model and address. The protocol tells neither weights nor versions: name a model so that it says which."""
        return {"engine": self.name, "model": self._model, "server": self._url}

    def _generate(self, requests: list[Request], sampling: Sampling) -> Iterator[list[Completion]]:
        if not requests:
            return
        client = open_client(self._url, **self._client_options)
        pool = ThreadPoolExecutor(self._concurrency, thread_name_prefix="bftembed-openai")
        failed_in_a_row = 0
        try:
            futures = [pool.submit(self._complete, client, request, sampling) for request in requests]
            for future in as_completed(futures):
                done = future.result()
                yield [done]
                failed_in_a_row = failed_in_a_row + 1 if done.finish_reason == "error" else 0
                if failed_in_a_row >= self._give_up_after:
                    msg = (
                        f"{failed_in_a_row} requests in a row failed at {self._url}, the last with: {done.error}. "
                        "What was finished is stored; run again when the server works."
                    )
                    raise EngineError(msg)
        finally:
            client.close()  # ends what is in flight, so that Ctrl-C does not wait for the time-out
            pool.shutdown(wait=True, cancel_futures=True)

    def _complete(self, client: Any, request: Request, sampling: Sampling) -> Completion:
        openai = require("openai", extra="openai")
        messages = [{"role": "system", "content": request.system}] if request.system else []
        try:
            answer = client.chat.completions.create(
                model=self._model,
                messages=[*messages, {"role": "user", "content": request.user}],
                max_tokens=sampling.max_new_tokens,
                temperature=sampling.temperature,
                top_p=sampling.top_p,
                seed=sampling.seed,
            )
            choice = answer.choices[0]
            text = choice.message.content or ""
            finish: FinishReason = "length" if choice.finish_reason == "length" else "stop"
        except openai.OpenAIError as error:
            return Completion(request.id, "", "error", error=f"{type(error).__name__}: {error}")
        except (ValueError, AttributeError, LookupError, TypeError) as error:
            reason = f"the server's answer is no chat completion ({type(error).__name__}: {error})"
            return Completion(request.id, "", "error", error=reason)
        except RuntimeError as error:  # the client was closed under a request in flight
            return Completion(request.id, "", "error", error=str(error))
        usage = answer.usage
        counts = (usage.prompt_tokens or 0, usage.completion_tokens or 0) if usage else (0, 0)
        return Completion(request.id, text, finish, *counts)
