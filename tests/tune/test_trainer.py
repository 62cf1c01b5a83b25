"""The trainer: the same loss and parameters however a global batch is split."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import Trainer

from bftembed.errors import InputError, TuneError
from bftembed.tune import Objective, make_loss
from bftembed.tune.data.dataset import Collator
from bftembed.tune.loss.head import add_logprob_head, supervised_logprobs

sys.path.insert(0, str(Path(__file__).parent))
import training_worker as worker

OBJECTIVES = ["sft", "dft", "bft-v1", "bft", "eaft"]


def result(output):
    log, evaluation = json.loads((output / "log.json").read_text())
    return log, evaluation, torch.load(output / "model.pt")


def assert_same(first, second):
    for one, other in zip(first[0], second[0], strict=True):
        assert one["loss"] == pytest.approx(other["loss"], rel=2e-5)
        if "grad_norm" in other:
            assert one["grad_norm"] == pytest.approx(other["grad_norm"], rel=2e-4)
    for name, value in first[2].items():
        torch.testing.assert_close(value, second[2][name], rtol=2e-4, atol=2e-6)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Results of a batch of eight in one piece."""
    folder = tmp_path_factory.mktemp("whole")
    for name in OBJECTIVES:
        worker.run_tuner(folder / name, name, 8, 1)
    return {name: result(folder / name) for name in OBJECTIVES}


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize(("batch_size", "accumulation", "packing"), [(1, 8, False), (4, 2, False), (4, 2, True)])
def test_accumulation_and_packing_change_nothing(tmp_path, whole, objective, batch_size, accumulation, packing):
    worker.run_tuner(tmp_path, objective, batch_size, accumulation, packing=packing)
    split = result(tmp_path)
    assert_same(split, whole[objective])
    assert split[1] == pytest.approx(whole[objective][1], rel=1e-5)


