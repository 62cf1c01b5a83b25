"""The examples in docstrings run, and give what they say."""

import doctest
import importlib
from pathlib import Path

import pytest

from bftembed.errors import MissingExtraError
from bftembed.tune.loss import kinds

ROOT = Path(__file__).resolve().parents[1]
FILES = [path.relative_to(ROOT) for path in sorted((ROOT / "bftembed").rglob("*.py")) if ">>> " in path.read_text()]


@pytest.fixture
def _objectives_of_an_example(monkeypatch):
    """What an example registers is forgotten after it."""
    monkeypatch.setattr(kinds, "_KINDS", dict(kinds._KINDS))


@pytest.mark.usefixtures("_objectives_of_an_example")
@pytest.mark.parametrize("file", FILES, ids=str)
def test_examples(file, mirror):
    parts = file.with_suffix("").parts
    try:
        module = importlib.import_module(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    except MissingExtraError as error:
        pytest.skip(str(error))
    assert doctest.testmod(module).failed == 0
