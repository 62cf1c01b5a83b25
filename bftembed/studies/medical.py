"""Medical questions asked of a tuned model, by ranking the letters of the options."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import AfterValidator, Field

from bftembed.errors import InputError
from bftembed.studies.config import Part, once

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bftembed.bench import Asker, ClosedQuestion, ClosedQuestions


class Medical(Part):
    """Medical questions, answered by ranking the letters of the options.

    Attributes
    ----------
    tasks
        Of `bftembed.bench`.
    items
        Questions of each.
    """

    tasks: Annotated[tuple[str, ...], AfterValidator(once)] = Field(
        default=("medical.medqa", "medical.medmcqa", "medical.mmlu_medical"), min_length=1
    )
    items: Annotated[int, Field(ge=1)] = 100


def medical_problems(medical: Medical) -> list[tuple[str, ClosedQuestions]]:
    """The questions by their tasks.

    Raises
    ------
    InputError
        If there is no such task, or it does not rank options.
    DataError
        If its data are missing.
    """
    from bftembed.bench import ClosedQuestions, find_tasks

    found = []
    for task in find_tasks(names=medical.tasks):
        problem = task.load(False) if task.info.mode == "rank" else None
        if not isinstance(problem, ClosedQuestions):
            msg = f"`{task.name}` ranks no options; name closed questions in `medical.tasks`, e.g. `medical.medqa`."
            raise InputError(msg)
        found.append((task.name, problem))
    return found


def medical_answers(asker: Asker, medical: Medical) -> dict[str, Any]:
    """Questions of each task, asked as its default way asks them, without its controls.

    Parameters
    ----------
    asker
        The model, with the store of its answers: what was asked before a kill is not asked again.
    medical
        Which questions.

    Returns
    -------
    A list with a value for each question: ``items`` its id, ``right`` 1 or 0, log-probabilities ``gold`` of the right
    letter and ``among`` of it among the options; None where there is none.

    Raises
    ------
    InputError
        If a task does not rank options.
    """
    from bftembed.bench import few_questions
    from bftembed.bench.language.choices.answers import probabilities, ranked

    found: dict[str, list[Any]] = {"items": [], "right": [], "gold": [], "among": []}
    for name, problem in medical_problems(medical):
        rows: Sequence[ClosedQuestion] = few_questions(problem.rows, medical.items)
        asked = {question.item: question for question in problem.questions() if not question.row}
        answers = asker.answer([asked[row.id] for row in rows], end=problem.end)
        chosen = ranked(rows, [answers[asked[row.id].request.id] for row in rows])
        place = [row.choices.index(row.gold) for row in rows]
        lines = np.arange(len(rows))
        found["items"] += [f"{name}/{row.id}" for row in rows]
        found["right"] += chosen.right(rows).astype(float).tolist()
        found["gold"] += numbers(chosen.logprobs[lines, place])
        found["among"] += numbers(np.log(probabilities(chosen.logprobs)[lines, place]))
    return found


def numbers(values: Iterable[float]) -> list[float | None]:
    """Numbers as JSON has them: None for what is none.

    Examples
    --------
    >>> from bftembed.studies.medical import numbers
    >>> numbers([0.5, float("nan")])
    [0.5, None]
    """
    return [float(value) if math.isfinite(value) else None for value in values]
