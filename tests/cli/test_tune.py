"""``bftembed tune`` and ``bftembed corpus`` on the command line."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file
from torch import distributed
from typer.testing import CliRunner

from bftembed.cli import tune as command
from bftembed.cli.main import app
from bftembed.errors import InputError
from bftembed.tune.config import TuneResult, find_config, load_config
from bftembed.tune.logs import read_log

CONFIGS = Path(__file__).parents[2] / "configs"


def invoke(*arguments):
    result = CliRunner().invoke(app, [*map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture
def small(tmp_path, tiny_model):
    rows = [{"prompt": f"Describe gene G{index}.", "response": "It binds DNA."} for index in range(4)]
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    values = {
        "model": str(tiny_model),
        "data": {"train": str(tmp_path / "train.jsonl"), "validation": str(tmp_path / "train.jsonl")},
        "output": str(tmp_path / "out"),
        "training": {"max_steps": 2, "batch_size": 2},
    }
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


def test_a_run(small, tmp_path):
    output = invoke("tune", small, "--objective", "dft", "--output", tmp_path / "other")
    assert "eval_perplexity: " in output
    assert re.search(r"^perplexity \S+ -> \S+$", output, re.MULTILINE)
    assert f"2 steps; the model is in {tmp_path / 'other'}" in output
    assert json.loads((tmp_path / "other" / "bft_objective.json").read_text())["name"] == "dft"


def test_a_memory_plan(small, tmp_path, tiny_model):
    """From config.json alone, and nothing is written."""
    (tmp_path / "shape").mkdir()
    (tmp_path / "shape" / "config.json").write_bytes((tiny_model / "config.json").read_bytes())
    output = invoke("tune", small, "--model", tmp_path / "shape", "--plan")
    assert re.search(r"parameters, [\d,]+ trained; one process, 1 device; GiB on each:", output)
    assert [line.split()[0] for line in output.splitlines()[1:]][-1] == "total"
    assert not (tmp_path / "out").exists()


def test_an_error_is_one_sentence(small):
    text = small.read_text().replace("max_steps", "max_stepz")
    small.write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", "bftembed", "tune", str(small)], capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].startswith("error: In `")
    assert "there is no key `training.max_stepz`; did you mean `max_steps`?" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_empty_output_is_not_the_working_directory(small):
    """As of a variable that is not set."""
    with pytest.raises(InputError, match="`output` is ''"):
        invoke("tune", small, "--output", "")


@pytest.mark.parametrize("kind", ["MULTI_GPU", "MULTI_CPU"])
def test_through_accelerate(small, tmp_path, kind):
    """The launcher starts this very command again, in as many processes as it wants to: one for MULTI_CPU."""
    values = yaml.safe_load(small.read_text())
    launch = {"compute_environment": "LOCAL_MACHINE", "distributed_type": kind, "num_processes": 2}
    launch |= {"num_machines": 1, "machine_rank": 0, "use_cpu": True, "mixed_precision": "no"}
    launch["main_process_port"] = 0  # any free one
    (tmp_path / "accelerate.yaml").write_text(yaml.safe_dump(launch))
    small.write_text(yaml.safe_dump(values | {"accelerate": str(tmp_path / "accelerate.yaml")}))
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        [sys.executable, "-m", "bftembed", "tune", str(small)],
        capture_output=True,
        text=True,
        timeout=300,
        env=environment,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("2 steps; the model is in") == 1
    assert (tmp_path / "out" / "adapter_model.safetensors").exists()


def launched(path, **changes):
    """A run in two processes by the shipped configuration of FSDP2 for CPUs."""
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | {"accelerate": "fsdp2-cpu"} | changes))
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore", "CUDA_VISIBLE_DEVICES": ""}
    environment = {key: value for key, value in environment.items() if key not in {"LOCAL_RANK", "BFTEMBED_LAUNCHED"}}
    command = [sys.executable, "-m", "bftembed", "tune", str(path)]
    return subprocess.run(command, capture_output=True, text=True, timeout=500, env=environment)


def same_curve(first, second):
    for one, other in zip(first, second, strict=True):
        assert one.keys() == other.keys()
        for key in one.keys() & {"loss", "grad_norm", "eval_loss", "samples", "supervised_tokens", "learning_rate"}:
            assert one[key] == pytest.approx(other[key], rel=1e-4), key


@pytest.mark.parametrize(
    ("lora", "objective"),
    [
        (None, {"name": "bft", "window": 4}),
        pytest.param({"r": 4}, {"name": "bft", "window": 4}, marks=pytest.mark.slow),
        pytest.param({"r": 4}, {"name": "asft", "weights_from": "reference"}, marks=pytest.mark.slow),
    ],
    ids=["full", "lora", "reference"],
)
def test_fsdp2_on_two_processes_changes_nothing(small, tmp_path, lora, objective):
    """The shipped configuration for CPUs: the loss of one process, and a run that goes on from its checkpoint."""
    values = yaml.safe_load(small.read_text()) | {"lora": lora, "objective": objective}
    # Plain gradient descent: Adam would turn the rounding of a gradient near zero into a full step.
    steps = {"max_steps": 4, "save_steps": 2, "learning_rate": 0.05, "trainer": {"optim": "sgd", "max_grad_norm": 1e9}}
    small.write_text(yaml.safe_dump(values | {"training": steps | {"batch_size": 4}}))
    invoke("tune", small, "--output", tmp_path / "one")
    two = {"training": steps | {"batch_size": 2}, "output": str(tmp_path / "two")}
    done = launched(small, **two)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("4 steps; the model is in") == 1
    logs = {name: read_log(tmp_path / name / "log.jsonl") for name in ("one", "two")}
    same_curve(logs["one"], logs["two"])
    name = "adapter_model.safetensors" if lora else "model.safetensors"
    one, made = load_file(tmp_path / "one" / name), load_file(tmp_path / "two" / name)
    assert one.keys() == made.keys()
    for key, value in one.items():
        torch.testing.assert_close(made[key], value, rtol=2e-4, atol=2e-6)
    # Killed after its second step, as far as files tell.
    (tmp_path / "two" / name).unlink()
    (tmp_path / "two" / "bft_report.json").unlink()
    shutil.rmtree(tmp_path / "two" / "checkpoint-4")
    done = launched(small, **two)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "checkpoint-2" in done.stderr
    same_curve(logs["two"], read_log(tmp_path / "two" / "log.jsonl"))
    for key, value in load_file(tmp_path / "two" / name).items():
        torch.testing.assert_close(value, made[key], rtol=0, atol=0)


@pytest.mark.parametrize("changes", [{"lora": {"merge": True}}, {"adapter": "somewhere"}])
def test_split_weights_are_not_merged_into(small, changes):
    """One sentence, before any process is started."""
    done = launched(small, **changes)
    assert done.returncode == 1
    assert re.search(r"^error: .* merges an adapter, for which a process needs all weights", done.stderr, re.MULTILINE)
    assert "Traceback" not in done.stderr


def test_the_process_group_is_left(small, tmp_path, monkeypatch):
    """A thread of the group that calls back into an interpreter that has ended aborts the process."""
    distributed.init_process_group("gloo", init_method=f"file://{tmp_path / 'rendezvous'}", rank=0, world_size=1)
    try:
        monkeypatch.setattr("bftembed.tune.tune", lambda config: TuneResult(tmp_path, 2, {}))
        assert "2 steps" in invoke("tune", small)
        assert not distributed.is_initialized()
    finally:
        if distributed.is_initialized():
            distributed.destroy_process_group()


def test_a_missing_accelerate_file(small, tmp_path, monkeypatch):
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    values = yaml.safe_load(small.read_text())
    small.write_text(yaml.safe_dump(values | {"accelerate": str(tmp_path / "absent.yaml")}))
    with pytest.raises(InputError, match=r"no accelerate configuration .* fsdp2-8gpu, fsdp2-cpu, zero3-8gpu"):
        invoke("tune", small)
    started = []
    monkeypatch.delenv("BFTEMBED_LAUNCHED", raising=False)
    monkeypatch.setattr(command.os, "execve", lambda path, *given: started.extend(given))
    monkeypatch.setattr(sys, "argv", ["bftembed", "tune", "x.yaml"])
    (tmp_path / "there.yaml").touch()
    command._launch(tmp_path / "there.yaml")
    assert started[0][1:4] == ["-m", "accelerate.commands.launch", "--config_file"]
    assert started[0][-4:] == ["-m", "bftembed", "tune", "x.yaml"]
    assert started[1]["BFTEMBED_LAUNCHED"] == "1"
    assert "BFTEMBED_LAUNCHED" not in os.environ


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_configurations_are_right(path):
    config = load_config(path)
    assert config.objective.name == "bft"
    assert load_config(path.stem) == config
    if config.accelerate:
        assert find_config(config.accelerate, "accelerate").parent == CONFIGS / "accelerate"
    assert invoke("tune", path.stem, "--show") == path.read_text()


def test_an_unknown_configuration(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"no configuration `embeded-cpu`: .* 14b-lora-8gpu, .*mean `embedded-"):
        load_config("embeded-cpu")
    (tmp_path / "embedded-cpu").write_text("a file of this name stands before what comes with the package")
    with pytest.raises(InputError, match="is not a mapping"):
        load_config("embedded-cpu")


def test_the_wheel_brings_the_configurations():
    """A run of README's commands needs no checkout."""
    project = tomllib.loads((CONFIGS.parent / "pyproject.toml").read_text())
    included = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert included["configs"] == "bftembed/_shipped/configs"


@pytest.mark.parametrize("path", sorted((CONFIGS / "accelerate").glob("*.yaml")), ids=lambda path: path.stem)
def test_accelerate_takes_the_shipped_files(path):
    from accelerate.commands.config.config_args import ClusterConfig, load_config_from_file

    config = load_config_from_file(str(path))
    assert isinstance(config, ClusterConfig)
    assert config.num_processes == (2 if "cpu" in path.stem else 8)
    assert config.distributed_type == ("FSDP" if "fsdp" in path.stem else "DEEPSPEED")


def test_a_corpus(mirror, tmp_path):
    output = invoke("corpus", "build", "pubmedqa", "--output", tmp_path / "qa", "--limit", "50")
    counts = dict(line.split(": ") for line in output.splitlines()[:3])
    assert sum(map(int, counts.values())) == 50
    assert "left out, beyond the limit: 950" in output
    assert f"written to {tmp_path / 'qa'}" in output
