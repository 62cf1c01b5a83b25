"""`bftembed corpus build`, as a user meets it."""

import json

import pytest
from typer.testing import CliRunner

from bftembed.cli.main import app
from bftembed.errors import BftembedError


def invoke(*arguments):
    """Run in this process; errors of the package come out as they are."""
    return CliRunner().invoke(app, ["corpus", *map(str, arguments)], catch_exceptions=False)


def test_build_says_what_it_made(mirror, tmp_path):
    output = tmp_path / "qa"
    done = invoke("build", "pubmedqa", "--output", output, "--limit", 50)
    assert done.exit_code == 0, done.output
    report = json.loads((output / "corpus.json").read_text())
    assert sum(report["samples"].values()) == 50
    for split, count in report["samples"].items():
        assert f"{split}: {count}" in done.output.splitlines()
        assert len((output / f"{split}.jsonl").read_text().splitlines()) == count
    assert "left out, beyond the limit: 950" in done.output
    assert str(output) in done.output
    with pytest.raises(BftembedError, match="or overwrite the corpus"):
        invoke("build", "pubmedqa", "-o", output)
    assert invoke("build", "pubmedqa", "-o", output, "--overwrite", "--seed", 1).exit_code == 0
    assert json.loads((output / "corpus.json").read_text())["seed"] == 1


def test_bad_arguments(tmp_path):
    refused = invoke("build", "pubmed", "-o", tmp_path / "a")
    assert refused.exit_code == 2
    assert "'genes'" in refused.output
    assert "'pubmedqa'" in refused.output
    assert invoke("build", "genes").exit_code == 2
    assert invoke("build", "genes", "-o", tmp_path / "a", "--limit", 0).exit_code == 2
    assert list(tmp_path.iterdir()) == []


def test_without_the_data_it_says_what_to_fetch(monkeypatch, tmp_path):
    monkeypatch.delenv("BFTEMBED_MIRROR", raising=False)
    monkeypatch.setenv("BFTEMBED_CACHE", str(tmp_path / "cache"))
    with pytest.raises(BftembedError, match="bftembed data fetch genes"):
        invoke("build", "genes", "-o", tmp_path / "genes")
