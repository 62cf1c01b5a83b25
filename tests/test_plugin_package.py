"""The package of docs/plugins.md, installed into an environment of its own and used from the command line."""

import re
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pandas as pd
import pytest

import bftembed

ROOT = Path(bftembed.__file__).parents[1]
PAGE = ROOT / "docs" / "plugins.md"
LONGEST = 30  # lines of an example


def written():
    """Files of the page: the path that a paragraph names, and the block that follows it."""
    blocks = re.findall(r"^`([\w/.]+)`[^`]*?(?:`[^`]*`[^`]*?)*?```(\w+)\n(.*?)^```", PAGE.read_text(), re.S | re.M)
    return {path: code for path, _, code in blocks}


@pytest.fixture(scope="module")
def environment(tmp_path_factory, session_cache):
    """Run a command of an environment that sees this one's packages, and has the plug-ins installed."""
    directory = tmp_path_factory.mktemp("plugins")
    for path, code in written().items():
        file = directory / "source" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(code)
    (directory / "source" / "my_plugins" / "__init__.py").write_text("")
    venv.create(directory / "venv", with_pip=False)
    python = directory / "venv" / "bin" / "python"
    variables = {"base": str(directory / "venv"), "platbase": str(directory / "venv")}
    site = Path(sysconfig.get_path("purelib", vars=variables))
    (site / "outer.pth").write_text(f"{ROOT}\n{sysconfig.get_path('purelib')}\n")
    install = [sys.executable, "-m", "pip", "--python", python, "install", "-q", "--no-deps", "--no-build-isolation"]
    subprocess.run([*install, directory / "source"], check=True, capture_output=True)

    def run(*arguments, status=0):
        done = subprocess.run(
            [python, "-m", "bftembed", *map(str, arguments)], cwd=directory, capture_output=True, text=True, timeout=600
        )
        assert done.returncode == status, done.stderr
        return done.stdout + done.stderr

    run.directory = directory
    return run


def test_the_examples_are_short():
    files = written()
    assert set(files) == {
        "pyproject.toml",
        *(f"my_plugins/{n}.py" for n in ("engine", "encoder", "objective", "source", "task")),
    }
    assert all(code.count("\n") < LONGEST for code in files.values())


def test_an_engine_and_an_encoder_are_used_by_their_names(environment):
    (environment.directory / "genes.txt").write_text("TP53\nBRCA1\n")
    environment(
        "embed", "genes.txt", "-o", "vectors.csv", "--engine", "echo:about", "--encoder", "letters:ABP", "--facts",
        "none", "--store", "texts.sqlite",
    )  # fmt: skip
    frame = pd.read_csv(environment.directory / "vectors.csv", index_col=0)
    assert frame.index.tolist() == ["TP53", "BRCA1"]
    assert frame.shape == (2, 3)
    said = environment("profiles", "show", "TP53", "--store", "texts.sqlite")
    assert "about" in said


def test_an_embedding_and_a_task_are_benchmarked(environment):
    assert "mine.long_names" in environment("bench", "list", "-t", "mine")
    assert "spelling:ALPHABET" in environment("bench", "list")
    said = environment("bench", "run", "-o", "runs", "-e", "spelling:1", "-t", "mine", "--jobs", "1")
    assert re.search(r"mine\.long_names +spelling:1 +own +auroc 0\.9\d+", said), said


def test_an_objective_is_known_to_tune(environment):
    config = "objective: {name: %s, options: {power: 1.0}}\nmodel: default\ndata: {train: nothing.jsonl}\noutput: out\n"
    for name, said in (("focal", "nothing.jsonl"), ("focus", "did you mean `focal`?")):
        (environment.directory / "config.yaml").write_text(config % name)
        assert said in environment("tune", "config.yaml", status=1)


def test_doctor_lists_plug_ins(environment):
    assert "engines: echo" in environment("doctor")