def launch(output, *arguments):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore", "CUDA_VISIBLE_DEVICES": ""}
    script = [worker.__file__, str(output), *arguments]
    done = subprocess.run([*command, *script], env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return result(output)


@pytest.mark.parametrize("objective", ["sft", "bft"])
def test_two_processes_change_nothing(tmp_path, whole, objective):
    split = launch(tmp_path, objective, "2", "2")
    assert_same(split, whole[objective])
    # Samples that fill up the last evaluation batch of the processes are not counted twice.
    assert split[1] == pytest.approx(whole[objective][1], rel=1e-5)
    for key in ("samples", "supervised_tokens", "mean_confidence", "mean_token_weight", "sample_weight_q25"):
        if key in whole[objective][0][0]:
            assert split[0][0][key] == pytest.approx(whole[objective][0][0][key], rel=1e-4)


def test_a_reference_changes_nothing_of_that(tmp_path):
    """ASFT with the weights of the reference, on an adapter: accumulated, packed, and on two processes."""
    ways = {"whole": (8, 1, {}), "accumulated": (2, 4, {}), "packed": (4, 2, {"packing": True})}
    for name, (batch_size, accumulation, options) in ways.items():
        worker.run_tuner(tmp_path / name, "asft", batch_size, accumulation, lora=True, **options)
    launch(tmp_path / "processes", "asft", "2", "2", "lora")
    expected = result(tmp_path / "whole")
    for name in ("accumulated", "packed", "processes"):
        found = result(tmp_path / name)
        assert_same(found, expected)
        assert found[0][0]["mean_divergence"] == pytest.approx(expected[0][0]["mean_divergence"], rel=1e-4)
    before = worker.adapted(worker.make_model()).state_dict()
    moved = {name for name, value in expected[2].items() if not torch.equal(value, before[name])}
    assert moved == {name for name in before if "lora_" in name}


def test_a_reference_of_its_own_is_the_model_without_its_adapter(tmp_path):
    runs = {}
    for own in (False, True):
        tuner = worker.make_tuner(tmp_path, "asft", 4, 2, lora=True)
        if own:
            model = worker.adapted(worker.make_model())
            tuner = type(tuner)(
                model,
                tuner.args,
                objective=tuner.objective,
                reference=worker.make_model(),
                train_dataset=tuner.train_dataset,
                data_collator=tuner.data_collator,
            )
        tuner.train()
        runs[own] = ([entry for entry in tuner.state.log_history if "loss" in entry], None, tuner.model.state_dict())
    assert_same(runs[True], runs[False])
    assert runs[True][0][0]["mean_divergence"] > 0.01


@pytest.mark.parametrize("options", [{"name": "asft"}, {"name": "bft", "weights_from": "reference"}])
def test_without_an_adapter_or_a_reference(tmp_path, options):
    arguments = worker.make_tuner(tmp_path, "sft", 4, 2).args
    with pytest.raises(InputError, match=r"needs the frozen model.*Train an adapter \(`lora`\), or give `Tuner`"):
        worker.Tuner(worker.make_model(), arguments, objective=Objective(**options))


@pytest.mark.parametrize("objective", ["dft", "bft"])
def test_fsdp_on_two_processes_changes_nothing(tmp_path, objective):
    sharded = launch(tmp_path, objective, "-", "-", "fsdp")
    model, data = worker.make_model(), worker.make_dataset()
    add_logprob_head(model)
    optimizer, losses = torch.optim.SGD(model.parameters(), lr=0.1), []
    for step in range(3):
        batch = Collator(0)([data[index] for index in range(8 * step, 8 * step + 8)])
        values, lengths = supervised_logprobs(model, batch)
        loss, _ = Objective(name=objective, window=8).loss(values.logprobs, lengths)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append({"loss": float(loss.detach())})
    assert_same(sharded, (losses, None, model.state_dict()))


def test_sft_is_the_trainers_own_loss(tmp_path, whole):
    """Independent oracle: transformers' trainer with the model's own loss."""
    ours = worker.make_tuner(tmp_path, "sft", 4, 2)
    theirs = Trainer(worker.make_model(), ours.args, train_dataset=worker.make_dataset(), data_collator=Collator(0))
    theirs.train()
    log = [entry for entry in theirs.state.log_history if "loss" in entry]
    assert_same((log, None, theirs.model.state_dict()), whole["sft"])


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize(("batch_size", "accumulation"), [(8, 1), (2, 4)])
def test_make_loss_in_the_trainer_of_transformers(tmp_path, whole, objective, batch_size, accumulation):
    arguments = worker.make_tuner(tmp_path, "sft", batch_size, accumulation).args
    trainer = Trainer(
        worker.make_model(),
        arguments,
        train_dataset=worker.make_dataset(),
        data_collator=Collator(0),
        compute_loss_func=make_loss(objective, window=8, samples_per_step=8),
    )
    trainer.train()
    log = [entry for entry in trainer.state.log_history if "loss" in entry]
    assert_same((log, None, trainer.model.state_dict()), whole[objective])


def test_the_log_says_what_the_objective_did(tmp_path):
    tuner = worker.make_tuner(tmp_path, "bft", 8, 1)
    tuner.train()
    logs = [entry for entry in tuner.state.log_history if "loss" in entry]
    assert len(logs) == 3
    model, data = worker.make_model(), worker.make_dataset()
    add_logprob_head(model)
    order = list(tuner.get_train_dataloader())
    assert sum(entry["samples"] for entry in logs) == 24
    first = logs[0]
    assert 0 < first["mean_confidence"] < 1
    assert 0 < first["mean_token_weight"] <= 1
    assert 0 < first["clipped_share"] < 1
    quantiles = [first[f"sample_weight_{name}"] for name in ("min", "q25", "median", "q75", "max")]
    assert quantiles == sorted(quantiles)
    assert all(0 <= value <= 1 for value in quantiles)
    assert {"grad_norm", "learning_rate", "supervised_tokens"} <= first.keys()
    assert len(order) == math.ceil(len(data) / 8)


def test_the_first_step_of_the_log_by_hand(tmp_path):
    tuner = worker.make_tuner(tmp_path, "bft", 28, 1)
    tuner.train()
    model = worker.make_model()
    add_logprob_head(model)
    data = worker.make_dataset()
    with torch.no_grad():
        values, lengths = supervised_logprobs(model, Collator(0)([data[index] for index in range(len(data))]))
    confidences = [np.exp(part.numpy().astype(float)) for part in values.logprobs.split(lengths.tolist())]
    weights, lowest = [], []
    for sample in confidences:
        n = len(sample)
        starts = [min(max(t - 4, 0), max(n - 8, 0)) for t in range(n)]
        context = np.array([sample[start : start + 8].mean() for start in starts])
        weights.append(np.clip(sample / context, 0, 1))
        lowest.append(1 - context.min())
    logged = tuner.state.log_history[0]
    assert logged["mean_confidence"] == pytest.approx(np.concatenate(confidences).mean(), rel=1e-4)
    assert logged["mean_token_weight"] == pytest.approx(np.concatenate(weights).mean(), rel=1e-4)
    assert logged["clipped_share"] == pytest.approx((np.concatenate(weights) >= 1).mean(), abs=1e-3)
    assert logged["sample_weight_median"] == pytest.approx(np.median(lowest), rel=1e-4)
    loss = [weight * (w * -np.log(c)).mean() for weight, w, c in zip(lowest, weights, confidences, strict=True)]
    assert logged["loss"] == pytest.approx(np.mean(loss), rel=1e-4)


def test_evaluation_is_the_mean_over_tokens(tmp_path):
    tuner = worker.make_tuner(tmp_path, "bft", 4, 1)
    metrics = tuner.evaluate()
    model, data = worker.make_model(), worker.make_dataset()
    total = count = 0.0
    with torch.no_grad():
        for index in range(len(data)):
            batch = Collator(0)([data[index]])
            n = int((batch["labels"][:, 1:] != -100).sum())
            total += float(model(**batch).loss) * n
            count += n
    assert metrics["eval_loss"] == pytest.approx(total / count, rel=1e-5)
    assert metrics["eval_perplexity"] == pytest.approx(math.exp(total / count), rel=1e-4)


def test_a_step_without_supervised_tokens_changes_nothing(tmp_path):
    tuner = worker.make_tuner(tmp_path, "bft", 4, 1)
    tuner.train_dataset._mask[:] = False
    tuner.train()
    assert [entry["loss"] for entry in tuner.state.log_history[:3]] == [0, 0, 0]
    for ours, before in zip(tuner.model.parameters(), worker.make_model().parameters(), strict=True):
        torch.testing.assert_close(ours, before, rtol=0, atol=0)


def test_the_objective_is_saved_beside_the_model(tmp_path):
    tuner = worker.make_tuner(tmp_path / "run", "bft-v1", 4, 1)
    tuner.save_model(str(tmp_path / "model"))
    saved = Objective.model_validate_json((tmp_path / "model" / "bft_objective.json").read_text())
    assert saved == Objective(name="bft-v1", window=8)
    assert (tmp_path / "model" / "model.safetensors").exists()


def test_a_stream_that_ends_is_begun_again(tmp_path):
    class Stream(torch.utils.data.IterableDataset):
        def __iter__(self):
            data = worker.make_dataset()
            return (data[index] for index in range(8))

    tuner = worker.make_tuner(tmp_path, "bft", 4, 1)
    tuner.train_dataset = Stream()
    tuner.train()
    first, _, third = (entry["samples"] for entry in tuner.state.log_history[:3])
    assert (tuner.state.global_step, first, third) == (3, 4, 4)


def test_a_run_that_diverges_ends(tmp_path):
    """The trainer of transformers logs a loss of 0 instead, and saves a model of NaN."""
    tuner = worker.make_tuner(tmp_path, "sft", 4, 1)
    with torch.no_grad():
        next(tuner.model.parameters()).fill_(torch.nan)
    with pytest.raises(TuneError, match=r"diverged: `loss` is nan at step 1\. Lower the learning rate"):
        tuner.train()
    assert math.isnan(tuner.state.log_history[0]["loss"])


@pytest.mark.parametrize(("schedule", "warmup"), [("cosine", 1), ("linear", 3), ("constant_with_warmup", 2)])
def test_a_warm_up_begins_above_zero_and_ends_before_zero(tmp_path, schedule, warmup):
    """One step more than there are, without the first: else a step is spent on nothing."""
    from transformers import get_scheduler

    tuner = worker.make_tuner(tmp_path, "sft", 4, 1)
    tuner.args.lr_scheduler_type, tuner.args.warmup_steps = schedule, warmup
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer, other = (torch.optim.SGD([parameter], lr=0.5) for _ in range(2))
    scheduler = tuner.create_scheduler(8, optimizer)
    plain = get_scheduler(schedule, other, num_warmup_steps=warmup, num_training_steps=9)
    rates, expected = [], []
    for _ in range(9):
        for each, lr, kept in ((optimizer, scheduler, rates), (other, plain, expected)):
            kept.append(each.param_groups[0]["lr"])
            each.step()
            lr.step()
    assert rates[:8] == pytest.approx(expected[1:])
    assert expected[0] == 0
    assert all(rates[:8])


def test_without_warm_up_the_schedule_is_that_of_transformers(tmp_path):
    tuner = worker.make_tuner(tmp_path, "sft", 4, 1)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
    assert [group["lr"] for group in tuner.create_scheduler(8, optimizer).optimizer.param_groups] == [0.5]
