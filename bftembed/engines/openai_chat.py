"""How a request is put to an OpenAI-compatible server."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections import defaultdict
from functools import partial
from typing import TYPE_CHECKING, Any

from bftembed._openai import said_by
from bftembed._optional import require
from bftembed.engines.base import seed_of_server
from bftembed.engines.openai_answers import NoAnswerError, completion_of, reading, unreadable
from bftembed.engines.openai_prefix import Continuation, find_continuation
from bftembed.engines.openai_servers import Outcome
from bftembed.engines.values import Completion, Sampling

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from bftembed.engines.openai_servers import Answer, Server
    from bftembed.engines.values import Request

log = logging.getLogger("bftembed")
#: Seconds before the second attempt, doubled before each further one, and at most; as the SDK pauses after a 429.
_PAUSE, _LONGEST_PAUSE = 0.5, 8.0
#: What servers say of a field that they do not take.
_REFUSAL = re.compile(
    r"unsupported|not support|unrecogni[sz]ed|unknown|unexpected|not permitted|not allowed|forbidden|cannot find|"
    r"invalid|must be|should be|greater than|does not exist",
    re.IGNORECASE,
)
#: Statuses that say something of the request, not of the server.
_OF_THE_REQUEST = {400, 413, 422}


class Asker:
    """Puts requests to servers: a chat to ``/chat/completions``, raw text to ``/completions``.

    Every field of `Sampling` is sent; one that a server refuses by name is left out where that changes nothing.
    """

    def __init__(self, model: str, extra_body: Mapping[str, Any]) -> None:
        self.model = model
        self._extra_body = dict(extra_body)
        #: Fields that a server refuses, and that may be left out, by address.
        self._refused: defaultdict[str, set[str]] = defaultdict(set)

    @property
    def template_fields(self) -> dict[str, Any]:
        """Further fields of requests that decide what a chat template makes of a chat."""
        names = ("chat_template", "chat_template_kwargs")
        return {name: self._extra_body[name] for name in names if self._extra_body.get(name) is not None}

    async def complete(self, server: Server, request: Request, sampling: Sampling) -> Outcome[Completion]:
        """What a server answers to a request; whatever goes wrong is an error of that request."""

        async def attempt() -> Completion:
            answer, repeated = await self._ask(server, request, sampling)
            with reading(answer, server.url):
                return completion_of(request.id, answer, repeated=repeated)

        return await self.outcome(server, attempt, partial(failed, request.id), sampling)

    async def outcome(
        self,
        server: Server,
        attempt: Callable[[], Awaitable[Answer]],
        fail: Callable[[str], Answer],
        sampling: Sampling,
    ) -> Outcome[Answer]:
        """What becomes of attempts at one server; errors inside an answer with status 200 are retried as a 429 is."""
        openai = require("openai")
        for n in range(server.client.max_retries + 1):
            if n:
                await asyncio.sleep(min(_PAUSE * 2.0 ** (n - 1), _LONGEST_PAUSE))
            try:
                return Outcome(await attempt())
            except NoAnswerError as error:
                words, blamed = str(error), error.blamed
                if not error.again:
                    break
            except openai.OpenAIError as error:
                words = self._explained(server, error, sampling)
                blamed = getattr(error, "status_code", None) not in _OF_THE_REQUEST
                break
            except (ValueError, AttributeError, LookupError, TypeError) as error:
                words, blamed = unreadable(error, server.url), True
                break
        return Outcome(fail(words), failed=True, blamed=blamed)

    async def _ask(self, server: Server, request: Request, sampling: Sampling) -> tuple[Any, str]:
        """An answer, and what of the request's prefix stands before it once more."""
        if request.raw:
            return await self.send(server, sampling, prompt=request.raw), ""
        if not request.prefix:
            return await self.send(server, sampling, messages=request.chat), ""
        found = await self.continuation(server)
        messages = found.messages(request.chat, request.prefix)
        answer = await self.send(server, sampling, found.fields, messages=messages)
        return answer, request.prefix if found.repeats else ""

    async def continuation(self, server: Server) -> Continuation:
        """How a server is told to go on with the beginning of an answer.

        Raises
        ------
        NoAnswerError
            If it would begin a new answer instead.
        """

        async def ask(messages: Sequence[Mapping[str, Any]], fields: Mapping[str, Any]) -> Any:
            return await self.send(server, Sampling(max_new_tokens=1), fields, messages=messages)

        found: Continuation | None = await server.learn("continuation", lambda: find_continuation(ask))
        if found is None:
            msg = (
                f"The server at {server.url} does not go on with a `prefix`, it would begin a new answer; vLLM, SGLang "
                "and llama.cpp can. Put the words into the prompt instead."
            )
            raise NoAnswerError(msg)
        return found

    async def send(
        self, server: Server, sampling: Sampling, fields: Mapping[str, Any] | None = None, **prompt: Any
    ) -> Any:
        """Ask, and ask again without each field that the server refuses and that may be left out."""
        openai = require("openai")
        known = self._refused[server.url]
        refused = set(known)
        places = server.client.completions if "prompt" in prompt else server.client.chat.completions
        while True:
            body = self._body(sampling, refused)
            try:
                answer = await places.create(model=self.model, extra_body={**body, **(fields or {})}, **prompt)
            except (openai.BadRequestError, openai.UnprocessableEntityError) as error:
                name = _refused_field(error, body)
                if name is None or name in self._extra_body or name not in {*_neutral(sampling), "seed", "max_tokens"}:
                    raise
                refused.add(name)
                continue
            for name in sorted(refused - known):
                known.add(name)
                if name == "seed" and sampling.temperature > 0:
                    log.warning("The server at %s takes no `seed`: sampled texts cannot be reproduced.", server.url)
            return answer

    def _body(self, sampling: Sampling, refused: set[str]) -> dict[str, Any]:
        limit = "max_completion_tokens" if "max_tokens" in refused else "max_tokens"
        values = {
            limit: sampling.max_new_tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "seed": seed_of_server(sampling.seed),
            "repetition_penalty": sampling.repetition_penalty,
            "stop": list(sampling.stop) or None,
        }
        if sampling.temperature > 0:
            values |= {"top_k": -1, "min_p": 0.0}
        values |= self._extra_body
        return {name: value for name, value in values.items() if value is not None and name not in refused}

    def _explained(self, server: Server, error: Exception, sampling: Sampling) -> str:
        """The server's words, and how to leave out what it refuses."""
        said = said_by(error)
        name = _refused_field(error, self._body(sampling, self._refused[server.url]))
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


def failed(id: str, reason: str) -> Completion:
    """A completion that is an error."""
    return Completion(id, "", "error", error=reason)
