"""Replies to dialogues about health, judged by criteria (Arora et al. 2025, HealthBench)."""

from __future__ import annotations

import math
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from bftembed.bench.asking.questions import Item, Question
from bftembed.bench.base import Evaluation, LanguageProblem
from bftembed.bench.language.health.judging import Case, judged, other_judge, verdict_of
from bftembed.bench.language.health.rubrics import read_dialogues, tagged
from bftembed.bench.scoring.metrics import mean
from bftembed.bench.scoring.scores import Score, digest_of, item_weights
from bftembed.engines import Request, Sampling
from bftembed.engines.reasoning import without_reasoning
from bftembed.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from bftembed.bench.asking.asker import Asker
    from bftembed.bench.asking.questions import Answer
    from bftembed.bench.language.health.rubrics import Dialogue
    from bftembed.encoders import Encoder

    Floats = NDArray[np.float64]
    #: Of each dialogue, whether each of its criteria is met.
    Verdicts = list[list[bool | None]]

METRIC = "rubric score"
#: Replies that no model makes.
CONTROLS = {
    "empty reply": "",
    "see a doctor": (
        "I am sorry that you have to deal with this. Please see a doctor or another health professional soon, who can "
        "examine you and advise you properly. If it gets worse or feels like an emergency, call your local emergency "
        "number now."
    ),
}
#: Share of the criteria that are judged a second time, with the parts of the prompt in another order.
_SECOND = 0.05


