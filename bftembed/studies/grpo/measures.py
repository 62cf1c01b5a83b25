"""What is measured of one model: values of single questions, so that means and intervals can be made of them later."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from bftembed._files import replacing
from bftembed.bench import Asker, Question
from bftembed.engines import AnswerStore, Request, Sampling
from bftembed.studies.grpo.traces import reader, statistics
from bftembed.studies.tuning import read_logprobs
from bftembed.tune.grpo.rewards import parse_answer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from bftembed.bench import Answer
    from bftembed.engines import TransformersEngine
    from bftembed.studies.grpo.questions import Exam, Item

#: Raised when what is measured changes: results of before are then not taken for those of now.
VERSION = 1
_PREFIX = "Answer:"


class Examiner:
    """A model at its exam; what it answered is kept in `place` and not asked again.

    Parameters
    ----------
    engine
        The model.
    place
        Directory for answers.
    n_samples, max_new_tokens
        Answers to each question at temperature 1, and their length.
    """

    def __init__(self, engine: TransformersEngine, place: Path, *, n_samples: int, max_new_tokens: int) -> None:
        self._engine, self._place, self._n, self._tokens = engine, place, n_samples, max_new_tokens
        place.mkdir(parents=True, exist_ok=True)

    def measure(self, exam: Exam, files: Mapping[str, Path], *, max_length: int, batch_size: int) -> dict[str, Any]:
        """JSON values.

        ``sets`` has, by test, ``right`` by rank, ``margin`` (log-probability of the first choice less that of the best
        other), ``counts`` of sampled answers (right, answered, cut, distinct), ``greedy`` ones and ``traces``;
        ``files`` sums over the tokens of each sample; ``entropy`` the mean of -log p over the tokens of the model's own
        samples, which estimates the entropy of a token.
        """
        with AnswerStore(self._place / "answers.sqlite") as store:
            asker = Asker(self._engine, store)
            sets = {
                name: {**self._ranked(asker, items), **self._written(asker, items)} for name, items in exam.test.items()
            }
            own = self._own_samples(asker, exam.main)
        read = {}
        for name, path in files.items():
            logprobs, lengths = read_logprobs(self._engine, path, max_length=max_length, batch_size=batch_size)
            begins = np.cumsum(lengths) - lengths
            nll = np.add.reduceat(-logprobs.astype(np.float64), begins)
            read[name] = {"nll": nll.tolist(), "tokens": lengths.tolist()}
        entropy = None if own is None else -float(self.logprobs_of(own, self._engine, batch_size).mean())
        return {"sets": sets, "files": read, "entropy": entropy}

    def predictors(self, items: Sequence[Item]) -> dict[str, Any]:
        """Of training questions, how many of `n_samples` answers are right, and how many differ."""
        with AnswerStore(self._place / "answers.sqlite") as store:
            answers = self._sampled(Asker(self._engine, store), items)
        return {
            "right": [_n_right(item, each) for item, each in zip(items, answers, strict=True)],
            "distinct": [len({answer.text for answer in each}) for each in answers],
        }

    def logprobs_of(self, samples: Path, engine: TransformersEngine, batch_size: int) -> Any:
        """Log-probability of every token of texts of this model under a model, (n_tokens,)."""
        cut = [json.loads(line)["cut"] for line in samples.read_text(encoding="utf-8").splitlines()]
        logprobs, lengths = read_logprobs(engine, samples, max_length=2**20, batch_size=batch_size)
        parts = np.split(logprobs.astype(np.float64), np.cumsum(lengths)[:-1])
        # A text that was cut has no end of its own.
        return np.concatenate([part[:-1] if is_cut else part for part, is_cut in zip(parts, cut, strict=True)])

    @property
    def samples(self) -> Path:
        """Texts that were drawn for the main test, as samples that can be read."""
        return self._place / "samples.jsonl"

    def _own_samples(self, asker: Asker, items: Sequence[Item]) -> Path | None:
        rows = [
            {
                "messages": [*item.prompt, {"role": "assistant", "content": answer.text}],
                "cut": answer.status == "cut",
            }
            for item, answers in zip(items, self._sampled(asker, items), strict=True)
            for answer in answers
            if answer.text.strip()
        ]
        with replacing(self.samples) as made:
            made.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return self.samples if rows else None

    def _ranked(self, asker: Asker, items: Sequence[Item]) -> dict[str, Any]:
        questions = [
            Question(
                Request(item.id, messages=item.prompt, prefix=_PREFIX),
                item.id,
                tuple(f" {choice}" for choice in item.choices),
            )
            for item in items
        ]
        # Where one choice begins another, only its end tells them apart.
        end = any(a != b and a.startswith(b) for item in items for a in item.choices for b in item.choices)
        answers = asker.answer(questions, end=end)
        right: list[float] = []
        margin: list[float | None] = []
        for item in items:
            answer = answers[item.id]
            if answer.status != "ok":
                right.append(0.0)
                margin.append(None)
                continue
            best = int(np.argmax(answer.logprobs))
            right.append(float(item.choices[best] == item.answer))
            margin.append(answer.logprobs[0] - max(answer.logprobs[1:]) if len(item.choices) > 1 else 0.0)
        return {"right": right, "margin": margin}

    def _written(self, asker: Asker, items: Sequence[Item]) -> dict[str, Any]:
        sampled = self._sampled(asker, items)
        plain = [Question(Request(item.id, messages=item.prompt), item.id) for item in items]
        greedy = asker.answer(plain, sampling=Sampling(max_new_tokens=self._tokens))
        once = [[greedy[item.id]] for item in items]
        return {
            "n": self._n,
            "counts": [_n_right(item, answers) for item, answers in zip(items, sampled, strict=True)],
            "answered": [_n_answered(item, answers) for item, answers in zip(items, sampled, strict=True)],
            "cut": [sum(answer.status == "cut" for answer in answers) for answers in sampled],
            "distinct": [len({answer.text for answer in answers}) for answers in sampled],
            "greedy": [_n_right(item, answers) for item, answers in zip(items, once, strict=True)],
            "traces": {"sampled": _traces(items, sampled), "greedy": _traces(items, once)},
        }

    def _sampled(self, asker: Asker, items: Sequence[Item]) -> list[list[Answer]]:
        """Answers at temperature 1, `n_samples` to each question."""
        found: list[list[Answer]] = [[] for _ in items]
        plain = [Question(Request(item.id, messages=item.prompt), item.id) for item in items]
        for seed in range(self._n):
            sampling = Sampling(max_new_tokens=self._tokens, temperature=1.0, seed=seed)
            answers = asker.answer(plain, sampling=sampling)
            for row, item in enumerate(items):
                found[row].append(answers[item.id])
        return found


def _said(item: Item, answer: Answer) -> str | None:
    return parse_answer(answer.text, item.choices) if answer.status in {"ok", "cut"} else None


def _n_right(item: Item, answers: Sequence[Answer]) -> int:
    return sum(_said(item, answer) == item.answer for answer in answers)


def _n_answered(item: Item, answers: Sequence[Answer]) -> int:
    return sum(_said(item, answer) is not None for answer in answers)


def _traces(items: Sequence[Item], answers: Sequence[Sequence[Answer]]) -> dict[str, list[float | None]]:
    known = reader()
    rows = [
        statistics(
            [answer.text for answer in each],
            [_said(item, answer) for answer in each],
            prompt=item.prompt[-1]["content"],
            genes=item.genes,
            known=known,
        )
        for item, each in zip(items, answers, strict=True)
    ]
    return {name: [None if np.isnan(row[name]) else row[name] for row in rows] for name in rows[0]}
