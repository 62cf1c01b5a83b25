"""What the parts of the study take, in tokens."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bftembed.studies.base import Cost
from bftembed.tune.data.samples import read_samples

if TYPE_CHECKING:
    from pathlib import Path

    from bftembed.studies.grpo.config import GRPOStudyConfig
    from bftembed.studies.grpo.questions import Exam

_CHARACTERS = 4  # in a token, about


class Costs(NamedTuple):
    """Tuning a start, its exam, the answers to training questions, and a run of GRPO."""

    tuning: Cost
    exam: Cost
    predicted: Cost
    run: Cost


def costs(config: GRPOStudyConfig, exam: Exam, train: Path) -> Costs:
    """Estimates by the number of characters of the questions and of the samples in `train`."""
    characters = [sum(len(turn["content"]) for turn in item.prompt) for item in exam.main]
    asked, answers = int(np.mean(characters)) // _CHARACTERS + 1, config.grpo.max_new_tokens
    samples = sum(map(len, exam.test.values())) * (config.n_samples + 1)
    drawn = config.grpo.steps * config.grpo.prompts_per_step * config.grpo.num_generations
    predicted = min(config.questions.n_predict, len(exam.train)) * config.n_samples * answers
    return Costs(
        _tuning(config, train),
        Cost(read=samples * asked // (config.n_samples + 1) + samples * answers, generated=samples * answers),
        Cost(generated=predicted),
        Cost(trained=drawn * (asked + answers), generated=drawn * answers),
    )


def _tuning(config: GRPOStudyConfig, train: Path) -> Cost:
    training, length = config.recipe.training, config.recipe.max_length
    batch = training.batch_size * training.accumulation_steps
    lines = [json.dumps(sample) for _, sample in read_samples(train)]
    tokens = sum(min(length, len(line) // _CHARACTERS) for line in lines) / len(lines)
    samples = training.max_steps * batch if training.max_steps else training.epochs * len(lines)
    return Cost(trained=int(samples * tokens))
