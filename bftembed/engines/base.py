"""The contract of all engines: prompts in, completions out."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from bftembed._unicode import writable
from bftembed.errors import EngineError, InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


FinishReason = Literal["stop", "length", "error"]


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
    """One prompt. `id` is the caller's; `system` may be empty. Half surrogate pairs and NUL become U+FFFD."""

    id: str
    user: str
    system: str = ""

    def __post_init__(self) -> None:
        for name in ("user", "system"):
            object.__setattr__(self, name, writable(getattr(self, name)))

    @property
    def messages(self) -> list[dict[str, str]]:
        """The prompt as a chat."""
        system = [{"role": "system", "content": self.system}] if self.system else []
        return [*system, {"role": "user", "content": self.user}]


@dataclass(frozen=True, slots=True)
class Completion:
    """What became of one request.

    ``finish_reason`` is ``"stop"`` (the model ended), ``"length"`` (cut at ``max_new_tokens``) or ``"error"``
    (``text`` is empty and ``error`` says why).
    """

    id: str
    text: str
    finish_reason: FinishReason
    n_prompt_tokens: int = 0
    n_tokens: int = 0
    error: str | None = None


class Engine(ABC):
    """A back end that completes prompts.

    A back end implements `_generate` and `describe`; everything that costs (imports, weights, connections) waits for
    the first request, so that an engine whose answers are all in a store is never started.
    """

    #: Name of the back end, as in ``"transformers:MODEL"``.
    name: str
    #: Whether texts are made by a language model, so that they cost time and a failed one is worth a second attempt.
    generates: bool = True
    #: Template an engine wants where the user names none; None is the default of the entity's kind.
    template: str | None = None

    def generate(self, requests: Sequence[Request], *, sampling: Sampling | None = None) -> Iterator[list[Completion]]:
        """Complete all requests.

        The whole list is submitted at once. Equal prompts are generated once.

        Parameters
        ----------
        requests
            Prompts with unique ids.
        sampling
            How tokens are drawn; greedy by default.

        Yields
        ------
        list of Completion
            A finished batch, in completion order. A caller that stores each batch before it asks for the next loses
            nothing when it is killed. A request that fails is a completion with its error.

        Raises
        ------
        InputError
            If ids are not unique.
        EngineError
            If the back end cannot be used or leaves prompts unanswered.
        """
        if len({request.id for request in requests}) != len(requests):
            msg = "The ids of the requests are not unique."
            raise InputError(msg)
        groups: dict[tuple[str, str], list[Request]] = {}
        for request in requests:
            groups.setdefault((request.system, request.user), []).append(request)
        twins = {group[0].id: group for group in groups.values()}
        for batch in self._generate([group[0] for group in groups.values()], sampling or Sampling()):
            yield [replace(done, id=twin.id) for done in batch for twin in twins.pop(done.id)]
        if twins:
            msg = f"The `{self.name}` engine left {len(twins)} of {len(groups)} prompts unanswered; run again."
            raise EngineError(msg)

    @abstractmethod
    def _generate(self, requests: list[Request], sampling: Sampling) -> Iterator[list[Completion]]:
        """Complete requests whose prompts are all different."""

    @abstractmethod
    def describe(self) -> dict[str, str]:
        """Exactly what fixes the output, by content: back end, model, adapter, dtype. It is part of every text's key.

        Names, places and versions belong into `provenance`. Does not load the weights into memory.
        """

    def provenance(self) -> dict[str, str]:
        """What a reader wants to know beside `describe`: names, directories, versions. No part of a key."""
        return {}

    def in_current_terms(self, described: dict[str, str]) -> dict[str, str]:
        """What an earlier version of this package returned from `describe`, as `describe` would put it now."""
        return described

    def count_tokens(self, requests: Sequence[Request]) -> int:
        """Tokens of all prompts together; the rough rule of four characters a token without a tokenizer."""
        return sum(len(request.system) + len(request.user) for request in requests) // 4

    def score(self, request: Request, options: Sequence[str]) -> list[float]:
        """Log-probability (natural) of each option as the whole answer to a prompt."""
        msg = f"The `{self.name}` engine cannot score options; use `transformers`."
        raise EngineError(msg)


def beyond_window(id: str, n_prompt_tokens: int, sampling: Sampling, window: int) -> Completion:
    """What becomes of a prompt that leaves no tokens for its answer."""
    reason = (
        f"prompt and max_new_tokens={sampling.max_new_tokens} exceed the model's window of {window} tokens "
        f"({n_prompt_tokens} of the prompt)"
    )
    return Completion(id, "", "error", n_prompt_tokens, error=reason)


def check_positive(**numbers: int) -> None:
    """Refuse sizes and counts below one.

    Raises
    ------
    InputError
        Names the first argument that is too small.
    """
    for name, number in numbers.items():
        if number < 1:
            msg = f"{name} must be at least 1, got {number}."
            raise InputError(msg)


def derived_seed(*parts: object) -> int:
    """Seed in [0, 2**31) that depends on the parts alone, not on what was drawn before."""
    text = "\x1f".join(map(str, parts))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 1
