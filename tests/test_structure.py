"""The house rules that no linter of ours checks: no private name is imported from another package."""

import ast
from pathlib import Path

import pytest

import bftembed

ROOT = Path(bftembed.__file__).parents[1]
FILES = sorted(file for folder in ("bftembed", "tasks", "benchmarks") for file in (ROOT / folder).rglob("*.py"))


def imported(tree):
    """Full names of all that a module imports from the package, wherever in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def private_owner(name):
    """Package that the first private part of a dotted name belongs to."""
    parts = name.split(".")
    at = next((i for i, part in enumerate(parts) if part.startswith("_") and not part.startswith("__")), None)
    return None if at is None else ".".join(parts[:at])


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_private_names_stay_in_their_package(file):
    here = ".".join(file.relative_to(ROOT).with_suffix("").parts)
    foreign = [
        name
        for name in imported(ast.parse(file.read_text(encoding="utf-8")))
        if name.startswith("bftembed.") and (owner := private_owner(name)) and not f"{here}.".startswith(f"{owner}.")
    ]
    assert not foreign


def test_the_rule_sees_private_modules_and_private_names():
    code = "from bftembed.tl._entities import TextSource\nfrom bftembed.bench.base import _hidden\nimport numpy"
    found = list(imported(ast.parse(code)))
    assert [private_owner(name) for name in found] == ["bftembed.tl", "bftembed.bench.base", None]
