"""Closed questions as data have them: what is refused, what is left out, and which are asked in a fast run."""

from __future__ import annotations

from itertools import chain, zip_longest
from typing import TYPE_CHECKING

from bftembed.bench.scoring.scores import digest_of
from bftembed.errors import DataError
from bftembed.tune.grpo.rewards import bare

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bftembed.bench.language.choices.prompts import ClosedQuestion


def checked(rows: Sequence[ClosedQuestion]) -> list[ClosedQuestion]:
    """The questions sorted by id, if they can be asked.

    Raises
    ------
    DataError
        If there is none, an id is there twice, a text is none or blank, an answer is not among the choices, the choices
        differ between questions, or an option lacks a letter. The message names the question.
    """
    ordered = sorted(rows, key=lambda row: row.id)
    if not ordered:
        msg = "There are no questions."
        raise DataError(msg)
    choices = ordered[0].choices
    if len(set(choices)) < max(len(choices), 2):
        msg = f"A question needs two different choices at least, got {list(choices)}."
        raise DataError(msg)
    for before, row in zip([None, *ordered], ordered, strict=False):
        if before is not None and before.id == row.id:
            raise _refused(row, "is there twice; ids must be unique")
        texts = (row.question, *row.options, *row.context)
        if not all(isinstance(text, str) and text.strip() for text in texts):
            raise _refused(row, "has a part that is no text; read all columns of a table as text, no value as missing")
        if row.choices != choices:
            raise _refused(row, f"has the choices {list(row.choices)}, others have {list(choices)}; ask them apart")
        if row.gold not in choices:
            raise _refused(row, f"has the answer {row.gold!r}, which is not one of {list(choices)}")
        if row.options and len(row.options) != len(choices):
            raise _refused(row, f"has {len(row.options)} options for the choices {list(choices)}")
        if bool(row.options) != bool(ordered[0].options):
            raise _refused(row, "has options where others have none, or the reverse; ask them apart")
    return ordered


def _refused(row: ClosedQuestion, why: str) -> DataError:
    return DataError(f"The question `{row.id}` {why}.")


def has_equal_options(row: ClosedQuestion) -> bool:
    """Whether two options say the same, so that the right one cannot be told.

    Examples
    --------
    >>> from bftembed.bench.language.choices.data import has_equal_options
    >>> from bftembed.bench.language.choices.prompts import ClosedQuestion
    >>> has_equal_options(ClosedQuestion("1", "How much?", ("A", "B"), "A", options=("5 mg", "5 mg.")))
    True
    """
    return len({bare(option).casefold() for option in row.options}) < len(row.options)


def few_questions(rows: Iterable[ClosedQuestion], n: int) -> list[ClosedQuestion]:
    """At most `n` questions: of each right answer in turn the one whose id has the smallest SHA-256.

    Which ones that are changes little when questions are added.

    Examples
    --------
    >>> from bftembed.bench import find_tasks, few_questions
    >>> [task] = find_tasks(names=["medical.pubmedqa"])
    >>> rows = task.load(True).rows
    >>> sorted({row.gold for row in few_questions(rows, 3)}) == sorted({row.gold for row in rows})
    True
    """
    by_gold: dict[str, list[ClosedQuestion]] = {}
    for row in sorted(rows, key=lambda row: digest_of([row.id])):
        by_gold.setdefault(row.gold, []).append(row)
    classes = [by_gold[gold] for gold in sorted(by_gold)]
    return [row for row in chain.from_iterable(zip_longest(*classes)) if row is not None][:n]
