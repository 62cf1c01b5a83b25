"""What the README promises."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import anndata
import numpy as np
import pytest

from bftembed.cli.main import app

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


def test_the_python_example_prints_and_draws_what_is_shown(mirror, model_dir, tmp_path):
    (code,), (printed,) = blocks("python"), blocks("text")
    environment = {**os.environ, "MPLBACKEND": "agg"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=1200
    )
    assert done.returncode == 0, done.stderr
    assert printed in done.stdout
    assert (tmp_path / "figures" / "umap_cells.png").stat().st_size > 20_000


@pytest.mark.slow
def test_all_commands_run_in_this_order_in_an_empty_directory(mirror, model_dir, tmp_path):
    commands = [line for block in blocks("") for line in block.splitlines() if line.startswith("bftembed ")]
    assert len(commands) > 10
    for command in commands:
        words = [str(Path(sys.executable).with_name("bftembed")), *shlex.split(command, comments=True)[1:]]
        done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=3600)
        assert done.returncode == 0, f"{command}\n{done.stderr}"
        if "bench run" in command:
            for row in re.findall(r"^\| `(.*?)` \| (.*?) \|$", README, re.MULTILINE):
                assert re.search(r"{} +shared +auroc {}".format(*map(re.escape, row)), done.stdout), row
    (baseline,) = re.findall(r"best trivial baseline \| (.*?) \|$", README, re.MULTILINE)
    assert baseline in (tmp_path / "report.html").read_text()


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
