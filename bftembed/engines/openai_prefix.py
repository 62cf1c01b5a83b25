"""How a server is told to go on with the beginning of an answer, and whether it does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from bftembed._optional import require

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

_QUESTION = {"role": "user", "content": "Name a letter of the alphabet."}
#: One token in common tokenizers, and words that no model writes by itself.
_SHORT, _STRANGE = "A", "Quartz zebra 7431:"


class Continuation(NamedTuple):
    """Fields of the body and of the last message that have a server continue it; whether it repeats the beginning."""

    fields: Mapping[str, Any]
    flags: Mapping[str, Any]
    repeats: bool = False

    def messages(self, chat: Sequence[Mapping[str, Any]], prefix: str) -> list[dict[str, Any]]:
        """A chat whose last message is the beginning of the answer."""
        return [*map(dict, chat), {"role": "assistant", "content": prefix, **self.flags}]


#: vLLM and SGLang; DeepSeek and Mistral. llama.cpp always goes on with a last message of the assistant.
_WAYS = (
    Continuation({"continue_final_message": True, "add_generation_prompt": False}, {}),
    Continuation({}, {"prefix": True}),
)


async def find_continuation(
    ask: Callable[[Sequence[Mapping[str, Any]], Mapping[str, Any]], Awaitable[Any]],
) -> Continuation | None:
    """The way in which a server goes on with the beginning of an answer; None if there is none.

    A server that ignores a field answers anew, in silence. What it counts as tokens of the prompt tells: a chat that is
    continued has one token more than the same without the beginning ``"A"`` (a closed message and the header of the
    next one are more), or fewer than where the message is closed.
    """
    openai = require("openai")

    async def asked(messages: Sequence[Mapping[str, Any]], fields: Mapping[str, Any]) -> Any:
        try:
            return await ask(messages, fields)
        except (openai.BadRequestError, openai.UnprocessableEntityError):
            return None

    alone = _prompt_tokens(await asked([_QUESTION], {}))
    closed_answer = await asked(Continuation({}, {}).messages([_QUESTION], _SHORT), {})
    closed = _prompt_tokens(closed_answer)
    for way in _WAYS:
        answer = await asked(way.messages([_QUESTION], _SHORT), way.fields)
        tokens = _prompt_tokens(answer)
        if answer is None or tokens is None:
            continue
        told_apart = closed_answer is None or (closed is not None and tokens < closed)
        if told_apart or (alone is not None and tokens == alone + 1):
            answer = await asked(way.messages([_QUESTION], _STRANGE), way.fields)
            said = str(getattr(answer.choices[0].message, "content", "")) if answer else ""
            return way._replace(repeats=said.lstrip().startswith(_STRANGE))
    return None


def _prompt_tokens(answer: Any) -> int | None:
    number = getattr(getattr(answer, "usage", None), "prompt_tokens", None)
    return number if isinstance(number, int) else None
