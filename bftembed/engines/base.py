"""The contract of all engines: prompts in, completions out."""

from __future__ import annotations

import hashlib
import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from bftembed._unicode import writable
from bftembed.engines.values import Completion, Request, Sampling
from bftembed.errors import EngineError, InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bftembed.engines.values import Scores

Answer = TypeVar("Answer", "Completion", "Scores")


class Engine(ABC):
    """A back end that completes prompts.

    A back end implements `_generate` and `describe`; everything that costs (imports, weights, connections) waits for
    the first request, so that an engine whose answers are all in a store is never started.

    Examples
    --------
    An engine of your own:

    >>> from bftembed.engines import Completion, Engine, Request
    >>> class Shout(Engine):
    ...     name = "shout"
    ...     def describe(self):
    ...         return {"engine": self.name}
    ...     def _generate(self, requests, sampling):
    ...         yield [Completion(each.id, each.user.upper(), "stop") for each in requests]
    >>> [[completion]] = Shout().generate([Request("1", "a T cell")])
    >>> completion.text
    'A T CELL'
    """

    #: Name of the back end, as in ``"transformers:MODEL"``.
    name: str
    #: Whether texts are made by a language model, so that they cost time and a failed one is worth a second attempt.
    generates: bool = True
    #: Template an engine wants where the user names none; None is the default of the entity's kind.
    template: str | None = None

    def generate(self, requests: Iterable[Request], *, sampling: Sampling | None = None) -> Iterator[list[Completion]]:
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
            If ids are not unique, or something else is among the requests.
        EngineError
            If the back end cannot be used or leaves prompts unanswered.
        """
        given = listed(requests)
        asked = _by_content(given, [()] * len(given))
        firsts = [group[0] for group in asked.values()]
        yield from self._answered(self._generate(firsts, sampling or Sampling()), list(asked.values()))

    def score_many(
        self, requests: Iterable[Request], options: Iterable[str] | Iterable[Iterable[str]], *, end: bool = False
    ) -> Iterator[list[Scores]]:
        """Log-probabilities of closed options as the answers to all requests.

        How they are normalised (by tokens, by bytes, less their probability without the question) is the caller's.
        Equal prompts with equal options are scored once.

        Parameters
        ----------
        requests
            Prompts with unique ids.
        options
            Texts that may follow the prompt (and its `prefix`), word for word: ``" A"`` or ``"A"``. One list for all
            requests, or a list for each.
        end
            Score the end of the answer too, as a last token of each option: needed where one option begins another
            (``"no"`` and ``"no change"``).

        Yields
        ------
        list of Scores
            A finished batch, in completion order, as in `generate`. What is no number (NaN) is an error of its request.

        Raises
        ------
        InputError
            If ids are not unique, something else is among the requests, there is no list of options for every request,
            or an option is empty.
        EngineError
            If the back end cannot score, or leaves prompts unanswered.
        """
        given = listed(requests)
        asked = _by_content(given, given_options(given, options))
        firsts = [group[0] for group in asked.values()]
        scored = self._score(firsts, [each for _, each in asked], end=end)
        yield from self._answered(([_numbers(one) for one in batch] for batch in scored), list(asked.values()))

    def _answered(self, batches: Iterable[list[Answer]], groups: list[list[Request]]) -> Iterator[list[Answer]]:
        """Answers to the first request of each group, given to all of it."""
        twins = {group[0].id: group for group in groups}
        for batch in batches:
            yield [replace(done, id=twin.id) for done in batch for twin in twins.pop(done.id)]
        if twins:
            msg = f"The `{self.name}` engine left {len(twins)} of {len(groups)} prompts unanswered; run again."
            raise EngineError(msg)

    @abstractmethod
    def _generate(self, requests: list[Request], sampling: Sampling) -> Iterator[list[Completion]]:
        """Complete requests whose prompts are all different."""

    def _score(self, requests: list[Request], options: list[tuple[str, ...]], *, end: bool) -> Iterator[list[Scores]]:
        """Score the options of each request; prompt and options together are all different."""
        msg = f"The `{self.name}` engine cannot score options; use `transformers`, `vllm` or `openai`."
        raise EngineError(msg)

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

    def render(self, request: Request) -> str:
        """The text of a prompt as the model reads it, laid out by the model's chat template. Loads no weights.

        Raises
        ------
        EngineError
            If the engine has no chat template at hand.
        """
        msg = (
            f"The `{self.name}` engine has no chat template at hand to lay out the request `{request.id}`; use "
            "`transformers` or `vllm`, or raw prompts."
        )
        raise EngineError(msg)

    def count_tokens(self, requests: Sequence[Request]) -> int:
        """Tokens of all prompts together; the rough rule of four characters a token without a tokenizer."""
        texts = (text for r in requests for text in (r.raw, r.prefix, *(turn["content"] for turn in r.chat)))
        return sum(map(len, texts)) // 4


def beyond_window(id: str, n_prompt_tokens: int, sampling: Sampling, window: int) -> Completion:
    """What becomes of a prompt that leaves no tokens for its answer."""
    reason = (
        f"prompt and max_new_tokens={sampling.max_new_tokens} exceed the model's window of {window} tokens "
        f"({n_prompt_tokens} of the prompt)"
    )
    return Completion(id, "", "error", n_prompt_tokens, error=reason)


def _numbers(scores: Scores) -> Scores:
    """Scores as they are; an error where one is no number."""
    if not any(math.isnan(option.logprob) for option in scores.options):
        return scores
    error = "the model gives no numbers (NaN): its weights are damaged, or too large for this dtype"
    return replace(scores, options=(), status="error", error=error)


def _by_content(
    requests: Sequence[Request], options: Sequence[tuple[str, ...]]
) -> dict[tuple[tuple[object, ...], tuple[str, ...]], list[Request]]:
    """Requests by prompt and options, in order of first use."""
    groups: dict[tuple[tuple[object, ...], tuple[str, ...]], list[Request]] = {}
    for request, given in zip(requests, options, strict=True):
        groups.setdefault((request.content, given), []).append(request)
    return groups


def given_options(requests: Sequence[Request], options: Any) -> list[tuple[str, ...]]:
    """The options of each request, of lists of any kind: arrays, columns of tables and generators too.

    Raises
    ------
    InputError
        If there is no list for every request, or an option is empty.
    """
    if (given := _in_order(options)) is None:
        msg = f"options is a list of texts, or one for each request, got {options!r}."
        raise InputError(msg)
    shared = bool(given) and all(isinstance(option, str) for option in given)
    lists = [given] * len(requests) if shared else given
    if len(lists) != len(requests):
        msg = f"There are {len(lists)} lists of options for {len(requests)} requests; give one for all, or for each."
        raise InputError(msg)
    found: list[tuple[str, ...]] = []
    for request, each in zip(requests, lists, strict=True):
        texts = _in_order(each)
        if not texts or not all(isinstance(option, str) and option for option in texts):
            msg = f"The options of the request `{request.id}` must be a list of texts that are not empty, got {each!r}."
            raise InputError(msg)
        found.append(tuple(writable(str(option)) for option in texts))
    return found


def _in_order(values: Any) -> list[Any] | None:
    """What a list of any kind holds; None for one text, for what has no order, and for a mapping."""
    is_list = isinstance(values, Iterable) and not isinstance(values, str | bytes | Mapping | set | frozenset)
    return list(values) if is_list else None


def listed(requests: Iterable[Request]) -> list[Request]:
    """Requests as a list; refused are those whose answers could not be told apart.

    Raises
    ------
    InputError
        If there is something else among them, or ids are not unique.
    """
    found = list(requests) if isinstance(requests, Iterable) else [requests]
    if odd := [each for each in found if not isinstance(each, Request)]:
        msg = f"requests is a list of `Request`, e.g. [Request('1', 'Is TP53 a gene?')], got {odd[0]!r}."
        raise InputError(msg)
    if len({request.id for request in found}) != len(found):
        msg = "The ids of the requests are not unique."
        raise InputError(msg)
    return found


def check_positive(**numbers: int) -> None:
    """Refuse sizes and counts below one.

    Raises
    ------
    InputError
        Names the first argument that is too small.
    """
    for name, number in numbers.items():
        if isinstance(number, bool) or not isinstance(number, int) or number < 1:
            msg = f"{name} must be at least 1, got {number!r}."
            raise InputError(msg)


def seed_of_server(seed: int) -> int:
    """The seed as vLLM is to be told it, here or behind a server: for vLLM -1 is no seed at all."""
    return seed if seed >= 0 else derived_seed(seed)


def derived_seed(*parts: object) -> int:
    """Seed in [0, 2**31) that depends on the parts alone, not on what was drawn before."""
    text = "\x1f".join(map(str, parts))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 1
