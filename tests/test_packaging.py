"""The version of the package comes from the tags of the repository."""

import subprocess
import tomllib
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1] / "pyproject.toml"


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A directory with the version source of this project, and `git` in it."""
    pytest.importorskip("hatch_vcs", reason="the source of versions is missing: pip install hatch-vcs")
    source = tomllib.loads(PROJECT.read_text())["tool"]["hatch"]["version"]
    lines = [f'{key} = "{value}"' for key, value in source.items()]
    head = '[project]\nname = "made"\ndynamic = ["version"]\n[tool.hatch.version]\n'
    (tmp_path / "pyproject.toml").write_text(head + "\n".join(lines))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "none"))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "a")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "a@example.org")

    def git(*arguments):
        subprocess.run(["git", *arguments], cwd=tmp_path, check=True, capture_output=True)

    return tmp_path, git


def version_of(directory):
    from hatchling.metadata.core import ProjectMetadata
    from hatchling.plugin.manager import PluginManager

    return ProjectMetadata(str(directory), PluginManager()).version


def test_of_a_checkout(checkout):
    directory, git = checkout
    assert version_of(directory) == "0.0.0"  # no repository: an archive
    git("init", "-q")
    git("add", ".")
    git("commit", "-q", "-m", "one")
    assert version_of(directory).startswith("0.0.1.dev1+g")  # no tag
    git("tag", "v0.3.0")
    assert version_of(directory) == "0.3.0"
    git("commit", "-q", "--allow-empty", "-m", "two")
    assert version_of(directory).startswith("0.3.1.dev1+g")
