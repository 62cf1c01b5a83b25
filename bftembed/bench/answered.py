"""A result of a language task: what the model answers, asked once, and how it scores."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from bftembed.bench.asking.asker import Asker
from bftembed.bench.results import recorded
from bftembed.bench.scoring.scores import digest_of
from bftembed.bench.sources.base import NotApplicableError
from bftembed.bench.sources.model import Model
from bftembed.encoders import get_encoder
from bftembed.engines import AnswerStore
from bftembed.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from bftembed.bench.asking.questions import Answer
    from bftembed.bench.base import LanguageProblem, TaskInfo
    from bftembed.bench.sources.base import Source
    from bftembed.encoders import Encoder
    from bftembed.engines import Engine

#: How many questions of a fast run are asked twice.
N_TWICE = 16


def answered(
    problem: LanguageProblem, info: TaskInfo, source: Source, directory: Path, *, judge: Engine | None, twice: bool
) -> dict[str, Any]:
    """What a result holds of a model's answers to a problem.

    Parameters
    ----------
    problem, info
        Of the task.
    source
        A model, or what has answers already.
    directory
        Of the results: the answers are kept there, in ``answers.sqlite``.
    judge
        Judges answers, where the problem needs it.
    twice
        Ask some questions twice, and count the answers that were others the second time, ``flips``.

    Raises
    ------
    NotApplicableError
        If the problem asks a model and the source is none.
    EngineError
        If questions were not answered. What was answered is kept.
    """
    begin, flips = time.perf_counter(), {}
    answers = problem.given(source)
    is_given = answers is not None
    if answers is None:
        if not isinstance(source, Model):
            msg = f"`{source.label}` has texts; this task asks a model, `model:ENGINE`."
            raise NotApplicableError(msg)
        with _asker(source, directory / "answers.sqlite", judge) as asker:
            answers = problem.ask(asker)
        _refuse_errors(answers)
        if twice:
            with _asker(source, directory / "answers-again.sqlite", judge) as asker:
                flips = _flips(problem, answers, asker)
    seconds = round(time.perf_counter() - begin, 3)
    evaluation = problem.evaluate(answers, encoder=encoder_of(source))
    record = recorded(evaluation, info)
    return record | {
        "asked": len(problem.items),
        "found": len(evaluation.items) if is_given else len(problem.items),
        "removed": problem.removed,
        "counts": record["counts"] | flips,
        "times": {"ask_seconds": seconds, "questions": len(answers)},
    }


def encoder_of(source: Source) -> Encoder:
    """The encoder by which the answers of a source are compared: its own, if it has one."""
    return get_encoder(getattr(source, "encoder", "default"))


@contextmanager
def _asker(source: Model, path: Path, judge: Engine | None) -> Iterator[Asker]:
    with AnswerStore(path) as store:
        judging = None if judge is None else Asker(judge, store)
        yield Asker(source.engine, store, encoder=source.encoder, judge=judging)


def _refuse_errors(answers: Mapping[str, Answer]) -> None:
    errors = [answer.error for answer in answers.values() if answer.status == "error"]
    if errors:
        msg = (
            f"{len(errors):,} of {len(answers):,} questions were not answered, e.g. {errors[0].rstrip('.')}. "
            "Run again when that is mended: only these are asked. Another `--preset` may ask for less."
        )
        raise EngineError(msg)


def _flips(problem: LanguageProblem, answers: Mapping[str, Answer], asker: Asker) -> dict[str, int]:
    """How many answers are others when some of the same questions are asked again, none of the controls."""
    asked = [question for question in problem.questions() if not question.row]
    again = sorted(asked, key=lambda question: digest_of([question.request.id]))[:N_TWICE]
    second = asker.answer(again, sampling=problem.sampling, end=problem.end)
    pairs = [(answers[id], answer) for id, answer in second.items() if id in answers]
    n = sum(_choice(one) != _choice(other) for one, other in pairs)
    return {"asked twice": len(pairs), "flips": n}


def _choice(answer: Answer) -> object:
    """What is compared between two runs: the likeliest option, or the text."""
    return int(np.argmax(answer.logprobs)) if answer.logprobs else (answer.status, answer.text)
