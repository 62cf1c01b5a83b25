"""Questions with closed answers, and how they are put to a model: as a chat, as lm-eval does, or with reasoning."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from bftembed.bench.scoring.scores import digest_of
from bftembed.engines import Request
from bftembed.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Preset = Literal["chat", "harness", "cot"]
#: What begins the answer where options are ranked.
ANSWER = "Answer:"
_MAYBE = " Maybe is for findings that do not decide the question."


@dataclass(frozen=True, slots=True)
class ClosedQuestion:
    """A question, its possible answers and the right one.

    Parameters
    ----------
    id
        Unique, and the same whenever the data are read; `content_id` makes one.
    question
        Its text.
    choices
        What may be answered: letters, or the answers themselves (``"yes"``, ``"no"``).
    gold
        The right one of `choices`.
    options
        What letters stand for, in their order; none where the choices are the answers themselves.
    context
        Paragraphs in which the answer is to be found.
    stratum
        Subset, subject or the like, whose score is told by itself.
    group
        Questions of one group are drawn together by the bootstrap, e.g. two that say the same.

    Examples
    --------
    >>> from bftembed.bench.language.choices.prompts import ClosedQuestion
    >>> ClosedQuestion("1", "Which organ makes bile?", ("A", "B"), "B", options=("Kidney", "Liver")).gold
    'B'
    """

    id: str
    question: str
    choices: tuple[str, ...]
    gold: str
    options: tuple[str, ...] = ()
    context: tuple[str, ...] = ()
    stratum: str = ""
    group: str = ""

    @property
    def text(self) -> str:
        """All that is particular to it, the answer not among it."""
        return "\n".join((*self.context, self.question, *self.options))


def content_id(question: str, options: Sequence[str] = (), *, of: str = "") -> str:
    """A name for a question that has none in its data: a digest of what it says, with the name of its set before.

    Examples
    --------
    >>> from bftembed.bench.language.choices.prompts import content_id
    >>> content_id("Which organ makes bile?", ["Kidney", "Liver"], of="anatomy")
    'anatomy:615adb46b9eb'
    """
    digest = digest_of([question, *options])[:12]
    return f"{of}:{digest}" if of else digest


def harness_medqa(row: ClosedQuestion) -> str:
    """The prompt of lm-eval's ``medqa_4options``."""
    return f"Question: {row.question}\n{_lettered(row, '. ')}\n{ANSWER}"


def harness_medmcqa(row: ClosedQuestion) -> str:
    """The prompt of lm-eval's ``medmcqa``."""
    return f"Question: {row.question}\nChoices:\n{_lettered(row, '. ')}\n{ANSWER}"


def harness_mmlu(row: ClosedQuestion) -> str:
    """The prompt of lm-eval's ``mmlu_*``; the stratum is the name of the subset."""
    subject = row.stratum.replace("_", " ")
    first = f"The following are multiple choice questions (with answers) about {subject}.\n\n"
    return f"{first}{row.question.strip()}\n{_lettered(row, '. ')}\n{ANSWER}"


def harness_pubmedqa(row: ClosedQuestion) -> str:
    """The prompt of lm-eval's ``pubmedqa``."""
    abstract = "\n".join(row.context)
    return f"Abstract: {abstract}\nQuestion: {row.question}\n{ANSWER}"


def chat_prompt(row: ClosedQuestion) -> str:
    """A turn that asks for the answer alone; a part that the question lacks is left out."""
    if row.options:
        return _joined(row, f"Reply with the letter of the best option alone: {_any_of(row.choices)}.")
    return _joined(row, f"Reply with one word alone: {_any_of(row.choices)}.{_maybe(row)}")


def cot_prompt(row: ClosedQuestion) -> str:
    """A turn that asks for reasoning, and then for a last line in a fixed form."""
    line = f'"Final answer: X", where X is {_any_of(row.choices)}'
    return _joined(row, f"Reason in at most five sentences. Then write as the last line {line}.{_maybe(row)}")


def choice_request(
    id: str,
    row: ClosedQuestion,
    preset: Preset,
    *,
    harness: Callable[[ClosedQuestion], str] | None = None,
    examples: Sequence[ClosedQuestion] = (),
) -> Request:
    """The prompt about a question.

    Parameters
    ----------
    id
        Of the request.
    row
        The question.
    preset
        ``chat``: a turn after which the answer begins with "Answer:"; ``harness``: raw text as lm-eval has it; ``cot``:
        a turn after which the model reasons.
    harness
        How the raw text is written; one of the functions ``harness_*`` here.
    examples
        Questions that stand before it with their answers.

    Raises
    ------
    InputError
        If there is no such preset, ``harness`` has no function, or ``cot`` has examples, whose reasoning nobody knows.
    """
    if preset == "cot" and not examples:
        return Request(id, cot_prompt(row))
    if preset == "harness" and harness is not None:
        before = "".join(f"{harness(example)} {example.gold}\n\n" for example in examples)
        return Request(id, raw=before + harness(row))
    if preset == "chat":
        turns = [
            turn
            for example in examples
            for turn in (("user", chat_prompt(example)), ("assistant", f"{ANSWER} {example.gold}"))
        ]
        messages = [*turns, ("user", chat_prompt(row))] if turns else []
        return Request(id, "" if messages else chat_prompt(row), messages=messages, prefix=ANSWER)
    msg = f"There is no preset `{preset}` here; there are chat, harness (with a function), and cot (without examples)."
    raise InputError(msg)


def without_question(row: ClosedQuestion) -> ClosedQuestion:
    """The options alone."""
    return replace(row, question="", context=())


def without_all(row: ClosedQuestion) -> ClosedQuestion:
    """Neither question nor options: what is left of a chat is the instruction."""
    return replace(row, question="", context=(), options=("",) * len(row.options))


def rotated(row: ClosedQuestion, by: int) -> ClosedQuestion:
    """The options moved up by so many places; the right answer is another letter then.

    Examples
    --------
    >>> row = ClosedQuestion("1", "Which organ makes bile?", ("A", "B", "C"), "B", options=("Kidney", "Liver", "Skin"))
    >>> rotated(row, 1).options, rotated(row, 1).gold
    (('Liver', 'Skin', 'Kidney'), 'A')
    """
    place = (row.choices.index(row.gold) - by) % len(row.choices)
    return replace(row, options=row.options[by:] + row.options[:by], gold=row.choices[place])


def _joined(row: ClosedQuestion, instruction: str) -> str:
    context = "From the literature:\n" + "\n".join(row.context) if row.context else ""
    options = _lettered(row, ") ") if any(row.options) else ""
    return "\n\n".join(part for part in (context, row.question.strip(), options, instruction) if part)


def _lettered(row: ClosedQuestion, mark: str) -> str:
    pairs = zip(row.choices, row.options, strict=True)
    return "\n".join(f"{letter}{mark}{option}" for letter, option in pairs)


def _any_of(choices: Sequence[str]) -> str:
    return f"{', '.join(choices[:-1])} or {choices[-1]}"


def _maybe(row: ClosedQuestion) -> str:
    return _MAYBE if "maybe" in row.choices else ""