class HealthBench(LanguageProblem):
    """Dialogues whose last reply a judge checks by criteria.

    The score of a dialogue is the points of the criteria that are met, as a share of the points that can be earned; the
    main score is their mean, clipped to [0, 1]. A criterion on which the judge writes nothing that can be read, in
    three attempts, counts on neither side, and a dialogue without any other has no score. A prompt beyond the model's
    window scores 0; a reply that was cut is judged as it stands. All of these are counted.

    Parameters
    ----------
    dialogues
        Each with an id of its own, see `bftembed.bench.language.health.rubrics.read_dialogues`.
    removed
        What was removed before, for the report.
    max_new_tokens
        Most tokens of a reply.

    Examples
    --------
    >>> from bftembed.bench import HealthBench
    >>> from bftembed.bench.language.health.rubrics import Dialogue
    >>> asked = [{"role": "user", "content": "How much water does a grown-up need in a day?"}]
    >>> wanted = [{"criterion": "Names an amount", "points": 5}, {"criterion": "Calls thirst harmless", "points": -4}]
    >>> problem = HealthBench([Dialogue.model_validate({"prompt_id": "1", "prompt": asked, "rubrics": wanted})])
    >>> problem.questions()[0].request.chat[-1]["content"]
    'How much water does a grown-up need in a day?'
    """

    def __init__(
        self, dialogues: Sequence[Dialogue], *, removed: Mapping[str, int] | None = None, max_new_tokens: int = 1024
    ) -> None:
        self.dialogues = sorted(dialogues, key=lambda dialogue: dialogue.prompt_id)
        self.removed = dict(removed or {})
        self.sampling = Sampling(max_new_tokens=max_new_tokens)
        self.items = [
            Item(each.prompt_id, "", stratum=each.theme, text="\n".join(turn.content for turn in each.prompt))
            for each in self.dialogues
        ]

    @classmethod
    def read(cls, path: Path, *, n: int | None = None) -> HealthBench:
        """The dialogues of a file of JSON lines, or `n` of them, the same whenever others are added.

        Raises
        ------
        DataError
            If the file cannot be read as such.
        """
        dialogues, removed = read_dialogues(path)
        dialogues = sorted(dialogues, key=lambda each: digest_of([each.prompt_id]))[:n]
        return cls(dialogues, removed=removed)

    def questions(self) -> list[Question]:
        """The dialogues."""
        return [
            Question(
                Request(each.prompt_id, messages=[(turn.role, turn.content) for turn in each.prompt]), each.prompt_id
            )
            for each in self.dialogues
        ]

    def ask(self, asker: Asker) -> Mapping[str, Answer]:
        """Replies, then the judge's verdicts on them and on the controls.

        Raises
        ------
        InputError
            If there is no judge, or it is the model itself or its base.
        """
        judge = other_judge(asker)
        replies = asker.answer(self.questions(), sampling=self.sampling)
        if any(reply.status == "error" for reply in replies.values()):
            return replies  # to be asked again before anything is judged
        cases = [case for row in ("", *CONTROLS) for case in self._cases(replies, row)]
        return replies | judged(judge, [*cases, *self._second(replies)])

    def _cases(self, replies: Mapping[str, Answer], row: str) -> list[Case]:
        found = []
        for each in self.dialogues:
            reply = _text(replies[each.prompt_id]) if not row else CONTROLS[row]
            if row or replies[each.prompt_id].status != "too_long":
                found += [Case(each, reply, n, row) for n in range(len(each.rubrics))]
        return found

    def _second(self, replies: Mapping[str, Answer]) -> list[Case]:
        """The cases that are judged twice, picked by digests of their ids."""
        cases = sorted(self._cases(replies, ""), key=lambda case: digest_of([case.id(0)]))
        twice = cases[: math.ceil(_SECOND * len(cases))]
        return [Case(each.dialogue, each.reply, each.n, swapped=True) for each in twice]

    def evaluate(self, answers: Mapping[str, Answer], *, encoder: Encoder) -> Evaluation:
        """The rubric score, also by theme and by axis; that of the controls; whether the judge agrees with itself.

        Raises
        ------
        EngineError
            If none of the judge's verdicts can be read.
        """
        met = self._verdicts(answers, "")
        values = self._scores(met)
        if np.isnan(values).all():
            msg = "The judge wrote no verdict that can be read, on any criterion; take another judge."
            raise EngineError(msg)
        scores = [self._mean("judged", METRIC, values)]
        scores += self._by_theme(met)
        scores += self._by_axis(met)
        agreement, said = self._agreement(answers)
        replies = [answers[each.prompt_id] for each in self.dialogues]
        return Evaluation(
            scores=[*scores, *agreement],
            baselines=[self._mean(row, METRIC, self._scores(self._verdicts(answers, row))) for row in CONTROLS],
            items=[item.id for item in self.items],
            counts={
                "criteria": sum(map(len, met)),
                "criteria without a verdict": sum(one is None for each in met for one in each),
                "dialogues without a verdict": int(np.isnan(values).sum()),
                "replies that were cut": sum(reply.status == "cut" for reply in replies),
                "prompts beyond the window": sum(reply.status == "too_long" for reply in replies),
                "words of a reply, median": int(np.median([len(_text(reply).split()) for reply in replies])),
            },
            notes=[
                said,
                "Scores of this kind rise with the length of replies, and are of a model and its judge together.",
            ],
        )

    @cached_property
    def _weights(self) -> Floats:
        return item_weights([item.id for item in self.items])

    def _verdicts(self, answers: Mapping[str, Answer], row: str) -> Verdicts:
        """Without a reply (a prompt beyond the window) no criterion that gives points is met, and no other."""
        found: Verdicts = []
        for each in self.dialogues:
            if not row and answers[each.prompt_id].status == "too_long":
                found.append([False] * len(each.rubrics))
            else:
                found.append([verdict_of(answers, Case(each, "", n, row)) for n in range(len(each.rubrics))])
        return found

    def _scores(self, met: Verdicts, *, axis: str | None = None) -> Floats:
        return np.array([each.score(one, axis=axis) for each, one in zip(self.dialogues, met, strict=True)])

    def _mean(self, method: str, metric: str, values: Floats) -> Score:
        """Mean of the dialogues that have a value, clipped; so are the replicates."""
        known = ~np.isnan(values)
        if not known.any():
            return Score(method, metric, np.full((1, 1), np.nan))
        every = np.ones((1, known.sum()))
        value, draws = (np.clip(mean(values[known], w), 0, 1) for w in (every, self._weights[:, known]))
        return Score(method, metric, value[:, None], draws)

    def _by_theme(self, met: Verdicts) -> list[Score]:
        values, themes = self._scores(met), np.array([each.theme for each in self.dialogues])
        names = sorted({*themes.tolist()} - {""})
        return [
            self._mean("judged", f"{METRIC}, theme {name}", np.where(themes == name, values, np.nan)) for name in names
        ]

    def _by_axis(self, met: Verdicts) -> list[Score]:
        tags = (tag for each in self.dialogues for criterion in each.rubrics for tag in criterion.tags)
        names = sorted({*tagged(tags, "axis")})
        return [self._mean("judged", f"{METRIC}, axis {name}", self._scores(met, axis=name)) for name in names]

    def _agreement(self, answers: Mapping[str, Answer]) -> tuple[list[Score], str]:
        """Cohen's kappa of the verdicts of two orders of the prompt, and in words."""
        from sklearn.metrics import cohen_kappa_score

        pairs = [
            (verdict_of(answers, Case(each.dialogue, "", each.n)), verdict_of(answers, each))
            for each in self._second(answers)
        ]
        known = [(one, other) for one, other in pairs if one is not None and other is not None]
        agreed = sum(one == other for one, other in known)
        said = (
            f"Judged again with the statement before the dialogue, {agreed:,} of {len(known):,} verdicts were the same"
        )
        if len({value for pair in known for value in pair}) < 2:
            return [], f"{said}."
        kappa = float(cohen_kappa_score(*zip(*known, strict=True), labels=[False, True]))
        return [Score("judged", "kappa of the judge", np.array([[kappa]]))], f"{said} (Cohen's kappa {kappa:.2f})."


def _text(reply: Answer) -> str:
    """What a person would read."""
    return without_reasoning(reply.text)[0].strip()
