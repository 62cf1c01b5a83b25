"""`Tuner`: transformers' trainer with the objectives, exact over gradient accumulation and processes."""

from __future__ import annotations

import logging
import math
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from torch.optim.lr_scheduler import LambdaLR, LRScheduler
from transformers import Trainer

from bftembed.errors import DivergedError, InputError
from bftembed.tune.checkpoints import publishing, without_hub_warnings
from bftembed.tune.devices import use_one_device
from bftembed.tune.loss.chunks import CHUNK_SIZE
from bftembed.tune.loss.head import add_logprob_head, supervised_logprobs
from bftembed.tune.loss.objectives import Objective, named
from bftembed.tune.loss.places import Locating, located
from bftembed.tune.loss.reference import check_reference, objective_logprobs
from bftembed.tune.loss.weights import sample_of, wide

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import nn
    from transformers import PreTrainedModel
    from transformers.trainer_utils import EvalLoopOutput

    from bftembed.tune.loss.logprobs import TokenLogprobs
    from bftembed.tune.loss.weights import Weights

log = logging.getLogger("bftembed")
_SFT = Objective(name="sft")
_SUMS = ("tokens", "confidence", "weight", "clipped", "divergence")


class Tuner(Trainer):
    """transformers' ``Trainer`` with a Balanced Fine-Tuning objective.

    The loss divides by the supervised tokens (SFT, DFT) or the samples (BFT) of the *global* batch, over all
    accumulation steps and processes, so that how a batch is split changes nothing. Logits are never held as a whole.
    The auxiliary loss of a mixture of experts is not added.

    Each log entry has, beside the trainer's own, means over the tokens since the last one: ``mean_confidence``,
    ``mean_token_weight``, ``clipped_share`` (tokens at least as confident as their context; ``bft`` only),
    ``mean_divergence`` (``sft+kl`` and ``asft`` only), and the minimum, quartiles and maximum of the sample weights.
    Evaluation gives ``eval_loss``, the mean negative log-likelihood per supervised token whatever the objective, and
    ``eval_perplexity``, its exponential.

    Parameters
    ----------
    model
        A causal language model, or a PEFT model. Its forward is extended by `add_logprob_head`.
    objective
        Name of an objective (``"sft"``, ``"dft"``, ``"bft"``, ...) or an `Objective`.
    chunk_size
        Tokens whose logits are held at once.
    reference
        The frozen model that is compared with (``sft+kl``, ``asft``, ``weights_from: reference``); by default the model
        itself with its adapter off.
    args, train_dataset, data_collator, ...
        As for transformers' ``Trainer``. Batches are as `supervised_logprobs` takes them; set
        ``remove_unused_columns=False``.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from transformers import LlamaConfig, LlamaForCausalLM, TrainingArguments
    >>> from bftembed.tune import Tuner
    >>> from bftembed.tune.data.dataset import Collator, TokenDataset
    >>> model = LlamaForCausalLM(LlamaConfig(vocab_size=50, hidden_size=16, num_hidden_layers=1, num_attention_heads=2))
    >>> data = TokenDataset([([1, 5, 9, 2], [False, False, True, True])], max_length=8)  # ids, and which are learnt
    >>> common = {"max_steps": 1, "remove_unused_columns": False, "report_to": "none", "disable_tqdm": True}
    >>> with TemporaryDirectory() as output:  # doctest: +ELLIPSIS
    ...     arguments = TrainingArguments(output, use_cpu=True, save_strategy="no", **common)
    ...     tuner = Tuner(model, arguments, objective="bft", train_dataset=data, data_collator=Collator(pad_token_id=0))
    ...     _ = tuner.train()
    {'train_runtime': ...}
    >>> tuner.state.global_step
    1
    """

    def __init__(
        self,
        model: PreTrainedModel,
        args: Any,
        *,
        objective: str | Objective = "bft",
        chunk_size: int = CHUNK_SIZE,
        reference: PreTrainedModel | None = None,
        **options: Any,
    ) -> None:
        self.objective: Objective = named(objective)
        self.reference: Any = None
        if reference is None:
            check_reference(self.objective, has_adapter=hasattr(model, "disable_adapter"))
        use_one_device(args)
        add_logprob_head(model, chunk_size=chunk_size)
        super().__init__(model, args, **options)
        if reference is not None:
            if self.is_deepspeed_enabled:
                msg = "DeepSpeed splits one model, not a `reference` too; train an adapter, which can be turned off."
                raise InputError(msg)
            add_logprob_head(reference, chunk_size=chunk_size)
            self.reference = self.accelerator.prepare_model(reference.requires_grad_(False), evaluation_mode=True)
        # The loss is normalised here, over the global batch; the trainer must not divide it again.
        self.loss_is_scaled_for_ga = True
        self.model_accepts_loss_kwargs = False
        # The trainer would log a loss of 0 for one that is no number.
        self.args.logging_nan_inf_filter = False
        self._global: dict[str, torch.Tensor] = {}
        self._sums: dict[str, Any] = defaultdict(float)
        self._sample_weights: list[torch.Tensor] = []
        self._eval_sums: list[torch.Tensor] = []

    def get_batch_samples(
        self, epoch_iterator: Iterator[Any], num_batches: int, device: torch.device
    ) -> tuple[list[Any], torch.Tensor | None]:
        """Collect the micro-batches of one optimizer step and count the tokens and samples of the global batch."""
        if self.state.global_step >= self.state.max_steps:
            # Continued from its last checkpoint: the trainer would take one step more before it looks.
            self.control.should_training_stop = True
            return [], None
        batches, _ = super().get_batch_samples(epoch_iterator, num_batches, device)
        if not batches:  # a stream has ended, or there is not one whole batch
            return batches, None
        batches = list(map(located, batches))
        lengths = [batch["lengths"] for batch in batches]
        n_tokens = torch.stack([n.sum() for n in lengths]).sum().to(device)
        counts = torch.stack([n_tokens, torch.full_like(n_tokens, sum(map(len, lengths)))])
        if self.args.world_size > 1:
            counts = self.accelerator.gather(counts[None]).sum(0) // self.get_tp_size()
        self._global = {"n_tokens": counts[0], "n_samples": counts[1]}
        return batches, None

    def create_scheduler(self, num_training_steps: int, optimizer: torch.optim.Optimizer | None = None) -> LRScheduler:
        """A schedule without the first step of transformers' warm-ups, whose learning rate is zero."""
        given = self.lr_scheduler is not None
        warms_up = self.args.get_warmup_steps(num_training_steps) > 0
        scheduler: LRScheduler = super().create_scheduler(num_training_steps + warms_up, optimizer)
        if warms_up and not given and isinstance(scheduler, LambdaLR):
            self.lr_scheduler = scheduler = LambdaLR(scheduler.optimizer, list(map(_later, scheduler.lr_lambdas)))
        return scheduler

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,  # noqa: FBT001, FBT002 - the trainer's signature
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:
        """A micro-batch's part of the loss of the global batch; in evaluation its mean negative log-likelihood."""
        if not model.training:
            values, lengths = supervised_logprobs(model, inputs)
            self._record_evaluation(values.logprobs, lengths)
            loss, _ = _SFT.loss(values.logprobs, lengths)
            return (loss, {}) if return_outputs else loss
        values, lengths = objective_logprobs(model, inputs, self.objective, self.reference)
        loss, weights = self.objective.loss(values, lengths, **self._global)
        self._record(values, weights)
        # Gradients are averaged over processes, and this loss is a part of a sum over them.
        loss = loss * (self.accelerator.num_processes // self.get_tp_size())
        return (loss, {}) if return_outputs else loss

    def evaluation_loop(
        self, dataloader: Any, description: str, *args: Any, metric_key_prefix: str = "eval", **options: Any
    ) -> EvalLoopOutput:
        """Replace the mean over batches by the mean over tokens."""
        self._eval_sums.clear()
        options["metric_key_prefix"] = metric_key_prefix
        output = super().evaluation_loop(dataloader, description, *args, **options)
        sums = torch.stack(self._eval_sums).sum(0) if self._eval_sums else torch.zeros(2)
        mean = sums[0] / sums[1].clamp(min=1)
        means = {f"{metric_key_prefix}_loss": float(mean), f"{metric_key_prefix}_perplexity": float(mean.exp())}
        return output._replace(metrics={**(output.metrics or {}), **means})

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add what the objective did since the last entry.

        Raises
        ------
        DivergedError
            If the loss or the norm of the gradient is no longer a number: the model is lost.
        """
        if "loss" in logs and self._sample_weights:
            logs.update(self._statistics())
        super().log(logs, start_time)
        # Float16 is expected to overflow now and then: the scaler leaves such a step out.
        for name in ("loss",) if self.args.fp16 else ("loss", "grad_norm"):
            if not math.isfinite(logs.get(name, 0)):
                msg = (
                    f"The run diverged: `{name}` is {logs[name]} at step {self.state.global_step}. Lower the learning "
                    "rate, and begin again in another output."
                )
                raise DivergedError(msg)

    def _get_dataloader(self, dataset: Any, *arguments: Any, **options: Any) -> Any:
        """As the trainer's, with batches that say where their supervised tokens are.

        Not where accelerate may cut a batch of one process into rows for all of them, as it does with streams.
        """
        plain, settings = self.data_collator, cast("Any", self.args.accelerator_config)
        if not (isinstance(dataset, torch.utils.data.IterableDataset) or settings.dispatch_batches):
            self.data_collator = Locating(plain)
        try:
            return super()._get_dataloader(dataset, *arguments, **options)
        finally:
            self.data_collator = plain

    def _record_evaluation(self, logprobs: torch.Tensor, lengths: torch.Tensor) -> None:
        # Sample by sample, since the last batch is filled up with samples that were seen already, which are left out.
        values = wide(logprobs)
        sums = values.new_zeros(len(lengths)).index_add(0, sample_of(lengths, len(values)), values)
        sums, lengths = self.accelerator.gather_for_metrics((sums, lengths))
        self._eval_sums.append(torch.stack([-sums.sum(), lengths.sum().to(sums.dtype)]))

    def _record(self, values: TokenLogprobs, weights: Weights) -> None:
        # Kept on the device: reading a number from a GPU would make every micro-batch wait.
        self._sums["tokens"] += len(values.logprobs)
        self._sums["confidence"] += values.logprobs.detach().exp().sum()
        if values.divergence is not None:
            self._sums["divergence"] += values.divergence.detach().sum()
        self._sums["weight"] += weights.token.sum()
        self._sums["clipped"] += (weights.token >= 1).sum()
        self._sample_weights.append(weights.sample)

    def _statistics(self) -> dict[str, float]:
        from accelerate.utils import gather_object

        sums = torch.tensor([float(self._sums[name]) for name in _SUMS])
        samples = torch.cat(self._sample_weights).tolist()
        self._sums.clear()
        self._sample_weights.clear()
        if self.args.world_size > 1:
            sums = self.accelerator.gather(sums.to(self.args.device)[None]).sum(0).cpu()
            samples = gather_object(samples)
        tokens, confidence, weight, clipped, divergence = sums.tolist()
        statistics = {"supervised_tokens": tokens, "samples": float(len(samples))}
        if tokens:
            statistics |= {"mean_confidence": confidence / tokens, "mean_token_weight": weight / tokens}
            if self.objective.name == "bft":
                statistics["clipped_share"] = clipped / tokens
            if self.objective.kl:
                statistics["mean_divergence"] = divergence / tokens
        if self.objective.per_sample:
            quantiles = torch.tensor(samples).quantile(torch.tensor([0, 0.25, 0.5, 0.75, 1])).tolist()
            names = ("min", "q25", "median", "q75", "max")
            statistics |= {f"sample_weight_{name}": value for name, value in zip(names, quantiles, strict=True)}
        return statistics

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        with publishing(self):
            super()._save_checkpoint(model, trial)

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:  # noqa: FBT001, FBT002
        """Save the model (safetensors) with its tokenizer, and the objective it was trained with."""
        with without_hub_warnings():
            super().save_model(output_dir, _internal_call)
        if self.args.should_save:
            path = Path(str(output_dir or self.args.output_dir)) / "bft_objective.json"
            path.write_text(self.objective.model_dump_json(indent=2) + "\n")


def _later(rate: Callable[[int], float]) -> Callable[[int], float]:
    return lambda step: rate(step + 1)
