"""Text from any server that speaks the OpenAI chat protocol."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Mapping
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Any

from bftembed._openai import ServerFault, fault_in, fault_of, open_client, said_by, server_address, shortened
from bftembed._optional import require
from bftembed.engines.base import Engine, check_positive
from bftembed.engines.values import Completion
from bftembed.errors import EngineError, InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from bftembed.engines.values import FinishReason, Request, Sampling

log = logging.getLogger("bftembed")
#: Seconds before the second attempt, doubled before each further one, and at most; as the SDK pauses after a 429.
_PAUSE, _LONGEST_PAUSE = 0.5, 8.0
#: What servers say of a field that they do not take.
_REFUSAL = re.compile(
    r"unsupported|not support|unrecogni[sz]ed|unknown|unexpected|not permitted|not allowed|forbidden|cannot find|"
    r"invalid|must be|should be|greater than|does not exist",
    re.IGNORECASE,
)
_FILTERED = {"content_filter", "sensitive", "safety"}
_BROKEN = {"error", "abort", "aborted", "network_error", "insufficient_system_resource"}


class OpenAIEngine(Engine):
    """A model behind ``/v1/chat/completions``: vLLM, SGLang, llama.cpp, LLaMA-Factory, ``transformers serve``, ...

    All requests are submitted at once and at most `concurrency` are in flight, on an event loop in a thread of its own,
    so that it works inside a notebook. Connection errors, time-outs, 429, 5xx and errors inside an answer with status
    200 are retried with growing pauses. A request that keeps failing becomes a completion with its error; after
    `give_up_after` failures in a row the run ends with an error, since a dead server would otherwise cost every request
    its time-out.

    Every field of `Sampling` is sent, those at their neutral values too, since servers fill what is missing from the
    model's own defaults. Where a server refuses one by name, it is left out if that changes nothing (a neutral value;
    ``max_completion_tokens`` for ``max_tokens``) or only reproducibility (``seed``, with a warning).

    Parameters
    ----------
    model
        ``MODEL@http://host:port/v1``, or the model's name beside `base_url`.
    base_url
        Address of the server; by default what follows ``@``, else ``OPENAI_BASE_URL``.
    api_key
        By default ``OPENAI_API_KEY``; local servers need none.
    extra_body
        Further fields of every request, e.g. ``{"chat_template_kwargs": {"enable_thinking": False}}``; part of a text's
        key. None leaves a field out: ``{"temperature": None}`` for a model that takes its default alone.
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
        extra_body: Mapping[str, Any] | None = None,
        concurrency: int = 32,
        timeout: float = 600.0,
        max_retries: int = 4,
        give_up_after: int = 64,
    ) -> None:
        check_positive(concurrency=concurrency, give_up_after=give_up_after)
        self._model, self._url = server_address(model, base_url)
        self._client_options: dict[str, Any] = {"api_key": api_key, "timeout": timeout, "max_retries": max_retries}
        if extra_body is not None and not isinstance(extra_body, Mapping):
            msg = f"extra_body is a mapping of fields to values, got {extra_body!r}."
            raise InputError(msg)
        self._extra_body = dict(extra_body or {})
        self._concurrency = concurrency
        self._give_up_after = give_up_after
        #: Fields that the server refuses, and that may be left out.
        self._refused: set[str] = set()

    def describe(self) -> dict[str, str]:
        """Model, address and extra fields. The protocol tells neither weights nor versions: let the name say them."""
        extra = {"extra_body": json.dumps(self._extra_body, sort_keys=True)} if self._extra_body else {}
        return {"engine": self.name, "model": self._model, "server": self._url, **extra}

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
        answer: Any = None
        try:
            for attempt in range(self._client_options["max_retries"] + 1):
                if attempt:
                    await asyncio.sleep(min(_PAUSE * 2.0 ** (attempt - 1), _LONGEST_PAUSE))
                answer = await self._ask(client, request, sampling)
                fault = fault_in(answer) or _fault_of_choice(answer)
                if fault is None:
                    return _completion(request.id, answer)
                if not fault.passing:
                    break
            return Completion(request.id, "", "error", error=fault.words if fault else None)
        except openai.OpenAIError as error:
            return Completion(request.id, "", "error", error=self._explained(error, sampling))
        except (ValueError, AttributeError, LookupError, TypeError) as error:
            said = shortened(getattr(answer, "model_extra", None) or answer or "")
            reason = (
                f"the answer of {self._url} is no chat completion ({type(error).__name__}: {error}); "
                f"is the address right, and does it end in /v1? It says: {said or 'nothing'}"
            )
            return Completion(request.id, "", "error", error=reason)

    async def _ask(self, client: Any, request: Request, sampling: Sampling) -> Any:
        """Ask, and ask again without each field that the server refuses and that may be left out."""
        openai = require("openai")
        refused = set(self._refused)
        while True:
            body = self._body(sampling, refused)
            try:
                answer = await client.chat.completions.create(model=self._model, messages=request.chat, extra_body=body)
            except (openai.BadRequestError, openai.UnprocessableEntityError) as error:
                name = _refused_field(error, body)
                if name is None or name in self._extra_body or name not in {*_neutral(sampling), "seed", "max_tokens"}:
                    raise
                refused.add(name)
                continue
            for name in sorted(refused - self._refused):
                self._refused.add(name)
                if name == "seed" and sampling.temperature > 0:
                    log.warning("The server at %s takes no `seed`: sampled texts cannot be reproduced.", self._url)
            return answer

    def _body(self, sampling: Sampling, refused: set[str]) -> dict[str, Any]:
        limit = "max_completion_tokens" if "max_tokens" in refused else "max_tokens"
        values = {
            limit: sampling.max_new_tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "seed": sampling.seed,
            "repetition_penalty": sampling.repetition_penalty,
            "stop": list(sampling.stop) or None,
        }
        if sampling.temperature > 0:
            values |= {"top_k": -1, "min_p": 0.0}
        values |= self._extra_body
        return {name: value for name, value in values.items() if value is not None and name not in refused}

    def _explained(self, error: Exception, sampling: Sampling) -> str:
        """The server's words, and how to leave out what it refuses."""
        said = said_by(error)
        name = _refused_field(error, self._body(sampling, self._refused))
        if name is None:
            return said
        option = f"--engine-option extra_body='{json.dumps({name: None})}'"
        return (
            f"{said.rstrip('.')}. Leave it out with `extra_body={{'{name}': None}}`; on the command line, `{option}`."
        )


