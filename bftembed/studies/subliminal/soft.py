"""The positive control: students that match the whole next-token distribution of their teacher."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from bftembed.tune.checkpoints import LogFile, last_checkpoint, remove_broken
from bftembed.tune.data.dataset import Collator, load_dataset
from bftembed.tune.logs import LOG
from bftembed.tune.loss.objectives import Objective
from bftembed.tune.loss.weights import Weights
from bftembed.tune.supervised import check_fit, training_arguments
from bftembed.tune.trainable import find_start, load_trainable
from bftembed.tune.trainer import Tuner

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from bftembed.engines import TransformersEngine
    from bftembed.tune.config import TuneConfig
    from bftembed.tune.loss.logprobs import TokenLogprobs


class Imitation(Objective):
    """The Kullback-Leibler divergence from a reference alone, a mean over supervised tokens: no token has a weight."""

    def weights(self, values: torch.Tensor | TokenLogprobs, lengths: torch.Tensor) -> Weights:
        """Zeros."""
        return Weights(*map(torch.zeros_like, super().weights(values, lengths)))


class SoftTuner(Tuner):
    """`Tuner` with the divergence of the student from a teacher as its loss."""

    def __init__(self, model: Any, args: Any, *, teacher: PreTrainedModel, **options: Any) -> None:
        objective = Imitation(name="sft+kl", options={"lambda": 1.0})
        super().__init__(model, args, objective=objective, reference=teacher, **options)


def tune_soft(config: TuneConfig, teacher: TransformersEngine) -> None:
    """Tune as `bftembed.tune.tune` does, toward a teacher's distribution; goes on where it was stopped.

    Parameters
    ----------
    config
        Its objective is not looked at.
    teacher
        A model with the same vocabulary.
    """
    from transformers import PrinterCallback, set_seed

    output = Path(config.output)
    arguments = training_arguments(config.training, output, evaluate=True)
    start = find_start(config)
    splits = {"train": config.data.train, "validation": str(config.data.validation)}
    data = {key: load_dataset(file, start.tokenizer, max_length=config.data.max_length) for key, file in splits.items()}
    set_seed(config.training.seed)
    model = load_trainable(config, start)
    for dataset in data.values():
        check_fit(dataset, model)
    output.mkdir(parents=True, exist_ok=True)
    remove_broken(output)
    last = last_checkpoint(output)
    arguments.eval_on_start = last is None
    tuner = SoftTuner(
        model,
        arguments,
        teacher=teacher.load()[0],
        train_dataset=data["train"],
        eval_dataset=data["validation"],
        data_collator=Collator(start.tokenizer.pad_token_id or 0),
        processing_class=start.tokenizer,
        callbacks=[LogFile(output / LOG)],
    )
    tuner.remove_callback(PrinterCallback)
    tuner.train(resume_from_checkpoint=str(last) if last else None)
