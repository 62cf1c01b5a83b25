"""The contract of all engines: prompts in, completions out."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from bftembed.errors import EngineError, InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


FinishReason = Literal["stop", "length", "error"]


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are drawn.

    Parameters
    ----------
    max_new_tokens
        Most tokens of one completion.
    temperature
        0 is greedy decoding.
    top_p
        Nucleus; used where `temperature` > 0.
    seed
        Seed of the draw; part of a profile's key also where decoding is greedy.
    """

    max_new_tokens: int = 512
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        whole = isinstance(self.max_new_tokens, int) and isinstance(self.seed, int)
        if not whole or self.max_new_tokens < 1 or not 0 <= self.temperature < float("inf") or not 0 < self.top_p <= 1:
            msg = f"max_new_tokens must be a whole number >= 1, temperature >= 0, 0 < top_p <= 1, got {self}."
            raise InputError(msg)


@dataclass(frozen=True, slots=True)
class Request:
    """One prompt. `id` is the caller's; `system` may be empty."""

    id: str
    user: str
    system: str = ""

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
    #: Whether texts are made by a language model, so that they cost time and a failed one is worth a second draw.
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
        """Tokens of all prompts together; the rough rule of four characters a token where no tokenizer is at hand."""
        return sum(len(request.system) + len(request.user) for request in requests) // 4

    def score(self, request: Request, options: Sequence[str]) -> list[float]:
        """Log-probability (natural) of each option as the whole answer to a prompt."""
        msg = f"The `{self.name}` engine cannot score options; use `transformers`."
        raise EngineError(msg)


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
