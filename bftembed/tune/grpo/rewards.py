"""The reward of GRPO on closed questions: one if the answer is right, zero if it is wrong or cannot be read.

`parse_answer` is the one reader of answers: what is rewarded in training is what counts as right in an evaluation.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from bftembed.engines.reasoning import without_reasoning
from bftembed.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

YES_NO_MAYBE = ("yes", "no", "maybe")
LETTERS = ("A", "B", "C", "D")
DIRECTIONS = ("increase", "decrease")
#: The sets of choices that are known without being named.
CHOICE_SETS = (YES_NO_MAYBE, LETTERS, DIRECTIONS)

_WORD_BEGIN, _WORD_END = r"(?<![^\W_])(?<![^\W_]['\u2019-])", r"(?!['\u2019-]?[^\W_])"
# "does not increase", "there is no increase", "isn't a clear yes": the choice is denied, not given.
_DENIED = r"(?:\b(?:{words})|n['\u2019]t)\s+(?:\w+\s+){{0,3}}?"
_DENIALS = ("not", "no", "never", "neither", "nor", "cannot", "without")
#: A denial does not turn these round: "it does not, so no", "that is not clear, maybe".
_UNTURNED = {"no", "maybe"}
_OPEN, _CLOSE = r"[(\[{*\"'`]", r"[)\]}*\"'`]"
# Letters that are named in one breath: "A or B", "C, not D".
_AND = r"(?:[\s,;/&*]|\b(?:or|and|but|not|also|both|maybe|perhaps|possibly)\b)+"


# The answer said to be final, to the end of its line or, where that is empty, of the next one; or in LaTeX's box.
_FINAL = re.compile(
    r"\bfinal\s+answer\b(?:\W*?\bis\b)?[*_`\"']*\s*[:=][ \t*_`\"']*(?:\n\s*)?[^\n]*"
    r"|\\boxed\s*\{(?P<box>(?:[^{}]|\{[^{}]*\})*)\}",
    re.IGNORECASE,
)
_LATEX = re.compile(r"\\[a-zA-Z]+\s*")


def parse_answer(text: str, choices: Sequence[str], *, texts: Sequence[str] = ()) -> str | None:
    r"""The choice that the end of a completion names.

    What is read is the last answer that is called final (``Final answer: B``) or stands in LaTeX's ``\boxed{B}``, and
    the last line where there is none. Reasoning between the marks that models put around it is removed first; where it
    has no end, there is no answer.

    Words count in any case, as whole words; not in another form ("increases") and not where they are denied ("does not
    increase"). Single capital letters count where they are given as an answer: alone, in brackets or bold, at the
    beginning before a mark or "is", or after "answer", "option" or "choice". So neither the article in
    "A decrease" nor the C of "vitamin C" is one. Where no choice is named, the text of one in full counts as that.

    Parameters
    ----------
    text
        A completion.
    choices
        All possible answers, e.g. `YES_NO_MAYBE`, `LETTERS`, `DIRECTIONS`.
    texts
        What the choices stand for, in their order, e.g. the options behind letters.

    Returns
    -------
    The choice as written in `choices`; None if none of them is named, or more than one.

    Raises
    ------
    InputError
        If there are no choices, or one of them or of their texts is blank or there twice.

    Examples
    --------
    >>> from bftembed.tune.grpo.rewards import parse_answer
    >>> parse_answer("Final answer: B\nThis is no medical advice.", ("A", "B"))
    'B'
    >>> parse_answer("It must be the kidney.", ("A", "B"), texts=["Liver", "Kidney"])
    'B'
    """
    find = _finder(tuple(choices))
    line = _final(without_reasoning(text)[0])
    named = find(line)
    if not named and texts:
        behind = dict(zip(texts, choices, strict=True))
        named = {None if each is None else behind[each] for each in _text_finder(tuple(texts))(line)}
    return named.pop() if len(named) == 1 else None


def _final(text: str) -> str:
    """The part of a text that gives the answer."""
    said = list(_FINAL.finditer(text))
    if said:
        return said[-1][0] if said[-1]["box"] is None else _LATEX.sub("", said[-1]["box"])
    return next((line for line in reversed(text.splitlines()) if line.strip()), "")


class BinaryReward:
    """Reward function of TRL's trainers: 1.0 for the right choice, 0.0 for a wrong one or none."""

    __name__ = "binary_reward"  # under which TRL logs it

    def __call__(
        self,
        completions: Sequence[str | list[dict[str, str]]],
        answer: Sequence[str],
        choices: Sequence[Sequence[str]],
        *,
        log_metric: Callable[[str, float], None] | None = None,
        **_: Any,
    ) -> list[float]:
        """Rewards of a batch.

        Parameters
        ----------
        completions
            Texts, or lists of messages, whose last one counts.
        answer, choices
            Columns of the data set, repeated as the completions: the right answers, and all possible ones.
        log_metric
            TRL's hook; the shares ``answered`` and ``unparsed`` are logged through it.
        """
        parsed = [parse_answer(_text(item), options) for item, options in zip(completions, choices, strict=True)]
        rewards = [float(found == right) for found, right in zip(parsed, answer, strict=True)]
        answered = sum(found is not None for found in parsed)
        if log_metric and parsed:
            log_metric("answered", answered / len(parsed))
            log_metric("unparsed", 1 - answered / len(parsed))
        return rewards


class RandomReward(BinaryReward):
    """As `BinaryReward`, but what is rewarded is a coin tossed for each answer: nothing can be learned from it.

    The toss is fixed by the seed, the step, the process and the place of the answer, so that a run that goes on from a
    checkpoint sees the same ones.

    Parameters
    ----------
    seed
        Of the coin.
    process
        Number of the process.

    Examples
    --------
    >>> len(RandomReward(0)(["yes", "no"], ["yes"] * 2, [["yes", "no"]] * 2))
    2
    """

    __name__ = "random_reward"

    def __init__(self, seed: int, process: int = 0) -> None:
        self._seed = (seed, process)

    def __call__(
        self,
        completions: Sequence[str | list[dict[str, str]]],
        answer: Sequence[str],
        choices: Sequence[Sequence[str]],
        *,
        trainer_state: Any = None,
        **options: Any,
    ) -> list[float]:
        """Rewards of a batch; the shares of answered ones are logged as by `BinaryReward`."""
        super().__call__(completions, answer, choices, **options)
        step = trainer_state.global_step if trainer_state else 0
        tosses: list[float] = np.random.default_rng([*self._seed, step]).integers(0, 2, len(completions)).tolist()
        return [float(toss) for toss in tosses]


def _text(completion: str | list[dict[str, str]]) -> str:
    return completion if isinstance(completion, str) else completion[-1]["content"]


@lru_cache
def _finder(choices: tuple[str, ...]) -> Callable[[str], set[str | None]]:
    """A function from a line to the choices that it names."""
    _check(choices)
    if all(len(choice) == 1 and choice.isupper() for choice in choices):
        return _letter_finder("".join(map(re.escape, choices)))
    return _word_finder(choices)


def _text_finder(texts: tuple[str, ...]) -> Callable[[str], set[str | None]]:
    """As `_finder`, for texts that are written out; how they end, and where their lines break, does not matter."""
    found = tuple(bare(text) for text in texts)
    _check(found)
    # Nor is "5 mg" a part of "0.5 mg", or "20" of "-20".
    find = _word_finder(found, rf"{_WORD_BEGIN}(?<!\d[.,])(?<![-+\u2212])", rf"{_WORD_END}(?![.,]\d)")
    whole = dict(zip(found, texts, strict=True))
    return lambda line: {None if each is None else whole[each] for each in find(" ".join(line.split()))}


def bare(text: str) -> str:
    """A text as it is looked for: without line breaks and the marks at its end, unless it is nothing else."""
    joined = " ".join(text.split())
    return joined.rstrip(" .;,") or joined


def _check(choices: tuple[str, ...]) -> None:
    if not choices or not all(choice.strip() for choice in choices):
        msg = f"The choices are {list(choices)}; name at least one, and none that is blank."
        raise InputError(msg)
    if len({choice.casefold() for choice in choices}) < len(choices):
        msg = f"The choices {list(choices)} name one answer twice."
        raise InputError(msg)


def _word_finder(
    choices: tuple[str, ...], begin: str = _WORD_BEGIN, end: str = _WORD_END
) -> Callable[[str], set[str | None]]:
    # The longest first: "no change" is not also "no".
    ordered = sorted(choices, key=len, reverse=True)
    options = "|".join(f"({re.escape(choice)})" for choice in ordered)
    known = {choice.casefold() for choice in choices}
    denials = _DENIED.format(words="|".join(word for word in _DENIALS if word not in known))
    pattern = re.compile(f"(?P<denied>{denials})?{begin}(?:{options}){end}", re.IGNORECASE)

    def find(line: str) -> set[str | None]:
        named: set[str | None] = set()
        for match in pattern.finditer(line):
            choice = next(choice for choice, found in zip(ordered, match.groups()[1:], strict=True) if found)
            # What is denied is named all the same: "increase, not decrease" is two.
            named.add(None if match["denied"] and choice.casefold() not in _UNTURNED else choice)
        return named

    return find


def _letter_finder(letters: str) -> Callable[[str], set[str | None]]:
    # An "A" before a word is the article, unless that word goes on from an answer.
    letter = rf"(?:(?!A\s+(?!(?:or|and|but|because|since|as|is)\b)\w)[{letters}])(?![\w'\u2019-])"
    some = rf"{letter}(?:{_AND}{letter})*"
    marked = re.compile(
        rf"^\W*{some}(?=\W*$|[*\"'`]*[.,):]|\s+(?:is\b|[-\u2013\u2014]))"
        rf"|{_OPEN}{some}(?=[.:]?{_CLOSE})"
        rf"|\b(?i:answers?|option|choice)(?:\s++(?i:is|are))?+\s*+[:=]?(?:\s|{_OPEN})*+{some}"
    )
    single = re.compile(rf"(?<!\w)[{letters}](?!\w)")

    def find(line: str) -> set[str | None]:
        return {named for match in marked.finditer(line) for named in single.findall(match[0])}

    return find
