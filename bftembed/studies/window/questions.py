"""Medical questions asked of a tuned model, by ranking the letters of the options."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bftembed.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from bftembed.engines import TransformersEngine
    from bftembed.studies.window.config import Medical


def ask(engine: TransformersEngine, medical: Medical, answers: Path) -> dict[str, float | None]:
    """Share of questions that are answered rightly, and the mean log-probability of the right letter.

    Parameters
    ----------
    engine
        The model.
    medical
        Which questions; each task is asked as its default way asks, without its controls.
    answers
        A file for the answers: what was asked before a kill is not asked again.

    Raises
    ------
    InputError
        If a task does not rank options.
    """
    from bftembed.bench import Asker, ClosedQuestions, few_questions, find_tasks
    from bftembed.bench.language.choices.answers import ranked
    from bftembed.engines import AnswerStore

    right: list[float] = []
    gold: list[float] = []
    answers.parent.mkdir(parents=True, exist_ok=True)
    with AnswerStore(answers) as store:
        asker = Asker(engine, store)
        for task in find_tasks(names=medical.tasks):
            problem = task.load(False)
            if not isinstance(problem, ClosedQuestions) or task.info.mode != "rank":
                msg = f"`{task.name}` ranks no options; name closed questions in `medical.tasks`, e.g. `medical.medqa`."
                raise InputError(msg)
            rows = few_questions(problem.rows, medical.items)
            asked = {question.item: question for question in problem.questions() if not question.row}
            given = asker.answer([asked[row.id] for row in rows], end=problem.end)
            chosen = ranked(rows, [given[asked[row.id].request.id] for row in rows])
            right += chosen.right(rows).astype(float).tolist()
            place = [row.choices.index(row.gold) for row in rows]
            gold += chosen.logprobs[np.arange(len(rows)), place].tolist()
    known = np.asarray(gold)[np.isfinite(gold)]
    return {"right": float(np.mean(right)), "gold": float(known.mean()) if len(known) else None}
