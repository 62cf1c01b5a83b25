"""How log-probabilities in the answers of OpenAI-compatible servers are read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bftembed.engines.scoring import common
from bftembed.engines.values import Scored

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def steps_of(answer: Any, beginnings: Sequence[tuple[int, ...]]) -> dict[tuple[int, ...], Any]:
    """Log-probabilities of the next token, by the beginning of an option that the prompt ended with."""
    choices = sorted(answer.choices, key=lambda choice: choice.index)
    return {ids: choice.logprobs for ids, choice in zip(beginnings, choices, strict=True)}


def from_steps(steps: Mapping[tuple[int, ...], Any], options: Sequence[Sequence[int]]) -> tuple[Scored, ...]:
    """Options from the log-probabilities of their tokens, each after those before it; nothing if one was not told."""
    scored = []
    for ids in options:
        places = [(steps[tuple(ids[:n])], _name(token)) for n, token in enumerate(ids)]
        if not all(name in step.top_logprobs[0] for step, name in places):
            return ()
        values = [float(step.top_logprobs[0][name]) for step, name in places]
        scored.append(Scored(sum(values), len(ids), all(step.tokens[0] == name for step, name in places)))
    return tuple(scored)


def echoed(answer: Any, prompt: Sequence[int], options: Sequence[Sequence[int]]) -> tuple[Scored, ...]:
    """Options from the echo of the prompt's tokens with those of each option.

    Raises
    ------
    ValueError
        If other tokens come back than were sent.
    """
    choices = sorted(answer.choices, key=lambda choice: choice.index)
    scored = []
    for choice, ids in zip(choices, options, strict=True):
        found = choice.logprobs
        if list(found.tokens) != [_name(token) for token in (*prompt, *ids)]:
            msg = "the tokens of the echo are not those of the prompt"
            raise ValueError(msg)
        scored.append(_summed(found, range(len(prompt), len(found.tokens))))
    return tuple(scored)


def from_echoes(answers: Sequence[Any], texts: Sequence[str], length: int) -> tuple[tuple[Scored, ...], int] | None:
    """Options from the echo of texts whose first `length` characters are the prompt, and the tokens before them.

    All options are scored from one boundary: the first token that reaches beyond the prompt, or that differs from the
    other options' (one that straddles the end of the prompt is scored with the option). None where the texts are not
    echoed with their log-probabilities.

    Raises
    ------
    ValueError
        If other texts come back than were sent.
    """
    found: list[Any] = [getattr(answer.choices[0], "logprobs", None) for answer in answers]
    boundaries, ends = [], []
    for each, text in zip(found, texts, strict=True):
        if not _is_echo(each, text):
            return None
        starts = list(each.text_offset)
        ends.append(next((i for i, start in enumerate(starts) if start >= len(text)), len(starts)))
        reaching = (i for i in range(ends[-1]) if starts[i] + max(len(each.tokens[i]), 1) > length)
        boundaries.append(next(reaching, ends[-1] - 1))
    boundary = min([*boundaries, *(common(found[0].tokens, each.tokens) for each in found[1:])])
    if boundary < 1:  # of the first token there is no log-probability
        return None
    summed = (_summed(each, range(boundary, end)) for each, end in zip(found, ends, strict=True))
    return tuple(summed), boundary


def _is_echo(found: Any, text: str) -> bool:
    """Whether the tokens of a text came back."""
    starts, tokens, values = (getattr(found, name, None) for name in ("text_offset", "tokens", "token_logprobs"))
    if not starts or not tokens or not values or not getattr(found, "top_logprobs", None):
        return False
    inside = [(start, token) for start, token in zip(starts, tokens, strict=True) if start < len(text)]
    if len(inside) == 1 and inside[0][1] != text:
        return False  # what was generated, alone
    if "".join(token for _, token in inside) != text or any(text[i : i + len(t)] != t for i, t in inside):
        msg = "the texts of the tokens in the echo do not make the text that was sent"
        raise ValueError(msg)
    return True


def _summed(found: Any, places: range) -> Scored:
    values = [float(found.token_logprobs[place]) for place in places]
    best = [max(map(float, found.top_logprobs[place].values())) for place in places]
    return Scored(sum(values), len(values), all(value >= most for value, most in zip(values, best, strict=True)))


def first_tokens(answer: Any) -> list[tuple[str, float]]:
    """The likeliest first tokens of an answer and their log-probabilities, of a chat or of raw text; [] if not told."""
    found = getattr(answer.choices[0], "logprobs", None)
    content = getattr(found, "content", None)
    if content:  # of chats, and of llama.cpp everywhere
        first = content[0]
        told = first["top_logprobs"] if isinstance(first, dict) else first.top_logprobs
        pairs = [
            (each["token"], each["logprob"]) if isinstance(each, dict) else (each.token, each.logprob) for each in told
        ]
    else:
        pairs = list(((getattr(found, "top_logprobs", None) or [None])[0] or {}).items())
    return sorted(((str(token), float(value)) for token, value in pairs), key=lambda pair: -pair[1])


def from_first_tokens(told: Sequence[tuple[str, float]], options: Sequence[str]) -> tuple[Scored, ...]:
    """Options as far as the likeliest first tokens tell of them.

    One that is a token of the list has its log-probability. Any other is censored: it begins with a token that it
    begins with in the list, or with one that is not in the list, and is less likely than the likeliest of these.
    """
    known = dict(reversed(told))
    scored = []
    for option in options:
        if option in known:
            scored.append(Scored(known[option], 1, option == told[0][0]))
        else:
            begins = [value for token, value in told if token and option.startswith(token)]
            scored.append(Scored(max([*begins, told[-1][1]]), 1, is_greedy=False, censored=True))
    return tuple(scored)


def _name(token: int) -> str:
    return f"token_id:{token}"
