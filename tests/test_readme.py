"""What the README promises."""

import re
import subprocess
import sys
from pathlib import Path

import anndata
import numpy as np
import pytest

from bftembed.cli.main import app

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


@pytest.mark.slow
def test_the_python_example_runs_as_it_stands(model_dir, tmp_path):
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=1200)
    assert done.returncode == 0, done.stderr
    assert "similarity" in done.stdout


def test_every_command_and_option_of_the_readme_exists():
    import typer

    group = typer.main.get_command(app)
    commands = re.findall(r"^bftembed (.*?)(?:#.*)?$", README, re.MULTILINE)
    assert len(commands) >= 8
    for line in commands:
        verb, *rest = line.split()
        command = group.commands[verb]
        if hasattr(command, "commands"):
            command = command.commands[rest[0]]
        known = {option for parameter in command.params for option in [*parameter.opts, *parameter.secondary_opts]}
        assert {word for word in rest if word.startswith("-")} <= known, line


def test_links_lead_to_files():
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_make_targets_of_the_readme_exist():
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"^make ([\w-]+)", README, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_batches_are_moved_together_as_the_concepts_say():
    page = (ROOT / "docs" / "concepts.md").read_text()
    (code,) = re.findall(r"```python\n(import harmonypy.*?)```", page, re.DOTALL)
    random = np.random.default_rng(0)
    adata = anndata.AnnData(obs={"batch": ["a", "b"] * 100})
    shift = np.where(adata.obs["batch"] == "a", 0, 5)[:, None]
    adata.obsm["X_bft"] = (random.standard_normal((200, 5)) + shift).astype(np.float32)
    exec(code, {"adata": adata})
    moved = adata.obsm["X_bft_harmony"]
    gaps = [abs(x[::2].mean(0) - x[1::2].mean(0)).max() for x in (adata.obsm["X_bft"], moved)]
    assert gaps[1] < 0.8 * gaps[0]
