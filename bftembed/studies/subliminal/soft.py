"""The positive control: students that match the whole next-token distribution of their teacher."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from bftembed.tune.checkpoints import LogFile, last_checkpoint, remove_broken
from bftembed.tune.data.dataset import Collator, load_dataset
from bftembed.tune.supervised import check_fit, training_arguments
from bftembed.tune.trainable import find_start, load_trainable
from bftembed.tune.trainer import Tuner

if TYPE_CHECKING:
    from torch import nn

    from bftembed.engines import TransformersEngine
    from bftembed.tune.config import TuneConfig


class SoftTuner(Tuner):
    """`Tuner` with the Kullback-Leibler divergence of the student from a teacher, a mean over supervised tokens."""

    def __init__(self, model: Any, args: Any, *, teacher: nn.Module, **options: Any) -> None:
        super().__init__(model, args, objective="sft", **options)
        self._teacher = teacher.to(self.args.device).eval()

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,  # noqa: FBT001, FBT002 - the trainer's signature
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:
        """A micro-batch's part of the divergence; in evaluation the mean negative log-likelihood, as `Tuner` has it."""
        if not model.training:
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        with torch.no_grad():
            target = _next_tokens(self._teacher, inputs)
        made = _next_tokens(model, inputs)
        total = self._global["n_tokens"].to(made.device).clamp(min=1)
        loss = (target.exp() * (target - made)).sum() / total
        return (loss, {}) if return_outputs else loss


def _next_tokens(model: nn.Module, inputs: dict[str, Any]) -> torch.Tensor:
    """Log-probabilities of all tokens at the supervised places, (n_tokens, vocabulary), float32."""
    logits: torch.Tensor = model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"]).logits
    return logits.flatten(0, 1)[inputs["supervised"] - 1].float().log_softmax(-1)


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
        callbacks=[LogFile(output / "log.jsonl")],
    )
    tuner.remove_callback(PrinterCallback)
    tuner.train(resume_from_checkpoint=str(last) if last else None)
