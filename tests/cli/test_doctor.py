import importlib.util
import os

import pytest
import torch
from typer.testing import CliRunner

from bftembed.cli import doctor
from bftembed.cli.main import app


def said():
    result = CliRunner().invoke(app, ["doctor"], catch_exceptions=False)
    assert result.exit_code == 0
    return result.output


@pytest.fixture
def without(monkeypatch):
    """Pretend that some packages are not installed."""

    def hide(*modules):
        real = importlib.util.find_spec
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in modules else real(name))

    return hide


def test_versions_machine_data_and_a_verdict(monkeypatch, tmp_path):
    monkeypatch.setenv("BFTEMBED_CACHE", str(tmp_path))
    monkeypatch.delenv("BFTEMBED_MIRROR", raising=False)
    lines = said().splitlines()
    text = "\n".join(lines)
    assert f"torch {torch.__version__}" in text
    assert "GiB memory" in text
    assert "missing: run `bftembed data fetch genes`" in text
    assert "data sets  0 of " in text
    assert "not asked (HF_HUB_OFFLINE is set)" in text
    assert "yes tune language models" in lines


def test_what_is_missing_comes_with_the_line_that_installs_it(without):
    without("trl", "torch")
    text = said()
    assert 'missing trl: pip install "bftembed[tune]"' in text
    assert 'no  tune language models: pip install "bftembed[tune]"' in text
    assert 'no  write and encode texts in this process: pip install "bftembed[local]"' in text
    assert "yes embed with annotation and files" in text


def test_a_platform_that_tells_nothing_of_memory_and_load(monkeypatch):
    monkeypatch.delattr(os, "sysconf")
    monkeypatch.delattr(os, "getloadavg")
    text = said()
    assert "GiB memory" not in text
    assert "load" not in next(line for line in text.splitlines() if line.startswith("machine"))
    assert doctor._memory() == ""


def test_a_busy_machine_is_told(monkeypatch):
    monkeypatch.setattr(os, "getloadavg", lambda: (99.0, 0.0, 0.0))
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    assert "The load of this machine (99.0) is above its" in said()
