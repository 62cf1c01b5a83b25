"""What a model answered, question by question, from the store beside the results."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, cast

import pandas as pd

from bftembed.bench.asking.asker import Asker
from bftembed.bench.results import read_result, result_path
from bftembed.data import given_files
from bftembed.engines import AnswerStore, Engine
from bftembed.errors import DataError, InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from bftembed.bench.asking.questions import Answer, Question
    from bftembed.bench.base import LanguageProblem, Task
    from bftembed.bench.results import Result
    from bftembed.engines import Completion, Request, Sampling, Scores

COLUMNS = ("item", "row", "gold", "prompt", "options", "logprobs", "text", "status")


def read_answers(
    directory: str | Path,
    task: Task,
    embedding: str,
    *,
    fast: bool = False,
    files: Mapping[str, str | Path] | None = None,
) -> pd.DataFrame:
    """Every question that a model was asked for a result, and its answer; the model is not loaded.

    Parameters
    ----------
    directory
        Of the results, as given to `run`.
    task
        From `find_tasks`.
    embedding
        Label of the model.
    fast
        Those of a fast run.
    files
        Files of your own that the task reads, by name.

    Returns
    -------
    Table with a row for each question: ``item`` (id), ``row`` (empty, or the control that it is for), ``gold``,
    ``prompt`` (the turns, or the raw text), ``options`` and their ``logprobs`` (natural logarithm), the ``text`` that
    was written, and ``status`` (``ok``, ``cut``, ``too_long``).

    Raises
    ------
    InputError
        If the task asks no model.
    DataError
        If there is no result with answers, or the task asks other questions now.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from bftembed.bench import ClosedQuestion, ClosedQuestions, Task, TaskInfo, read_answers, run
    >>> about = {"title": "One question", "data": (), "licence": "CC0", "citation": "none"}
    >>> info = TaskInfo(name="own.genes", kind="language", mode="rank", main_score="accuracy", **about)
    >>> row = ClosedQuestion("1", "Which is a transcription factor?", ("A", "B"), "B", ("INS", "TP53"))
    >>> task = Task(info, lambda fast: ClosedQuestions([row]))
    >>> with TemporaryDirectory() as runs:
    ...     _ = run([task], ["model:default"], runs)
    ...     table = read_answers(runs, task, "model:default")
    >>> table.loc[table["row"] == "", ["item", "gold", "options", "status"]].to_dict("records")
    [{'item': '1', 'gold': 'B', 'options': (' A', ' B'), 'status': 'ok'}]
    """
    if task.info.kind != "language":
        msg = f"`{task.name}` asks no language model."
        raise InputError(msg)
    folder = Path(directory).expanduser()
    result = read_result(result_path(folder, task.name, embedding, "own", fast=fast))
    if result is None or result.status != "ok" or "engine" not in result.description:
        msg = f"`{folder}` has no answers of `{embedding}` to {task.name}: run it first (whole and fast runs differ)."
        raise DataError(msg)
    with given_files(files or {}), AnswerStore(folder / "answers.sqlite") as store:
        problem = cast("LanguageProblem", task.load(fast))
        asker = _Remembering(_Stored(result), store)
        asker.judge = _Remembering(_Stored(result, "judge"), store) if "judge" in result.description else None
        problem.ask(asker)
    gold = {item.id: item.gold for item in problem.items}
    rows = [_row(question, answer, gold) for question, answer in asker.asked]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _row(question: Question, answer: Answer, gold: Mapping[str, str]) -> tuple[Any, ...]:
    request = question.request
    prompt = request.raw or "\n\n".join(f"{turn['role']}: {turn['content']}" for turn in request.chat)
    prompt += f"\n\nassistant: {request.prefix}" if request.prefix else ""
    known = gold.get(question.item, "")
    return question.item, question.row, known, prompt, question.options, answer.logprobs, answer.text, answer.status


class _Remembering(Asker):
    """Keeps what was asked, and what came."""

    def __init__(self, engine: Engine, store: AnswerStore) -> None:
        super().__init__(engine, store)
        self.asked: list[tuple[Question, Answer]] = []

    def answer(self, questions: Iterable[Question], **how: Any) -> dict[str, Answer]:
        asked = list(questions)
        found = super().answer(asked, **how)
        self.asked += [(question, found[question.request.id]) for question in asked]
        return found


class _Stored(Engine):
    """Stands for the model of a result: known to the store, and not to be asked."""

    name = "stored"

    def __init__(self, result: Result, role: str = "engine") -> None:
        self._described: dict[str, str] = result.description[role]
        self._task = result.task.name

    def describe(self) -> dict[str, str]:
        return self._described

    def _generate(self, requests: list[Request], sampling: Sampling) -> Iterator[list[Completion]]:
        self._refuse()

    def _score(
        self,
        requests: list[Request],
        options: list[tuple[str, ...]],
        *,
        end: bool,
    ) -> Iterator[list[Scores]]:
        self._refuse()

    def _refuse(self) -> NoReturn:
        msg = f"{self._task} asks other questions now than for this result; run it again."
        raise DataError(msg)
