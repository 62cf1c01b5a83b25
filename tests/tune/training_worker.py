"""A small training run, alone or as one of several processes; writes the log and the parameters.

python training_worker.py OUTPUT OBJECTIVE BATCH_SIZE ACCUMULATION [packing] [fsdp] [lora]
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM, TrainingArguments

from bftembed.tune.data.dataset import Collator, TokenDataset
from bftembed.tune.loss.head import add_logprob_head, supervised_logprobs
from bftembed.tune.loss.objectives import Objective
from bftembed.tune.trainer import Tuner

N_SAMPLES = 28  # not a multiple of the batch: the last evaluation batch is filled up


def make_model() -> LlamaForCausalLM:
    torch.manual_seed(0)
    size = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    return LlamaForCausalLM(LlamaConfig(vocab_size=101, pad_token_id=0, initializer_range=0.3, **size))


def adapted(model: LlamaForCausalLM) -> PeftModel:
    """With an adapter that has moved the model already: a divergence of zero would hide errors."""
    torch.manual_seed(1)
    return get_peft_model(
        model, LoraConfig(r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False, task_type="CAUSAL_LM")
    )


def make_dataset() -> TokenDataset:
    rng = np.random.default_rng(0)
    lengths = rng.integers(6, 40, N_SAMPLES)
    return TokenDataset([(rng.integers(1, 100, n), [False] * 3 + [True] * (n - 3)) for n in lengths], max_length=64)


def make_tuner(
    output: Path, objective: str, batch_size: int, accumulation: int, *, packing: bool = False, lora: bool = False
) -> Tuner:
    arguments = TrainingArguments(
        output_dir=str(output),
        per_device_train_batch_size=batch_size,
        per_device_eval_batch_size=4,
        gradient_accumulation_steps=accumulation,
        max_steps=3,
        # Plain gradient descent: Adam would turn the rounding of a gradient near zero into a full step.
        optim="sgd",
        learning_rate=0.1,
        max_grad_norm=1e9,
        use_cpu=True,
        report_to="none",
        logging_steps=1,
        save_strategy="no",
        remove_unused_columns=False,
        disable_tqdm=True,
        dataloader_pin_memory=False,
        seed=1,
    )
    data = make_dataset()
    # An objective with an adapter takes its weights from the model without.
    chosen = Objective(name=objective, window=8, weights_from="reference" if lora else "model")
    return Tuner(
        adapted(make_model()) if lora else make_model(),
        arguments,
        objective=chosen,
        train_dataset=data,
        eval_dataset=data,
        data_collator=Collator(0, packing),
    )


def run_tuner(output: Path, objective: str, batch_size: int, accumulation: int, **options: bool) -> None:
    output.mkdir(parents=True, exist_ok=True)
    tuner = make_tuner(output, objective, batch_size, accumulation, **options)
    tuner.train()
    evaluation = tuner.evaluate()
    if tuner.is_world_process_zero():
        save(output, tuner.state.log_history[:3], evaluation["eval_loss"], tuner.accelerator.unwrap_model(tuner.model))


def run_fsdp(output: Path, objective: str) -> None:
    """Three steps with the model sharded by FSDP2, each process having half of a batch of eight."""
    from torch.distributed.fsdp import fully_shard

    torch.distributed.init_process_group("gloo")
    rank, world = torch.distributed.get_rank(), torch.distributed.get_world_size()
    model = make_model()
    add_logprob_head(model)
    for layer in model.model.layers:
        fully_shard(layer)
    fully_shard(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    chosen, data, collate, losses = Objective(name=objective, window=8), make_dataset(), Collator(0), []
    for step in range(3):
        samples = [data[index] for index in range(8 * step, 8 * step + 8)]
        totals = {"n_tokens": sum(int((sample["labels"] != -100).sum()) for sample in samples), "n_samples": 8}
        values, lengths = supervised_logprobs(model, collate(samples[rank::world]))
        loss, _ = chosen.loss(values.logprobs, lengths, **totals)
        (loss * world).backward()
        optimizer.step()
        optimizer.zero_grad()
        total = loss.detach().clone()
        torch.distributed.all_reduce(total)
        losses.append({"loss": float(total)})
    state = {name: value.full_tensor() for name, value in model.state_dict().items()}
    if rank == 0:
        output.mkdir(parents=True, exist_ok=True)
        (output / "log.json").write_text(json.dumps([losses, None]))
        torch.save(state, output / "model.pt")


def save(output: Path, log: list[dict[str, float]], evaluation: float, model: torch.nn.Module) -> None:
    (output / "log.json").write_text(json.dumps([log, evaluation]))
    torch.save(model.state_dict(), output / "model.pt")


def main(output: str, objective: str, batch_size: str, accumulation: str, *flags: str) -> None:
    torch.set_num_threads(1)
    if "fsdp" in flags:
        run_fsdp(Path(output), objective)
    else:
        options = {"packing": "packing" in flags, "lora": "lora" in flags}
        run_tuner(Path(output), objective, int(batch_size), int(accumulation), **options)
    torch.distributed.destroy_process_group()  # else a thread of it that still needs Python aborts the process


if __name__ == "__main__":
    main(*sys.argv[1:])
