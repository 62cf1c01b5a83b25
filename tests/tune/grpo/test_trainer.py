"""Runs that are stopped and go on, of which each has to end as one that was not."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from safetensors.numpy import load_file

from bftembed.errors import InputError, TuneError
from bftembed.tune.config import GRPOSettings, Lora, parse_config
from bftembed.tune.grpo.train import run_grpo, train_grpo
from bftembed.tune.logs import read_log

pytest.importorskip("trl", reason="pip install 'bftembed[tune]'")
pytest.importorskip("peft", reason="pip install 'bftembed[tune]'")

from bftembed.tune.grpo.trainer import make_arguments, ordered

# Fewer than six steps ask: the second round through them begins in the middle.
QUESTIONS = [
    {"prompt": f"Is {n} even? Answer with yes or no.", "answer": ("yes", "no")[n % 2], "choices": ["yes", "no"]}
    for n in range(5)
]
SIZES = {"steps": 6, "prompts_per_step": 2, "num_generations": 2, "batch_size": 2, "max_new_tokens": 3}
VALUES = SIZES | {"beta": 0.1, "learning_rate": 0.01, "save_steps": 2, "keep_checkpoints": 9, "reward": "random"}
LORA = Lora(r=2, lora_alpha=4)
_TIMES = {"step_time", "train_runtime", "train_samples_per_second", "train_steps_per_second", "train_loss"}


def entries(directory):
    """The log without what the clock says, and without the mean of the losses since the start of the process."""
    return [{key: entry[key] for key in entry.keys() - _TIMES} for entry in read_log(directory / "log.jsonl")]


def weights(directory):
    return load_file(next(directory.glob("*model.safetensors")))


def same(one, two):
    assert entries(one) == entries(two)
    first, second = weights(one), weights(two)
    assert first.keys() == second.keys()
    assert all(np.array_equal(first[name], second[name]) for name in first)
    assert json.loads((one / "bft_grpo.json").read_text()) == json.loads((two / "bft_grpo.json").read_text())


@pytest.fixture(scope="module")
def whole(tiny_model, tmp_path_factory):
    """Directory of a run of six steps that was not stopped."""
    output = tmp_path_factory.mktemp("grpo") / "whole"
    train_grpo(str(tiny_model), QUESTIONS, output, settings=GRPOSettings(**VALUES), lora=LORA)
    return output


def interrupted(whole, output, step):
    """A copy of a run as one leaves it that is killed after the checkpoint at a step."""
    shutil.copytree(whole, output)
    for path in output.glob("checkpoint-*"):
        if int(path.name.split("-")[1]) > step:
            (path / "complete").unlink()  # half written
    (output / "bft_grpo.json").unlink()
    return output


def test_a_run_killed_ends_as_one_that_was_not(whole, tiny_model, tmp_path):
    data, output, path = tmp_path / "questions.jsonl", tmp_path / "out", tmp_path / "grpo.yaml"
    data.write_text("".join(json.dumps(question) + "\n" for question in QUESTIONS))
    config = {"model": str(tiny_model), "data": {"train": str(data)}, "output": str(output), "objective": "grpo"}
    config |= {"lora": LORA.model_dump(), "grpo": VALUES}
    path.write_text(yaml.safe_dump(config))
    command = [sys.executable, "-m", "bftembed", "tune", str(path)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ)
    while not any(entry["step"] >= 3 for entry in read_log(output / "log.jsonl")):  # between two checkpoints
        assert process.poll() is None
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (output / "bft_grpo.json").exists()
    run_grpo(parse_config(config))
    same(output, whole)


def test_a_run_killed_after_its_last_step_goes_on_from_there(whole, tiny_model, tmp_path):
    output = interrupted(whole, tmp_path / "out", 6)
    train_grpo(str(tiny_model), QUESTIONS, output, settings=GRPOSettings(**VALUES), lora=LORA)
    same(output, whole)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["adapter trained further", "all weights, answers used twice"])
def test_every_kind_of_run_goes_on_exactly(whole, tiny_model, tmp_path, kind):
    further = kind.startswith("adapter")
    settings = GRPOSettings(
        **VALUES | {"steps": 4, "beta": 0.1 if further else 0, "trainer": {} if further else {"num_iterations": 2}}
    )
    start = str(whole if further else tiny_model)
    one, two = tmp_path / "one", tmp_path / "two"
    train_grpo(start, QUESTIONS, one, settings=settings)
    interrupted(one, two, 2)
    train_grpo(start, QUESTIONS, two, settings=settings)
    same(two, one)


def test_a_finished_run_is_recognised(whole, tiny_model):
    before = (whole / "log.jsonl").stat().st_mtime_ns
    again = train_grpo(str(tiny_model), QUESTIONS, whole, settings=GRPOSettings(**VALUES), lora=LORA)
    assert (whole / "log.jsonl").stat().st_mtime_ns == before
    assert len(again.rewards) == 6


@pytest.mark.parametrize(
    ("changes", "questions", "message"),
    [({"seed": 1}, QUESTIONS, "`grpo.seed` was 0 and is 1"), ({}, QUESTIONS[:4], "`data.train` was")],
)
def test_other_settings_are_refused(whole, tiny_model, changes, questions, message):
    with pytest.raises(TuneError, match=message):
        train_grpo(str(tiny_model), questions, whole, settings=GRPOSettings(**VALUES | changes), lora=LORA)


def test_half_written_checkpoints_are_not_used_and_a_full_disk_leaves_one(whole, tiny_model, tmp_path, small_files):
    output = interrupted(whole, tmp_path / "out", 2)
    with small_files(10_000), pytest.raises(TuneError, match=r"checkpoint-4. could not be saved: .*checkpoint-2"):
        train_grpo(str(tiny_model), QUESTIONS, output, settings=GRPOSettings(**VALUES), lora=LORA)
    assert not (output / "checkpoint-4").exists()
    train_grpo(str(tiny_model), QUESTIONS, output, settings=GRPOSettings(**VALUES), lora=LORA)
    same(output, whole)


@pytest.mark.parametrize("name", ["output_dir", "save_only_model", "logging_steps", "sync_ref_model"])
def test_arguments_that_break_a_run_that_goes_on_are_refused(tmp_path, name):
    with pytest.raises(InputError, match=f"takes no `{name}`"):
        make_arguments(GRPOSettings(trainer={name: 1}), tmp_path)


def test_checkpoints_are_written_where_answers_are_used_up(tmp_path):
    values = {"num_iterations": 2, "steps_per_generation": 6, "gradient_accumulation_steps": 4}
    settings = GRPOSettings(prompts_per_step=4, num_generations=8, batch_size=8, save_steps=4, trainer=values)
    arguments = make_arguments(settings, tmp_path)
    assert arguments.save_steps == 6  # 12 micro-batches are three steps


def test_every_question_is_asked_once_in_a_round_and_rounds_differ():
    datasets = pytest.importorskip("datasets", reason="pip install 'bftembed[tune]'")
    data = datasets.Dataset.from_dict({"n": list(range(6))})
    arguments = SimpleNamespace(
        generation_batch_size=8, num_generations=2, max_steps=3, seed=1, steps_per_generation=2, num_iterations=1
    )
    arguments.gradient_accumulation_steps = 2
    order = ordered(data, arguments)["n"][:]
    assert len(order) == 12
    assert sorted(order[:6]) == sorted(order[6:]) == list(range(6))
    assert order[:6] != order[6:]
    assert ordered(data, arguments)["n"][:] == order
