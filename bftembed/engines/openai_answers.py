"""How the answer of an OpenAI-compatible server is read, trusting nothing: the SDK does not check what it sends."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from bftembed._openai import ServerFault, fault_in, fault_of, shortened
from bftembed.engines.values import Completion

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bftembed.engines.values import FinishReason

_FILTERED = {"content_filter", "sensitive", "safety"}
_BROKEN = {"error", "abort", "aborted", "network_error", "insufficient_system_resource"}


class NoAnswerError(Exception):
    """What a server sent is no answer: why, whether to ask it again, and whether it may be the cause."""

    def __init__(self, words: str, *, again: bool = False, blamed: bool = False) -> None:
        super().__init__(words)
        self.again, self.blamed = again, blamed


@contextmanager
def reading(answer: Any, url: str, kind: str = "chat completion") -> Iterator[Any]:
    """Read an answer; what is wrong with it becomes a `NoAnswerError`."""
    try:
        if fault := _fault_of_answer(answer):
            raise NoAnswerError(fault.words, again=fault.passing, blamed=fault.passing)
        yield answer
    except (ValueError, AttributeError, LookupError, TypeError) as error:
        raise NoAnswerError(unreadable(error, url, kind, answer), blamed=True) from error


def unreadable(error: Exception, url: str, kind: str = "chat completion", answer: Any = None) -> str:
    """What is said of an answer that cannot be read."""
    said = shortened(getattr(answer, "model_extra", None) or answer or "")
    return (
        f"the answer of {url} is no {kind} ({type(error).__name__}: {error}); is the address right, and does it end in "
        f"/v1? It says: {said or 'nothing'}"
    )


def _fault_of_answer(answer: Any) -> ServerFault | None:
    """Why an answer with status 200 is none: an error in its place, an error of its choice, a filter, a refusal."""
    if fault := fault_in(answer):
        return fault
    choice = answer.choices[0]
    if error := getattr(choice, "error", None):
        return fault_of(error)
    message = getattr(choice, "message", None)
    refusal = getattr(message, "refusal", None)
    if message and refusal and not message.content:
        return ServerFault(f"the model refuses: {shortened(refusal)}", passing=False)
    finish = str(choice.finish_reason).lower()
    if finish in _FILTERED:
        return ServerFault(f"the server's filter stopped the answer ({choice.finish_reason})", passing=False)
    if finish in _BROKEN:
        return ServerFault(f"the server broke off the answer ({choice.finish_reason})", passing=True)
    return None


def completion_of(id: str, answer: Any, *, repeated: str = "") -> Completion:
    """Read a completion of a chat or of raw text; `repeated` is what the server puts before it once more."""
    choice = answer.choices[0]
    message = choice if isinstance(getattr(choice, "text", None), str) else choice.message
    text = _text_of(choice.text if message is choice else message.content).removeprefix(repeated)
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
