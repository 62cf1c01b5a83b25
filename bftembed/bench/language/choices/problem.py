"""Questions with closed answers, put to a language model, and what stands beside its score."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from bftembed.bench.asking.questions import Item, Question
from bftembed.bench.base import Evaluation, LanguageProblem
from bftembed.bench.language.choices.answers import Chosen, ranked, written
from bftembed.bench.language.choices.data import checked, few_questions, has_equal_options
from bftembed.bench.language.choices.prompts import ANSWER, choice_request, rotated, without_all, without_question
from bftembed.bench.language.choices.rows import rows_without_model
from bftembed.bench.language.choices.scores import (
    by_stratum,
    choices_of,
    f1_score,
    mean_of_subsets,
    of_probabilities,
    share,
)
from bftembed.bench.scoring.clusters import group_weights
from bftembed.engines import Request, Sampling
from bftembed.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from bftembed.bench.asking.questions import Answer
    from bftembed.bench.language.choices.prompts import ClosedQuestion, Preset
    from bftembed.bench.scoring.scores import Score
    from bftembed.encoders import Encoder

_RELEASED, _PRIOR, _CHOICES_ONLY = "as released", "prior", "choices only"
_QUESTION_ONLY, _OTHER_CONTEXT = "question only", "another's context"


class ClosedQuestions(LanguageProblem):
    """Closed questions, all with the same choices, answered by ranking these or in a text.

    Parameters
    ----------
    rows
        The questions. Those of which two options say the same are asked, but scored only ``as released``.
    preset
        How they are put: ``chat`` and ``harness`` rank the choices, ``cot`` has a text written; see
        `bftembed.bench.language.choices.prompts.choice_request`.
    harness
        What writes the prompt of ``harness``.
    training
        Questions to learn from: what is the majority there, and what its words tell; and `shots`.
    shots
        How many of `training` stand before each question with their answers.
    released
        Questions that were released with these but do not count, e.g. repeated ones; published figures have them.
    removed
        What was removed before, for the report.
    subsets
        Whether the strata are subsets with a score of their own each, of which the mean is a score too.
    rotations
        How many other orders of the options are ranked too; by default all that bring each option to each letter.
    max_new_tokens
        Most tokens of a text with reasoning; where it is cut there, the question is not answered.

    Raises
    ------
    DataError
        If a question cannot be asked: its id is there twice, its answer is not among the choices, and the like.
    InputError
        If there are not enough examples to learn from, or the preset has none.

    Examples
    --------
    >>> from bftembed.bench import ClosedQuestion, ClosedQuestions
    >>> rows = [ClosedQuestion("1", "Which organ makes bile?", ("A", "B"), "B", options=("Kidney", "Liver"))]
    >>> [question.row for question in ClosedQuestions(rows).questions()]
    ['', 'choices only', 'rotated by 1', 'prior']
    """

    def __init__(
        self,
        rows: Sequence[ClosedQuestion],
        *,
        preset: Preset = "chat",
        harness: Callable[[ClosedQuestion], str] | None = None,
        training: Sequence[ClosedQuestion] = (),
        shots: int = 0,
        released: Sequence[ClosedQuestion] = (),
        removed: Mapping[str, int] | None = None,
        subsets: bool = False,
        rotations: int | None = None,
        max_new_tokens: int = 1024,
    ) -> None:
        everything = checked([*rows, *released])
        apart = {row.id for row in rows if not has_equal_options(row)}
        self.rows = checked([row for row in everything if row.id in apart])
        self.released = [row for row in everything if row.id not in apart]
        n_equal = len(rows) - len(apart)
        self.removed = dict(removed or {}) | ({"two options that say the same": n_equal} if n_equal else {})
        self.training = checked(training) if training else []
        if shots > len(self.training):
            msg = f"{shots} examples need a part to learn from, and there are {len(self.training)} questions in it."
            raise InputError(msg)
        self.preset, self.subsets, self._harness = preset, subsets, harness
        n_orders = len(self.rows[0].choices)
        self._rotations = range(1, n_orders if rotations is None else min(rotations + 1, n_orders))
        self._examples = few_questions(self.training, shots)
        self.sampling = Sampling(max_new_tokens=max_new_tokens)
        self.items = [
            Item(row.id, row.gold, row.choices, group=row.group or row.id, stratum=row.stratum, text=row.text)
            for row in self.rows
        ]
        self._asked(self.rows[0], "")  # an unusable preset is refused here

    @property
    def _ranks(self) -> bool:
        return self.preset != "cot"

    @property
    def _is_lettered(self) -> bool:
        return bool(self.rows[0].options)

    def questions(self) -> list[Question]:
        """Each question as it is, then as the controls show it."""
        found = [self._asked(row, "") for row in self.rows]
        found += [self._asked(row, _RELEASED) for row in self.released]
        for name, shown in self._controls().items():
            found += [self._asked(row, name, as_shown) for row, as_shown in zip(self.rows, shown, strict=True)]
        return [*found, self._prior()] if self._ranks else found

    def _asked(self, row: ClosedQuestion, name: str, shown: ClosedQuestion | None = None) -> Question:
        request = choice_request(
            _id(row, name), shown or row, self.preset, harness=self._harness, examples=self._examples
        )
        return Question(request, row.id, self._continuations, name)

    @property
    def _continuations(self) -> tuple[str, ...]:
        return tuple(f" {choice}" for choice in self.rows[0].choices) if self._ranks else ()

    def _prior(self) -> Question:
        """The choices after "Answer:" alone, or after the instruction of a chat."""
        if self.preset == "harness":
            return Question(Request(_PRIOR, raw=ANSWER), "", self._continuations, _PRIOR)
        shown = without_all(self.rows[0])
        request = choice_request(_PRIOR, shown, self.preset, examples=self._examples)
        return Question(request, "", self._continuations, _PRIOR)

    def _controls(self) -> dict[str, list[ClosedQuestion]]:
        """By name, all questions in their order, as the control shows them."""
        found = {}
        if self._is_lettered:
            found[_CHOICES_ONLY] = [without_question(row) for row in self.rows]
        if self._is_lettered and self._ranks:
            for by in self._rotations:
                found[_rotation(by)] = [rotated(row, by) for row in self.rows]
        if any(row.context for row in self.rows):
            found[_QUESTION_ONLY] = [replace(row, context=()) for row in self.rows]
            if self._ranks and len(self.rows) > 1:
                others = [*self.rows[1:], self.rows[0]]
                found[_OTHER_CONTEXT] = [
                    replace(row, context=other.context) for row, other in zip(self.rows, others, strict=True)
                ]
        return found

    def evaluate(self, answers: Mapping[str, Answer], *, encoder: Encoder) -> Evaluation:
        """Accuracy, and what stands beside it; a question without an answer is wrong."""
        chosen = self._chosen(answers, "", self.rows)
        right, method = chosen.right(self.rows), "ranked" if self._ranks else "written"
        weights, strata = self._weights, np.array([row.stratum for row in self.rows], dtype=str)
        scores = [
            share(method, "accuracy", right, weights),
            share(method, "answered", chosen.answered, weights),
            share(method, "accuracy of the answered", right, weights, where=chosen.answered),
        ]
        if not self._is_lettered:
            scores.append(f1_score(method, self._gold, chosen.choices, weights))
        if self.subsets:
            scores.append(mean_of_subsets(method, right, strata, weights))
        if self._ranks:
            scores += of_probabilities(method, self.rows, chosen, weights)
            scores += self._corrected(answers, chosen)
        scores += by_stratum(method, right, strata, weights)
        scores += self._as_released(answers, method, right, strata)
        return Evaluation(
            scores=self._with_intervals(scores),
            baselines=self._with_intervals([*self._without_model, *self._of_controls(answers)]),
            items=[row.id for row in self.rows],
            counts=self._counts | chosen.counts,
            notes=self._notes,
            right=right.tolist(),
        )

    def _chosen(self, answers: Mapping[str, Answer], name: str, shown: Sequence[ClosedQuestion]) -> Chosen:
        read = ranked if self._ranks else written
        return read(shown, [answers[_id(row, name)] for row in shown])

    def _corrected(self, answers: Mapping[str, Answer], chosen: Chosen) -> list[Score]:
        """Scores after what letters and places give by themselves is taken out."""
        rows, weights = self.rows, self._weights
        prior = ranked(rows[:1], [answers[_PRIOR]]).logprobs
        less = choices_of(rows, chosen.logprobs - prior) == self._gold
        scores = [share("ranked, less the prior", "accuracy", less, weights)]
        if not self._is_lettered:
            return scores
        shown = self._controls()
        turned = {by: self._chosen(answers, _rotation(by), shown[_rotation(by)]).logprobs for by in self._rotations}
        back = [chosen.logprobs, *(np.roll(logprobs, by, axis=1) for by, logprobs in turned.items())]
        each = np.stack([choices_of(rows, logprobs) for logprobs in back])
        same = (each == each[0]).all(axis=0) & (each[0] != "")
        averaged = choices_of(rows, np.mean(back, axis=0)) == self._gold
        return [
            *scores,
            share("ranked, mean of rotations", "accuracy", averaged, weights),
            share("ranked", "position consistency", same, weights),
        ]

    def _as_released(
        self, answers: Mapping[str, Answer], method: str, right: NDArray[np.bool_], strata: NDArray[np.str_]
    ) -> list[Score]:
        """Accuracy with the questions that are left out, as published figures have it."""
        if not self.released:
            return []
        others = self._chosen(answers, _RELEASED, self.released).right(self.released)
        together = np.concatenate([right, others])
        scores = [share(method, "accuracy as released", together, None)]
        if self.subsets:
            of = np.concatenate([strata, [row.stratum for row in self.released]])
            scores += [
                share(method, f"accuracy as released, {name}", together, None, where=of == name)
                for name in np.unique([row.stratum for row in self.released])
            ]
        return scores

    def _of_controls(self, answers: Mapping[str, Answer]) -> list[Score]:
        scores = []
        if self._ranks:
            likeliest = ranked(self.rows[:1], [answers[_PRIOR]]).choices[0]
            scores.append(share(_PRIOR, "accuracy", self._gold == likeliest, self._weights))
        for name, shown in self._controls().items():
            if name not in map(_rotation, self._rotations):
                right = self._chosen(answers, name, shown).right(self.rows)
                scores.append(share(name, "accuracy", right, self._weights))
        return scores

    @cached_property
    def _without_model(self) -> list[Score]:
        return rows_without_model(self.rows, self.training, self._weights, subsets=self.subsets)

    def _with_intervals(self, scores: Sequence[Score]) -> list[Score]:
        """Wilson's interval of shares holds where no two questions belong together; else groups are drawn."""
        if len({item.group for item in self.items}) == len(self.items):
            return list(scores)
        return [replace(score, right=None) for score in scores]

    @cached_property
    def _weights(self) -> NDArray[np.float64]:
        return group_weights([item.group for item in self.items])

    @cached_property
    def _gold(self) -> NDArray[np.str_]:
        return np.array([row.gold for row in self.rows], dtype=str)

    @property
    def _counts(self) -> dict[str, int]:
        gold = Counter(row.gold for row in self.rows)
        return {f"gold {choice}": gold[choice] for choice in self.rows[0].choices}

    @property
    def _notes(self) -> list[str]:
        if self.training:
            return [f"The majority and the words were learned from {len(self.training):,} other questions."]
        return ["No part to learn from is at hand: the majority is that of these questions themselves."]


def _rotation(by: int) -> str:
    return f"rotated by {by}"


def _id(row: ClosedQuestion, name: str) -> str:
    return f"{row.id}|{name}" if name else row.id
