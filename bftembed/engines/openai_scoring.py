"""Log-probabilities of options from OpenAI-compatible servers, in the best way that a server has.

vLLM tokenises for us (``/tokenize``) and tells the log-probability of any token (``logprob_token_ids``), so that
options are scored token by token, as in this process, with one request for all of them; an older one echoes prompt and
option. A server that echoes text with its log-probabilities scores raw text. Of any other, the likeliest first tokens
are all that is known.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from bftembed._optional import require
from bftembed.engines.openai_answers import NoAnswerError, reading
from bftembed.engines.openai_logprobs import echoed, first_tokens, from_echoes, from_first_tokens, from_steps, steps_of
from bftembed.engines.scoring import JOINED, Question, beyond, boundary
from bftembed.engines.values import TOO_LONG, Sampling, Scores
from bftembed.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bftembed.engines.openai_chat import Asker
    from bftembed.engines.openai_servers import Outcome, Server
    from bftembed.engines.values import Request, Scored

log = logging.getLogger("bftembed")
#: Most of the likeliest tokens that servers name; some name fewer.
_MOST = (20, 5)
#: Most prompts of one request, and most numbers in its answer.
_MOST_PROMPTS, _MOST_VALUES = 256, 20_000
_ONE = Sampling(max_new_tokens=1)
#: What is answered at addresses that a server does not have; gateways ask for rights there.
_NOT_THERE = {400, 401, 403, 404, 405, 422, 501}


class Scorer:
    """Scores the options of requests at servers.

    Parameters
    ----------
    asker
        Puts requests to servers.
    options
        Options by id of the request.
    end
        Whether the end of the answer is a last token of each option.
    """

    def __init__(self, asker: Asker, options: Mapping[str, tuple[str, ...]], *, end: bool) -> None:
        self._asker, self._options, self._end = asker, options, end
        self._moved = False

    async def score(self, server: Server, request: Request) -> Outcome[Scores]:
        """Scores of one request; whatever goes wrong is an error of that request.

        Raises
        ------
        EngineError
            If the server tells no log-probabilities, or not those that are needed.
        """
        attempt = partial(self._scores, server, request)
        outcome = await self._asker.outcome(server, attempt, partial(unscored, request.id), _ONE)
        # Of a busy server the same words say something else: "took too long", "exceeded your limit".
        if outcome.failed and not outcome.blamed and TOO_LONG.search(outcome.answer.error or ""):
            return outcome._replace(answer=replace(outcome.answer, status="too_long"))
        return outcome

    async def _scores(self, server: Server, request: Request) -> Scores:
        if await server.learn("tokenize", partial(self._tokenizes, server)):
            return await self._by_tokens(server, request)
        if self._end:
            msg = (
                f"The server at {server.url} does not tell which token ends an answer: score without `end`, or use a "
                "vLLM server, or the engine `transformers` or `vllm`."
            )
            raise EngineError(msg)
        if request.raw and (scores := await self._by_echo(server, request)):
            return scores
        return await self._by_first_tokens(server, request)

    async def _by_tokens(self, server: Server, request: Request) -> Scores:
        question, window = await self._encoded(server, request)
        if question.longest > window:
            return beyond(question, window)
        prompt, options = question.prompt, question.options
        if server.known.get("steps", True):
            if scored := await self._by_steps(server, question):
                return Scores(request.id, scored, len(prompt))
            server.known["steps"] = False
        answer = await self._complete(server, [prompt + ids for ids in options], 0, {"logprobs": 1, "echo": True})
        with reading(answer, server.url, "echo with log-probabilities"):
            return Scores(request.id, echoed(answer, prompt, options), len(prompt))

    async def _by_steps(self, server: Server, question: Question) -> tuple[Scored, ...]:
        """Each token of each option after the prompt and the tokens before it; nothing where the server cannot.

        All beginnings go into one request, up to a size: the server computes the prompt once and keeps it, and it works
        with adapters, which an echo does not everywhere.
        """
        nexts = question.steps
        beginnings = list(nexts)
        size = max(1, min(_MOST_PROMPTS, _MOST_VALUES // len(set().union(*nexts.values()))))
        steps: dict[tuple[int, ...], Any] = {}
        for start in range(0, len(beginnings), size):
            part = beginnings[start : start + size]
            wanted = sorted(set().union(*(nexts[ids] for ids in part)))
            prompts = [question.prompt + ids for ids in part]
            answer = await self._complete(server, prompts, 1, {"logprobs": 1, "logprob_token_ids": wanted})
            with reading(answer, server.url, "completion with log-probabilities"):
                steps |= steps_of(answer, part)
        with reading(answer, server.url, "completion with log-probabilities"):
            return from_steps(steps, question.options)

    async def _complete(self, server: Server, prompt: Any, n: int, fields: Mapping[str, Any]) -> Any:
        fields = {"max_tokens": n, "temperature": 0.0, "return_tokens_as_token_ids": True, **fields}
        return await server.client.completions.create(model=self._asker.model, prompt=prompt, extra_body=fields)

    async def _encoded(self, server: Server, request: Request) -> tuple[Question, int]:
        """Tokens of prompt and options, cut as in this process, and the model's window."""
        text, special = request.raw, True
        if not request.raw:
            chat = await self._tokenize(server, messages=request.chat, **self._asker.template_fields)
            text = (await self._post(server, "detokenize", tokens=chat["tokens"]))["prompt"] + request.prefix
            special = False
            whole = await self._tokenize(server, prompt=text.removesuffix(request.prefix), add_special_tokens=False)
            if whole["tokens"] != chat["tokens"]:
                msg = f"the text that {server.url} makes of a chat has other tokens than the chat; give it as raw text"
                raise NoAnswerError(msg)
        texts = [text, *(text + option for option in self._options[request.id])]
        asked = (self._tokenize(server, prompt=each, add_special_tokens=special) for each in texts)
        found = await asyncio.gather(*asked)
        alone, *together = (each["tokens"] for each in found)
        begin = boundary(alone, together)
        if not begin:
            msg = "nothing comes before the options: begin the prompt with other words"
            raise NoAnswerError(msg)
        if begin < len(alone) and not self._moved:
            self._moved = True
            log.warning("An option joins the last token of its prompt (`%s`): %s", request.id, JOINED)
        closing = await self._closing(server, request) if self._end else []
        options = tuple((*ids[begin:], *closing) for ids in together)
        return Question(request.id, tuple(alone[:begin]), options, begin < len(alone)), found[0]["max_model_len"]

    async def _closing(self, server: Server, request: Request) -> list[int]:
        """The token that ends an answer."""
        if request.raw:
            msg = f"The server at {server.url} does not tell which token ends a text: score raw text without `end`."
            raise EngineError(msg)
        return list(await server.learn("end", partial(self._end_of_chat, server)))

    async def _end_of_chat(self, server: Server) -> list[int]:
        chat = [{"role": "user", "content": "probe"}, {"role": "assistant", "content": "answer"}]
        fields = self._asker.template_fields | {"messages": chat, "add_generation_prompt": False}
        opened, closed = await asyncio.gather(
            self._tokenize(server, **fields, continue_final_message=True), self._tokenize(server, **fields)
        )
        n = len(opened["tokens"])
        if closed["tokens"][:n] != opened["tokens"] or len(closed["tokens"]) == n:
            msg = f"The chat template at {server.url} does not end an answer: score without `end`."
            raise EngineError(msg)
        return [closed["tokens"][n]]

    async def _tokenizes(self, server: Server) -> bool:
        """Whether a server has ``/tokenize`` as vLLM has it; that of llama.cpp has other fields and no window."""
        openai = require("openai")
        try:
            found = await self._tokenize(server, prompt="probe")
        except (openai.APIStatusError, NoAnswerError) as error:
            if getattr(error, "status_code", 404) not in _NOT_THERE:
                raise
            return False
        return bool(found["tokens"])

    async def _tokenize(self, server: Server, **fields: Any) -> dict[str, Any]:
        found = await self._post(server, "tokenize", **fields)
        if not isinstance(found.get("tokens"), list) or not isinstance(found.get("max_model_len"), int):
            msg = f"the server at {server.url} does not tokenise"
            raise NoAnswerError(msg)
        return found

    async def _post(self, server: Server, place: str, **fields: Any) -> dict[str, Any]:
        address = f"{server.url.rstrip('/').removesuffix('/v1')}/{place}"
        found = await server.client.post(address, cast_to=object, body={"model": self._asker.model, **fields})
        if not isinstance(found, dict):
            msg = f"the answer of {address} is no mapping"
            raise NoAnswerError(msg, blamed=True)
        return found

    async def _by_echo(self, server: Server, request: Request) -> Scores | None:
        """Scores from the echo of raw text with each option; None where the server does not echo."""
        if not server.known.get("echo", True):
            return None
        options = self._options[request.id]
        fields = {"echo": True, "logprobs": 1}
        texts = [request.raw + option for option in options]
        # One generated token, which is not read: none is not allowed everywhere, and without limit elsewhere.
        asked = (self._asker.send(server, _ONE, fields, prompt=text) for text in texts)
        answers = await asyncio.gather(*asked)
        for answer in answers:
            with reading(answer, server.url, "completion"):
                pass
        with reading(answers[0], server.url, "echo with log-probabilities"):
            found = from_echoes(answers, texts, len(request.raw))
        if found is None:
            server.known["echo"] = False
            return None
        return Scores(request.id, *found)

    async def _by_first_tokens(self, server: Server, request: Request) -> Scores:
        """What the likeliest first tokens of the answer tell of the options."""
        openai = require("openai")
        for most in _MOST[_MOST.index(server.known.get("most", _MOST[0])) :]:
            try:
                answer = await self._first(server, request, most)
            except (openai.BadRequestError, openai.UnprocessableEntityError) as error:
                if most == _MOST[-1] or "logprobs" not in str(error):
                    raise
                continue
            server.known["most"] = most
            with reading(answer, server.url):
                found = first_tokens(answer)
                if not found:
                    msg = (
                        f"The server at {server.url} tells no log-probabilities, so it cannot score options; vLLM and "
                        "llama.cpp do, and the engines `transformers` and `vllm` score without a server."
                    )
                    raise EngineError(msg)
                n = getattr(answer.usage, "prompt_tokens", None)
                scored = from_first_tokens(found, self._options[request.id])
                return Scores(request.id, scored, n if isinstance(n, int) else 0)
        raise AssertionError

    async def _first(self, server: Server, request: Request, most: int) -> Any:
        if request.raw:
            return await self._asker.send(server, _ONE, {"logprobs": most}, prompt=request.raw)
        fields: dict[str, Any] = {"logprobs": True, "top_logprobs": most}
        messages: Sequence[Mapping[str, Any]] = request.chat
        if request.prefix:
            found = await self._asker.continuation(server)
            fields |= found.fields
            messages = found.messages(request.chat, request.prefix)
        return await self._asker.send(server, _ONE, fields, messages=messages)


def unscored(id: str, reason: str) -> Scores:
    """Scores that there are none of."""
    return Scores(id, status="error", error=reason)
