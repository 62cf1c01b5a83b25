"""A model that answers questions, and the store of what it answered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bftembed.bench.asking.questions import Answer
from bftembed.engines import complete_stored, score_stored
from bftembed.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bftembed.bench.asking.questions import Question
    from bftembed.encoders import Encoder
    from bftembed.engines import AnswerStore, Completion, Engine, Sampling, Scores


class Asker:
    """A language model as problems ask it; what it answered is kept and not asked again.

    Parameters
    ----------
    engine
        The model.
    store
        Of its answers: append-only, by content.
    encoder
        Of texts, where answers are compared by meaning; not loaded before it is used.
    judge
        Another model that judges answers, or None.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from bftembed.bench import Asker, Question
    >>> from bftembed.engines import AnswerStore, Request, get_engine
    >>> with TemporaryDirectory() as directory, AnswerStore(f"{directory}/answers.sqlite") as store:
    ...     asker = Asker(get_engine("annotation"), store)  # an engine that repeats what it is told
    ...     answers = asker.answer([Question(Request("1", "TP53"), item="1")])
    >>> answers["1"].text
    'TP53'
    """

    def __init__(
        self, engine: Engine, store: AnswerStore, *, encoder: Encoder | str = "default", judge: Asker | None = None
    ) -> None:
        self.engine, self.store, self.encoder, self.judge = engine, store, encoder, judge

    def answer(
        self, questions: Sequence[Question], *, sampling: Sampling | None = None, end: bool = False
    ) -> dict[str, Answer]:
        """Answers by the id of the question, asking the model only for what the store does not have.

        Parameters
        ----------
        questions
            Those with options are scored, the others answered by a text.
        sampling
            Of texts; greedy by default.
        end
            Score the end of the answer too; see `Engine.score_many`.

        Raises
        ------
        InputError
            If two questions have one id.
        EngineError, StoreError
            If the model or the store cannot be used. What was answered before is stored.
        """
        if len({question.request.id for question in questions}) < len(questions):
            msg = "Two questions have the same id."
            raise InputError(msg)
        scored = [question for question in questions if question.options]
        written = [question for question in questions if not question.options]
        found: dict[str, Answer] = {}
        if scored:
            requests, options = [each.request for each in scored], [each.options for each in scored]
            scores = score_stored(requests, options, engine=self.engine, store=self.store, end=end)
            found |= {one.id: _scored(one) for one in scores}
        if written:
            requests = [each.request for each in written]
            texts = complete_stored(requests, engine=self.engine, store=self.store, sampling=sampling)
            found |= {one.id: _written(one) for one in texts}
        return found


def _scored(scores: Scores) -> Answer:
    options = scores.options
    logprobs, censored = tuple(one.logprob for one in options), tuple(one.censored for one in options)
    return Answer(scores.id, scores.status, logprobs, censored, error=scores.error or "")


def _written(completion: Completion) -> Answer:
    if completion.is_too_long:
        return Answer(completion.id, "too_long", error=completion.error or "")
    status = {"stop": "ok", "length": "cut", "error": "error"}[completion.finish_reason]
    return Answer(completion.id, status, text=completion.text, error=completion.error or "")  # type: ignore[arg-type]
