"""Where options begin in tokens: shared by all engines that hand tokens to a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from bftembed._warn import warn
from bftembed.engines.values import Scores
from bftembed.errors import InputError
from bftembed.models.chat import end_token, prompt_text, text_ids

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bftembed.engines.values import Request


#: What is said where an option joins the last token of a prompt.
JOINED = (
    "all options of such a prompt are scored from before that token. An option mostly begins with the space that would "
    "otherwise end the prompt."
)


class Question(NamedTuple):
    """A request and its options in tokens.

    ``prompt`` are the tokens before the boundary, never empty; ``options`` the tokens behind it, of each option at
    least one. ``moved`` says whether the boundary lies before the end of the prompt's text.
    """

    id: str
    prompt: tuple[int, ...]
    options: tuple[tuple[int, ...], ...]
    moved: bool

    @property
    def longest(self) -> int:
        """Tokens of the prompt and its longest option."""
        return len(self.prompt) + max(map(len, self.options))

    @property
    def steps(self) -> dict[tuple[int, ...], set[int]]:
        """What is asked of an engine that tells the next token alone: tokens, by the beginnings of options before them.

        Examples
        --------
        >>> Question("1", (7,), ((1, 2), (1, 3)), False).steps
        {(): {1}, (1,): {2, 3}}
        """
        nexts: dict[tuple[int, ...], set[int]] = {}
        for option in self.options:
            for n, token in enumerate(option):
                nexts.setdefault(option[:n], set()).add(token)
        return nexts


def encode(request: Request, options: Sequence[str], tokenizer: Any, *, end: bool = False) -> Question:
    r"""Tokens of a prompt and its options.

    Prompt and option are tokenised together, as the model knows them from its training: ``"Answer: "`` and ``"A"`` make
    the tokens ``"Answer"``, ``":"``, ``" A"``. Where the prompt's own tokens are no beginning of these, the boundary
    moves back to where all agree. It is one boundary for all options of a request: only log-probabilities of text that
    begins at the same place can be compared.

    Parameters
    ----------
    request, options
        The prompt and the texts that may follow it.
    tokenizer
        Of transformers.
    end
        Whether the end of the answer is a last token of each option.

    Returns
    -------
    Question
        A prompt that begins with what its options begin with has the token that begins (else ends) texts before it.

    Raises
    ------
    InputError
        If nothing comes before the options, or there is no token that ends an answer.

    Notes
    -----
    lm-evaluation-harness moves all white space at the end of a prompt into the options, and then cuts at the number of
    the prompt's own tokens. Where tokens agree, both cut alike, but for such white space as is a token of its own
    (``"\n"`` before ``"A"``), which the harness scores with each option: its sums are lower by the same number for all
    options, and the choice is the same. Where tokens do not agree, it takes changed tokens for the prompt's.
    """
    text, special = prompt_text(request.chat, tokenizer, raw=request.raw, prefix=request.prefix)
    alone, *together = text_ids([text, *(text + option for option in options)], tokenizer, special=special)
    begin = boundary(alone, together)
    starts = [token for token in (tokenizer.bos_token_id, tokenizer.eos_token_id) if token is not None]
    before = together[0][:begin] or starts[:1]
    if not before:
        msg = f"Nothing comes before the options of the request `{request.id}`: begin its prompt with other words."
        raise InputError(msg)
    last = end_token(tokenizer, raw=bool(request.raw)) if end else None
    if end and last is None:
        msg = "The tokenizer has no token that ends an answer; score without `end`."
        raise InputError(msg)
    closing = () if last is None else (last,)
    scored = tuple((*ids[begin:], *closing) for ids in together)
    return Question(request.id, tuple(before), scored, begin < len(alone))


def encode_all(
    requests: Sequence[Request],
    options: Sequence[Sequence[str]],
    tokenizer: Any,
    *,
    end: bool = False,
    window: int | None = None,
) -> tuple[list[Question], list[Scores]]:
    """Tokens of all requests that fit into the window, and what becomes of those that do not.

    Warns once where boundaries moved, see `encode`.

    Parameters
    ----------
    requests, options
        Prompts, and the options of each.
    tokenizer
        Of transformers.
    end
        Whether the end of the answer is a last token of each option.
    window
        Most tokens that the model reads, prompt and longest option together; None where nothing limits them.

    Raises
    ------
    InputError
        See `encode`.
    """
    asked = [encode(*each, tokenizer, end=end) for each in zip(requests, options, strict=True)]
    if moved := [question.id for question in asked if question.moved]:
        n = f"{len(moved):,} of {len(asked):,}"
        warn(f"In {n} prompts (`{moved[0]}`) an option joins the last token of the prompt: {JOINED}")
    fitting = [question for question in asked if window is None or question.longest <= window]
    return fitting, [beyond(question, window) for question in asked if window is not None and question.longest > window]


def beyond(question: Question, window: int) -> Scores:
    """What becomes of a prompt that leaves no room for its longest option."""
    n, more = len(question.prompt), question.longest - len(question.prompt)
    reason = f"prompt and longest option ({n} + {more} tokens) exceed the model's window of {window} tokens"
    return Scores(question.id, (), n, "too_long", reason)


def boundary(alone: Sequence[int], together: Sequence[Sequence[int]]) -> int:
    """Where options begin: as far as a prompt's tokens agree with those of all options behind it, of each but the last.

    Examples
    --------
    >>> boundary([1, 2, 3], [[1, 2, 3, 4], [1, 2, 5]])
    2
    """
    return min(min(common(alone, ids), len(ids) - 1) for ids in together)


def common(one: Sequence[object], other: Sequence[object]) -> int:
    """How many first tokens are the same."""
    return next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
