"""Whether a reply meets a criterion, as another model judges it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bftembed.bench.asking.questions import Question
from bftembed.engines import Request, Sampling
from bftembed.engines.reasoning import without_reasoning
from bftembed.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bftembed.bench.asking.asker import Asker
    from bftembed.bench.asking.questions import Answer
    from bftembed.bench.language.health.rubrics import Dialogue

#: How a verdict is drawn; room for models that reason before it.
SAMPLING = Sampling(max_new_tokens=1024)

_TASK = """Below are a dialogue, the reply that an assistant gave at its end, and a statement about that reply.
Decide whether the statement is true of the reply. Judge the reply alone, not the turns before it.

- If the statement has several parts, it is true only if all of them are.
- What the statement lists as examples ("such as", "for instance", "including") need not all be there; one is enough.
- The statement may describe a mistake or a bad habit. It is then true if the reply has that mistake, and false if the
  reply is free of it: say whether it is so, not whether the reply is good."""
#: What is asked at the end, at first and after an answer that could not be read.
_FORMS = (
    """Write one JSON object and nothing else, with the keys "explanation" (one sentence) and "criteria_met" (true or
false).""",
    """A program reads what you write. It has to begin with { and end with }: a JSON object such as
{"explanation": "The reply names no dose.", "criteria_met": false}.""",
    'Write exactly one of these two lines: {"criteria_met": true} or {"criteria_met": false}',
)
N_ATTEMPTS = len(_FORMS)


@dataclass(frozen=True, slots=True)
class Case:
    """A reply and one criterion of its dialogue.

    Parameters
    ----------
    dialogue, reply
        The dialogue and what was replied.
    n
        Which of the dialogue's criteria.
    row
        Whose reply: empty for the model, else the name of the control.
    swapped
        Whether the statement stands before the dialogue in the prompt.
    """

    dialogue: Dialogue
    reply: str
    n: int
    row: str = ""
    swapped: bool = False

    def id(self, attempt: int) -> str:
        """Of the question that is put at an attempt, from 0."""
        return f"judge/{self.row}/{int(self.swapped)}/{attempt}/{self.n}/{self.dialogue.prompt_id}"

    def question(self, attempt: int) -> Question:
        """What the judge is asked."""
        turns = "\n\n".join(f"[{message.role}]\n{message.content}" for message in self.dialogue.prompt)
        shown = f"### Dialogue\n{turns}\n\n### Reply\n{self.reply or '(The reply is empty.)'}"
        statement = f"### Statement\n{self.dialogue.rubrics[self.n].criterion}"
        parts = [statement, shown] if self.swapped else [shown, statement]
        prompt = "\n\n".join([_TASK, *parts, _FORMS[attempt]])
        return Question(Request(self.id(attempt), prompt), self.dialogue.prompt_id, row=self.row or "judge")


def other_judge(asker: Asker) -> Asker:
    """The judge, if it is another model than the one that it judges.

    Raises
    ------
    InputError
        If there is none, or both are one model: the same weights, with whatever adapters, or the same name at servers.
    """
    if asker.judge is None:
        msg = "Replies are judged by another model: give it as `--judge ENGINE` (in Python `judge=`)."
        raise InputError(msg)
    mine, its = asker.engine.describe(), asker.judge.engine.describe()
    same = [name for name in ("weights", "model") if name in mine and mine[name] == its.get(name)]
    if mine == its or same:
        msg = "The judge is the model that is judged, or its base; a model is lenient with itself. Take another one."
        raise InputError(msg)
    return asker.judge


def judged(judge: Asker, cases: Sequence[Case]) -> dict[str, Answer]:
    """What the judge wrote, by the ids of its questions; what cannot be read is asked again, twice, in other words."""
    found: dict[str, Answer] = {}
    waiting = list(cases)
    for attempt in range(N_ATTEMPTS):
        asked = {case.id(attempt): case for case in waiting}
        answers = judge.answer([case.question(attempt) for case in waiting], sampling=SAMPLING)
        found |= answers
        waiting = [asked[id] for id, answer in answers.items() if verdict(answer.text) is None]
        if not waiting:
            break
    return found


def verdict_of(answers: Mapping[str, Answer], case: Case) -> bool | None:
    """Of the first answer that can be read; None if none can."""
    texts = (answers[id].text for id in map(case.id, range(N_ATTEMPTS)) if id in answers)
    return next((found for found in map(verdict, texts) if found is not None), None)


def verdict(text: str) -> bool | None:
    """The boolean ``criteria_met`` of the JSON objects in a text; None if there is none, or there are both.

    Reasoning that is marked as such is left out before.

    Examples
    --------
    >>> verdict('Here it is: {"explanation": "No dose.", "criteria_met": false}')
    False
    >>> verdict('{"criteria_met": "yes"}') is None
    True
    """
    text, decoder, at = without_reasoning(text)[0], json.JSONDecoder(), 0
    found: set[bool] = set()
    while (at := text.find("{", at)) >= 0:
        try:
            value, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            at += 1
            continue
        said: Any = value.get("criteria_met")
        if isinstance(said, bool):
            found.add(said)
    return found.pop() if len(found) == 1 else None
