"""Tasks of lm-evaluation-harness on the engines of this package."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NoReturn

from bftembed._optional import require
from bftembed.engines.answer_store import complete_stored, score_stored
from bftembed.engines.values import Request, Sampling
from bftembed.errors import EngineError, InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from bftembed.engines.answer_store import AnswerStore
    from bftembed.engines.base import Engine
    from bftembed.engines.values import Completion, Scores

_LM: Any = require("lm_eval.api.model").LM

#: Arguments of a task's generation that engines know by the same name.
_KNOWN = ("temperature", "top_p", "seed", "repetition_penalty")
#: Those that ask for nothing when they have this value.
_NEUTRAL = {"num_beams": 1, "num_return_sequences": 1}


class EngineLM(_LM):  # type: ignore[misc]
    """A model of lm-evaluation-harness whose answers come from an engine.

    Prompts go to the engine as raw text, as the harness makes them; with ``apply_chat_template=True`` they are laid out
    by `Engine.render` before. Options of one prompt are scored together. Nothing is cut: what exceeds the model's
    window ends the run with the name of its item, where the harness' own models leave out the beginning of the prompt.

    Parameters
    ----------
    engine
        An engine, or its short name (see `get_engine`).
    store
        Where answers are kept, so that a run that was killed goes on, and none is asked for twice; by default
        ``answers.sqlite`` in the user cache.

    Notes
    -----
    The harness' own cache of answers (``use_cache``) is refused: its keys hold neither the model nor the precision.

    Examples
    --------
    ``docs/lm_eval.md`` has a whole run.

    >>> from bftembed.engines import EngineLM
    >>> model = EngineLM("default")
    >>> model.apply_chat_template([{"role": "user", "content": "Is TP53 a gene?"}]).splitlines()[-1]
    '<|im_start|>assistant'
    """

    def __init__(self, engine: Engine | str, *, store: AnswerStore | str | Path | None = None) -> None:
        from bftembed.engines import get_engine

        super().__init__()
        self.engine, self.store = get_engine(engine), store

    @property
    def tokenizer_name(self) -> str:
        """A name for the harness' cache of *prompts*: what fixes the engine's answers, as a digest."""
        described = json.dumps(self.engine.describe(), sort_keys=True)
        return f"{self.engine.name}-{hashlib.sha256(described.encode()).hexdigest()[:16]}"

    def chat_template(self, chat_template: bool | str = False) -> str:
        """What the harness writes into its results: how a question of the user is laid out; empty without templates.

        Raises
        ------
        InputError
            If a template is asked for by name.
        """
        if isinstance(chat_template, str):
            msg = f"A model's own chat template is applied, none by the name of `{chat_template}`: say True."
            raise InputError(msg)
        return self.engine.render(Request("chat template", "{question}")) if chat_template else ""

    def apply_chat_template(
        self,
        chat_history: Sequence[Mapping[str, str]],
        add_generation_prompt: bool = True,
    ) -> str:
        """A dialogue as text. Without `add_generation_prompt` the last message is the beginning of the answer.

        A system's text stands in front of the user's where the model's template knows no system role (the harness' own
        models leave it out there).
        """
        turns, prefix = list(chat_history), ""
        if not add_generation_prompt:
            prefix = turns.pop()["content"]
        return self.engine.render(Request("chat", messages=turns, prefix=prefix))

    def loglikelihood(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        """Log-probability of each continuation, and whether greedy decoding writes it.

        Raises
        ------
        EngineError
            If the engine cannot score, or a prompt is empty, too long, failed, or one whose continuation a server does
            not tell.
        """
        places: dict[str, dict[str, list[int]]] = {}
        for n, (context, continuation) in enumerate(_arguments(requests)):
            # As the harness' own models: white space at the end of a prompt (of a chat template) is scored too.
            begin = context.rstrip()
            places.setdefault(begin, {}).setdefault(context[len(begin) :] + continuation, []).append(n)
        prompts = [Request(str(n), raw=context) for n, context in enumerate(places)]
        groups = list(places.values())
        scores = score_stored(
            prompts,
            [list(group) for group in groups],
            engine=self.engine,
            store=self.store,
            progress=False if disable_tqdm else None,
        )
        found: list[tuple[float, bool]] = [(0.0, False)] * len(requests)
        for done, group in zip(scores, groups, strict=True):
            _check(done, requests[next(iter(group.values()))[0]])
            for option, where in zip(done.options, group.values(), strict=True):
                for n in where:
                    found[n] = option.logprob, option.is_greedy
        return found

    def generate_until(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[str]:
        """Texts up to the first of the stop texts, which are not part of them.

        Texts that are drawn more than once of the same prompt (``repeats``) have seeds of their own.

        Raises
        ------
        InputError
            If a task asks for a way of drawing that engines do not have.
        EngineError
            If the engine cannot generate, or a prompt is empty, too long or failed.
        """
        groups: dict[Sampling, list[Request]] = {}
        drawn: Counter[tuple[str, Sampling]] = Counter()
        for n, (context, how) in enumerate(_arguments(requests)):
            sampling = _sampling(how)
            if sampling.temperature > 0:
                again = drawn[context, sampling]
                drawn[context, sampling] += 1
                sampling = replace(sampling, seed=sampling.seed + again)
            groups.setdefault(sampling, []).append(Request(str(n), raw=context))
        found = [""] * len(requests)
        show = False if disable_tqdm else None
        for sampling, asked in groups.items():
            texts = complete_stored(asked, engine=self.engine, store=self.store, sampling=sampling, progress=show)
            for done in texts:
                _check(done, requests[int(done.id)])
                found[int(done.id)] = done.text
        return found

    def loglikelihood_rolling(self, requests: Sequence[Any], disable_tqdm: bool = False) -> NoReturn:
        """Not possible: engines score answers to prompts, no whole texts.

        Raises
        ------
        EngineError
            Always.
        """
        msg = (
            "Engines score answers to prompts, not whole texts, so that perplexity tasks (`loglikelihood_rolling`) do "
            "not run on them; use the harness' own model `hf`, or `bftembed tune`'s diagnostic."
        )
        raise EngineError(msg)

    def set_cache_hook(self, cache_hook: Any) -> NoReturn:
        """Refuse the harness' cache of answers.

        Raises
        ------
        InputError
            Always.
        """
        msg = "Leave out `use_cache`: the keys of the harness' cache hold neither the model nor its precision."
        raise InputError(msg)


def _arguments(requests: Sequence[Any]) -> Iterable[tuple[Any, Any]]:
    for request in requests:
        context, other = request.args
        if not context.strip():
            msg = f"The prompt of {_item(request)} is empty; engines score and write answers to prompts."
            raise EngineError(msg)
        yield context, other


def _check(done: Scores | Completion, request: Any) -> None:
    """Refuse what has no answer: the harness would take any number for one."""
    if done.error is not None:
        msg = f"{_item(request)}: {done.error}. Leave the item out (`samples=`), or use a model that takes it."
        raise EngineError(msg)
    if any(option.censored for option in getattr(done, "options", ())):
        msg = (
            f"{_item(request)}: the server tells its likeliest tokens alone, and a continuation is not among them; use "
            "a server that scores any text (vLLM), or an engine in this process."
        )
        raise EngineError(msg)


def _item(request: Any) -> str:
    return f"item {request.doc_id} of the task `{request.task_name}`"


def _sampling(how: Mapping[str, Any]) -> Sampling:
    """How tokens are drawn, of a task's ``generation_kwargs``."""
    given = {**require("lm_eval.models.utils").normalize_gen_kwargs(how)}
    given.pop("do_sample")  # what it says stands in the temperature
    most, until = given.pop("max_gen_toks"), given.pop("until")
    known = {name: given.pop(name) for name in _KNOWN if name in given}
    if odd := {name: value for name, value in given.items() if _NEUTRAL.get(name, ...) != value}:
        msg = f"Engines do not know these arguments of a task's generation: {odd}; change them with `gen_kwargs=`."
        raise InputError(msg)
    return Sampling(max_new_tokens=most, stop=[text for text in until if text], **known)
