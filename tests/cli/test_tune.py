"""``bftembed tune`` and ``bftembed corpus`` on the command line."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from torch import distributed
from typer.testing import CliRunner

from bftembed.cli import tune as command
from bftembed.cli.main import app
from bftembed.errors import InputError
from bftembed.tune.config import TuneResult, find_config, load_config

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
    with pytest.raises(InputError, match=r"no accelerate configuration .* fsdp2-8gpu, zero3-8gpu"):
        invoke("tune", small)
    started = []
    monkeypatch.delenv("BFTEMBED_LAUNCHED", raising=False)
    monkeypatch.setattr(command.os, "execv", lambda path, arguments: started.append(arguments))
    monkeypatch.setattr(sys, "argv", ["bftembed", "tune", "x.yaml"])
    (tmp_path / "there.yaml").touch()
    command._launch(tmp_path / "there.yaml")
    assert started[0][1:4] == ["-m", "accelerate.commands.launch", "--config_file"]
    assert started[0][-4:] == ["-m", "bftembed", "tune", "x.yaml"]


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
    assert config.num_processes == 8
    assert config.distributed_type == ("FSDP" if "fsdp" in path.stem else "DEEPSPEED")


def test_a_corpus(mirror, tmp_path):
    output = invoke("corpus", "build", "pubmedqa", "--output", tmp_path / "qa", "--limit", "50")
    counts = dict(line.split(": ") for line in output.splitlines()[:3])
    assert sum(map(int, counts.values())) == 50
    assert "left out, beyond the limit: 950" in output
    assert f"written to {tmp_path / 'qa'}" in output
