"""What a language model is asked, about what, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from bftembed.engines import Request


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that is scored, e.g. a multiple-choice question or a gene set.

    Parameters
    ----------
    id
        Unique within a problem, and the same whenever the data are read: replicates are seeded by it.
    gold
        The right answer, one of `choices` where there are any.
    choices
        All possible answers; none where the answer is free.
    group
        Items of one group are drawn together by the bootstrap; by default each stands alone.
    stratum
        Part of the problem whose score is told by itself.
    text
        What is particular to the item, without instructions that all share: compared with a corpus of training.

    Examples
    --------
    >>> from bftembed.bench import Item
    >>> Item("q1", "yes", choices=("yes", "no")).gold
    'yes'
    """

    id: str
    gold: str
    choices: tuple[str, ...] = ()
    group: str = ""
    stratum: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class Question:
    """One prompt about an item.

    Parameters
    ----------
    request
        The prompt; its id is unique among the questions of a problem.
    item
        Id of the item.
    options
        What may follow the prompt, word for word; their log-probabilities are wanted. None: a text is.
    row
        Empty for the score itself, else the control that it is for, e.g. ``"choices only"``.

    Examples
    --------
    >>> from bftembed.bench import Question
    >>> from bftembed.engines import Request
    >>> question = Question(Request("q1", "Is TP53 a transcription factor?"), item="q1", options=("yes", "no"))
    >>> question.request.user
    'Is TP53 a transcription factor?'
    """

    request: Request
    item: str
    options: tuple[str, ...] = ()
    row: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model made of a question.

    Attributes
    ----------
    id
        Of the question's request.
    status
        ``"cut"``: the text ended at ``max_new_tokens``; ``"too_long"``: prompt and answer exceed the model's window,
        nothing was asked; ``"error"``: to be asked again.
    logprobs, censored
        Of the options in their order, natural logarithm; a censored one is less likely than that.
    text
        As the model wrote it.
    error
        What went wrong, or why it is too long.

    Examples
    --------
    >>> from bftembed.bench import Answer
    >>> Answer("q1", "ok", logprobs=(-0.2, -1.8)).logprobs
    (-0.2, -1.8)
    """

    id: str
    status: Literal["ok", "cut", "too_long", "error"] = "ok"
    logprobs: tuple[float, ...] = ()
    censored: tuple[bool, ...] = ()
    text: str = ""
    error: str = ""
