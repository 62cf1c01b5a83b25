"""What goes into an engine and what comes out of it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Literal, cast

from bftembed._html import Shown
from bftembed._unicode import writable
from bftembed.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence


_ROLES = {"system", "user", "assistant"}
FinishReason = Literal["stop", "length", "error"]
#: In what words engines and servers say that a prompt exceeds the window.
TOO_LONG = re.compile(
    r"context (length|size|window)|maximum model length|max_model_len|too long|exceed\w* .*(limit|context|window)|"
    r"max_tokens must be at least 1, got 0",  # vLLM, where the prompt fills the window
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are drawn: all of it, alike in every engine; nothing is taken from a model's own defaults.

    Parameters
    ----------
    max_new_tokens
        Most tokens of one completion.
    temperature
        0 is greedy decoding.
    top_p
        Nucleus; used where `temperature` > 0.
    seed
        Seed of the sampling; part of a profile's key also where decoding is greedy.
    repetition_penalty
        Divides the odds of tokens that stand in the prompt or the answer so far (Keskar et al. 2019); 1 is none.
    stop
        Texts that end an answer; they are not part of it.

    Raises
    ------
    InputError
        If a value makes no sense.

    Examples
    --------
    >>> from bftembed.engines import Sampling
    >>> Sampling(max_new_tokens=256, temperature=0.7, stop=["References"]).stop
    ('References',)
    """

    max_new_tokens: int = 512
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    repetition_penalty: float = 1.0
    stop: Sequence[str] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "stop", (self.stop,) if isinstance(self.stop, str) else tuple(self.stop))
        whole = isinstance(self.max_new_tokens, int) and isinstance(self.seed, int)
        finite = 0 <= self.temperature < float("inf") and 0 < self.repetition_penalty < float("inf")
        texts = all(isinstance(text, str) and text for text in self.stop)
        if not whole or self.max_new_tokens < 1 or not finite or not 0 < self.top_p <= 1 or not texts:
            msg = (
                "max_new_tokens must be a whole number >= 1, temperature >= 0, 0 < top_p <= 1, repetition_penalty > 0, "
                f"and stop texts that are not empty, got {self}."
            )
            raise InputError(msg)


@dataclass(frozen=True, slots=True)
class Request:
    """One prompt. Half surrogate pairs and NUL become U+FFFD.

    Parameters
    ----------
    id
        The caller's.
    user, system
        One turn of the user, and instructions before it, which may be empty.
    messages
        A whole dialogue in place of `user` and `system`: mappings, or pairs, of a role (``"system"`` first, ``"user"``,
        ``"assistant"``) and its content; the last one is the user's.
    raw
        Plain text in place of a chat: no chat template, only the special tokens that the tokenizer puts around a text.
    prefix
        Text that begins the assistant's turn, e.g. ``"Answer:"``. It is no part of the completion.

    Raises
    ------
    InputError
        If more than one kind of prompt is given, a dialogue is none, or a text is none.

    Examples
    --------
    >>> from bftembed.engines import Request
    >>> Request("1", "Is TP53 a kinase? Answer yes or no.", prefix="Answer:").chat
    [{'role': 'user', 'content': 'Is TP53 a kinase? Answer yes or no.'}]
    >>> dialogue = [("user", "Name a kinase."), ("assistant", "EGFR."), ("user", "Another one?")]
    >>> [message["role"] for message in Request("2", messages=dialogue).chat]
    ['user', 'assistant', 'user']
    """

    id: str
    user: str = ""
    system: str = ""
    _: KW_ONLY
    messages: Sequence[Mapping[str, str] | tuple[str, str]] = ()
    raw: str = ""
    prefix: str = ""

    def __post_init__(self) -> None:
        for name in ("user", "system", "raw", "prefix"):
            if not isinstance(text := getattr(self, name), str):
                msg = f"`{name}` of the request `{self.id}` is a text, got {text!r}."
                raise InputError(msg)
            object.__setattr__(self, name, writable(text))
        messages = self.messages if isinstance(self.messages, Iterable) else [self.messages]
        object.__setattr__(self, "messages", tuple(_turn(message) for message in messages))
        given = [bool(self.user or self.system), bool(self.messages), bool(self.raw)]
        if sum(given) > 1 or (self.raw and self.prefix):
            msg = (
                f"The request `{self.id}` has several prompts: give `user` with `system`, or `messages`, or `raw`; a "
                "`prefix` of raw text is its end."
            )
            raise InputError(msg)
        roles = [role for role, _ in self._turns]
        if roles and (roles[-1] != "user" or "system" in roles[1:] or not set(roles) <= _ROLES):
            msg = (
                f"The dialogue of the request `{self.id}` has the roles {roles}: `system` may stand first, and the "
                "last is `user`; what begins the answer is `prefix`."
            )
            raise InputError(msg)

    @property
    def _turns(self) -> tuple[tuple[str, str], ...]:
        return cast("tuple[tuple[str, str], ...]", self.messages)

    @property
    def chat(self) -> list[dict[str, str]]:
        """The prompt as a chat; empty where it is raw text."""
        if self.raw:
            return []
        alone = [("system", self.system)] if self.system else []
        turns = self._turns or (*alone, ("user", self.user))
        return [{"role": role, "content": content} for role, content in turns]

    @property
    def content(self) -> tuple[object, ...]:
        """All of it but the id, for keys; of a prompt of one turn, system and user alone."""
        rest = (self.messages, self.raw, self.prefix)
        return (self.system, self.user, *rest) if any(rest) else (self.system, self.user)