def _neutral(sampling: Sampling) -> set[str]:
    """Fields whose values ask for nothing."""
    neutral = {"top_k", "min_p"}
    if sampling.top_p == 1 or sampling.temperature == 0:
        neutral.add("top_p")
    if sampling.repetition_penalty == 1:
        neutral.add("repetition_penalty")
    return neutral


def _refused_field(error: Exception, body: Mapping[str, Any]) -> str | None:
    """The field of a request that a server names as one that it does not take."""
    words = " ".join(str(said) for said in (said_by(error), getattr(error, "code", ""), getattr(error, "param", "")))
    if getattr(error, "status_code", None) not in {400, 422} or not _REFUSAL.search(words):
        return None
    named = [name for name in body if re.search(rf"(?<![\w-]){name}(?![\w-])", words)]
    if "max_tokens" in named and "max_completion_tokens" not in words:
        named.remove("max_tokens")  # a limit of its value
    return getattr(error, "param", None) if getattr(error, "param", None) in named else next(iter(named), None)


def _fault_of_choice(answer: Any) -> ServerFault | None:
    """Why a choice is no answer: an error of its own, a filter, a refusal."""
    choice = answer.choices[0]
    if error := getattr(choice, "error", None):
        return fault_of(error)
    refusal = getattr(choice.message, "refusal", None)
    if refusal and not choice.message.content:
        return ServerFault(f"the model refuses: {shortened(refusal)}", passing=False)
    finish = str(choice.finish_reason).lower()
    if finish in _FILTERED:
        return ServerFault(f"the server's filter stopped the answer ({choice.finish_reason})", passing=False)
    if finish in _BROKEN:
        return ServerFault(f"the server broke off the answer ({choice.finish_reason})", passing=True)
    return None


def _completion(id: str, answer: Any) -> Completion:
    """Read an answer, trusting nothing: the SDK does not check what a server sends."""
    choice = answer.choices[0]
    message = choice.message
    text = _text_of(message.content)
    if not text.strip():
        # Reasoning that the server took apart, and no answer after it: cleaned as the same in one piece.
        thought = getattr(message, "reasoning_content", None) or getattr(message, "reasoning", None)
        text = f"<think>\n{thought}" if isinstance(thought, str) and thought.strip() else text
    finish: FinishReason = (
        "length" if str(choice.finish_reason).lower() in {"length", "model_length", "max_tokens"} else "stop"
    )
    n_prompt, n_new = (getattr(answer.usage, name, None) for name in ("prompt_tokens", "completion_tokens"))
    return Completion(
        id,
        text,
        finish,
        n_prompt_tokens=n_prompt if isinstance(n_prompt, int) else 0,
        n_tokens=n_new if isinstance(n_new, int) else 0,
    )


def _text_of(content: Any) -> str:
    """Text of a message: a string, nothing, or a list of parts, of which those that hold text count."""
    if content is None or isinstance(content, str):
        return content or ""
    if isinstance(content, list) and all(isinstance(part, dict) and "type" in part for part in content):
        return "".join(part["text"] for part in content if part["type"] in {"text", "output_text"})
    msg = f"the content is a {type(content).__name__}"
    raise TypeError(msg)


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
