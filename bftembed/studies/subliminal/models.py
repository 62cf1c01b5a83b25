"""Teachers and students: tuning a model with looks along the way, asking it what it likes, letting it write."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bftembed.engines import Request, Sampling, complete_stored
from bftembed.errors import DataError
from bftembed.studies.runs import logged
from bftembed.studies.subliminal.adapters import update_norm
from bftembed.tune.config import TuneConfig

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from bftembed.engines import TransformersEngine
    from bftembed.studies.tuning import Recipe
    from bftembed.tune.loss.objectives import Objective


class Look(NamedTuple):
    """A tuned model after some steps: its adapter, and what it makes of held-out texts (nats per token)."""

    step: int
    adapter: Path
    nll: float


class Run(NamedTuple):
    """One tuning run: `objective` None matches the whole distribution of `teacher`, an adapter."""

    recipe: Recipe
    objective: Objective | None
    learning_rate: float
    batch_size: int
    seed: int
    steps: int
    looks: int
    teacher: Path | None = None


def tuned(run: Run, rows: Mapping[str, Sequence[tuple[str, str]]], *, system: str, place: Path) -> list[Look]:
    """Tune a fresh adapter, or go on where that was stopped.

    Parameters
    ----------
    run
        The run.
    rows
        Prompts and answers, ``train`` and ``validation``.
    system
        The system line before every prompt.
    place
        Directory of the run.

    Returns
    -------
    The untuned model, with the adapter that does nothing yet left out, is not among the looks: they are evenly spaced
    from the first to the last step.

    Raises
    ------
    TuneError, InputError, ModelError
        As `bftembed.tune.tune`.
    """
    place.mkdir(parents=True, exist_ok=True)
    files = {split: _written(place / f"{split}.jsonl", pairs, system) for split, pairs in rows.items()}
    apart = max(1, math.ceil(run.steps / run.looks))
    looks = math.ceil(run.steps / apart)
    recipe, output = run.recipe, place / "run"
    rates = {"learning_rate": run.learning_rate, "batch_size": run.batch_size, "seed": run.seed, "warmup": 0.0}
    rhythm = {"max_steps": looks * apart, "eval_steps": apart, "save_steps": apart, "keep_checkpoints": looks + 1}
    config = TuneConfig.model_validate(
        {
            "model": recipe.model,
            "data": {key: str(file) for key, file in files.items()} | {"max_length": recipe.max_length},
            "output": str(output),
            "objective": (run.objective or "sft") if run.objective is None else run.objective.model_dump(),
            "lora": recipe.lora.model_dump() if recipe.lora else None,
            "training": recipe.training.model_dump() | rates | rhythm,
        }
    )
    if run.teacher is None:
        from bftembed.tune import tune

        tune(config)
    else:
        from bftembed.studies.subliminal.soft import tune_soft

        tune_soft(config, recipe.engine(run.teacher))
    losses = {entry["step"]: entry["eval_loss"] for entry in logged(output, "eval_loss", least=looks)}
    steps = range(apart, looks * apart + 1, apart)
    return [Look(step, output / f"checkpoint-{step}", float(losses[step])) for step in steps]


def _written(file: Path, pairs: Sequence[tuple[str, str]], system: str) -> Path:
    """Samples as a file; the same ones leave the same file."""
    first = [{"role": "system", "content": system}] if system else []
    lines = []
    for prompt, answer in pairs:
        turns = [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}]
        lines.append(json.dumps({"messages": [*first, *turns]}) + "\n")
    file.write_text("".join(lines), encoding="utf-8")
    return file


def likings(
    engine: TransformersEngine, questions: Sequence[str], words: Sequence[str], system: str
) -> NDArray[np.float64]:
    """Log-probability of each word as the whole answer, with its end, to each question.

    Returns
    -------
    (n_questions, n_words), nats.

    Raises
    ------
    DataError
        If a question could not be scored.
    """
    requests = [Request(str(number), question, system) for number, question in enumerate(questions)]
    found = {scores.id: scores for batch in engine.score_many(requests, list(words), end=True) for scores in batch}
    if failed := [scores for scores in found.values() if scores.status != "ok"]:
        msg = f"The question `{questions[int(failed[0].id)]}` could not be scored: {failed[0].error}."
        raise DataError(msg)
    return np.array([[option.logprob for option in found[request.id].options] for request in requests])


def counted(
    engine: TransformersEngine, questions: Sequence[str], words: Sequence[str], system: str, *, draws: int, place: Path
) -> list[int]:
    """How many of the drawn answers to all questions are each word, in any case, whatever ends them."""
    requests = [Request(str(number), question, system) for number, question in enumerate(questions)]
    counts = dict.fromkeys(words, 0)
    for seed in range(draws):
        sampling = Sampling(max_new_tokens=8, temperature=1.0, seed=seed)
        for answer in complete_stored(requests, engine=engine, store=place / "answers.sqlite", sampling=sampling):
            said = answer.text.strip(" \n\t.!\"'*").casefold()
            if said in counts:
                counts[said] += 1
    return list(counts.values())


def described(look: Look, logprobs: NDArray[np.float64]) -> dict[str, Any]:
    """A look as JSON: step, loss, norm of the update, and the mean over questions for each word."""
    return {
        "step": look.step,
        "nll": look.nll,
        "norm": update_norm(look.adapter),
        "logprobs": logprobs.mean(axis=0).tolist(),
    }


def margin(logprobs: Sequence[float], place: int) -> float:
    """Log-probability of one word less the mean of all."""
    return float(logprobs[place] - np.mean(logprobs))