def _turn(message: Mapping[str, str] | tuple[str, str]) -> tuple[str, str]:
    try:
        role, content = (message["role"], message["content"]) if isinstance(message, Mapping) else message
        return writable(role), writable(content)
    except (KeyError, TypeError, ValueError) as error:
        msg = f"A message has a role and a content, got {message!r}."
        raise InputError(msg) from error


@dataclass(frozen=True, slots=True)
class Completion(Shown):
    """What became of one request.

    ``finish_reason`` is ``"stop"`` (the model ended), ``"length"`` (cut at ``max_new_tokens``) or ``"error"``
    (``text`` is empty and ``error`` says why).

    Examples
    --------
    >>> from bftembed.engines import Completion
    >>> Completion("1", "TP53 guards the genome.", "stop").finish_reason
    'stop'
    """

    id: str
    text: str
    finish_reason: FinishReason
    n_prompt_tokens: int = 0
    n_tokens: int = 0
    error: str | None = None

    @property
    def is_too_long(self) -> bool:
        """Whether prompt and answer exceed the model's window, by the words of its error."""
        return self.finish_reason == "error" and TOO_LONG.search(self.error or "") is not None

    @property
    def is_failed(self) -> bool:
        """Whether to ask again is worth it: an error, but not that the prompt is too long."""
        return self.finish_reason == "error" and not self.is_too_long


@dataclass(frozen=True, slots=True)
class Scored:
    """What a model makes of one option as the answer.

    ``logprob`` is the natural log-probability of all of its ``n_tokens`` tokens, ``is_greedy`` whether each of them is
    the model's first choice (what greedy decoding would write). ``censored`` options are less likely than ``logprob``:
    a server names its likeliest tokens only.

    Examples
    --------
    >>> from bftembed.engines import Scored
    >>> yes, no = Scored(-0.3, 1, is_greedy=True), Scored(-1.4, 1, is_greedy=False)
    >>> max([yes, no], key=lambda option: option.logprob / option.n_tokens).is_greedy
    True
    """

    logprob: float
    n_tokens: int
    is_greedy: bool
    censored: bool = False


@dataclass(frozen=True, slots=True)
class Scores(Shown):
    """What became of one request whose options were to be scored.

    ``status`` is ``"ok"`` (``options`` has a `Scored` for each, in their order), ``"too_long"`` (prompt and longest
    option exceed the model's window; nothing is ever cut) or ``"error"`` (``error`` says why).

    Examples
    --------
    >>> from bftembed.engines import Scored, Scores
    >>> scores = Scores("1", (Scored(-0.3, 1, is_greedy=True), Scored(-1.4, 1, is_greedy=False)))
    >>> scores.status, scores.is_failed
    ('ok', False)
    """

    id: str
    options: tuple[Scored, ...] = ()
    n_prompt_tokens: int = 0
    status: Literal["ok", "too_long", "error"] = "ok"
    error: str | None = None

    @property
    def is_failed(self) -> bool:
        """Whether to ask again is worth it: an error, but not that the prompt is too long."""
        return self.status == "error"
