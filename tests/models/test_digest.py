import hashlib
import json

import pytest

from bftembed.models import digest
from bftembed.models.digest import directory_digest, former_digests


@pytest.fixture
def model(tmp_path, monkeypatch):
    """Directory with the files of a model, and a cache of the test's own."""
    monkeypatch.setenv("BFTEMBED_CACHE", str(tmp_path / "cache"))
    directory = tmp_path / "model"
    (directory / "1_Pooling").mkdir(parents=True)
    (directory / "model.safetensors").write_bytes(b"weights")
    (directory / "config.json").write_text("{}")
    (directory / "1_Pooling" / "config.json").write_text("{}")
    (directory / "modules.json").write_text('[{"path": ""}, {"path": "1_Pooling"}]')
    (directory / "chat_template.jinja").write_text("{{ messages }}")
    return directory


@pytest.fixture
def hashed(monkeypatch):
    """Names of the files that were read to be hashed."""
    names = []
    real = hashlib.file_digest

    def spy(handle, name):
        names.append(handle.name.rsplit("/", 1)[-1])
        return real(handle, name)

    monkeypatch.setattr(digest.hashlib, "file_digest", spy)
    return names


@pytest.mark.parametrize(
    "name", ["model.safetensors", "config.json", "1_Pooling/config.json", "chat_template.jinja", "modeling.py"]
)
def test_whatever_fixes_the_output_changes_the_digest(model, name):
    before = directory_digest(model)
    (model / name).write_text("something else")
    assert directory_digest(model) != before


def test_a_file_by_another_name_changes_the_digest(model):
    before = directory_digest(model)
    (model / "1_Pooling").rename(model / "2_Pooling")
    assert directory_digest(model) != before


@pytest.mark.parametrize(
    "name",
    [
        *("README.md", "optimizer.pt", "optimizer.bin", "training_args.bin", "trainer_state.json", "all_results.json"),
        *("bft_report.json", "notes.txt", "checkpoint-10/model.safetensors", "runs/model.safetensors"),
    ],
)
def test_unrelated_files_do_not(model, name):
    before = directory_digest(model)
    (model / name).parent.mkdir(exist_ok=True)
    (model / name).write_text("something")
    assert directory_digest(model) == before


def test_the_digest_does_not_depend_on_the_place(model, tmp_path):
    before = directory_digest(model)
    assert directory_digest(model.rename(tmp_path / "elsewhere")) == before


@pytest.mark.parametrize(
    ("name", "field"),
    [
        *(("config.json", "transformers_version"), ("config.json", "_name_or_path")),
        *(("adapter_config.json", "base_model_name_or_path"), ("adapter_config.json", "peft_version")),
        ("tokenizer_config.json", "name_or_path"),
    ],
)
def test_versions_and_places_inside_of_configurations_do_not_count(model, name, field):
    (model / name).write_text(json.dumps({"a": 1, field: "one", "inner": {field: "one"}}))
    before = directory_digest(model)
    (model / name).write_text(json.dumps({field: "another", "inner": {}, "a": 1}, indent=2))
    assert directory_digest(model) == before
    (model / name).write_text(json.dumps({"a": 2, field: "one", "inner": {field: "one"}}))
    assert directory_digest(model) != before


def test_former_digests_are_those_of_version_0_1_whatever_was_added_since(model):
    def of(names):  # as the documentation of version 0.1 has it
        lines = [f"{name}\0{hashlib.sha256((model / name).read_bytes()).hexdigest()}\n" for name in names]
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    names = ["1_Pooling/config.json", "chat_template.jinja", "config.json", "model.safetensors", "modules.json"]
    assert former_digests(model) == {of(names)}
    (model / "bft_report.json").write_text("{}")
    assert former_digests(model) == {of(names), of(sorted([*names, "bft_report.json"]))}


def test_hashing_is_not_repeated_until_a_file_changes(model, hashed):
    first = directory_digest(model)
    read = ["chat_template.jinja", "config.json", "config.json", "model.safetensors", "modules.json"]
    assert sorted(hashed) == read
    hashed.clear()
    assert directory_digest(model) == first
    assert not hashed
    (model / "config.json").write_text('{"a": 1}')
    assert directory_digest(model) != first
    assert hashed


def test_hashing_that_takes_long_is_announced(model, monkeypatch, caplog):
    monkeypatch.setattr(digest, "_WORTH_A_LINE", 3)
    with caplog.at_level("INFO", logger="bftembed"):
        directory_digest(model)
        directory_digest(model)
    assert len([line for line in caplog.messages if "model files" in line]) == 1


def test_a_damaged_memo_is_written_anew(model, hashed, tmp_path):
    first = directory_digest(model)
    [memo] = (tmp_path / "cache" / "digests").iterdir()
    memo.write_text('{"stamp": [')
    hashed.clear()
    assert directory_digest(model) == first
    assert hashed
    hashed.clear()
    assert directory_digest(model) == first
    assert not hashed
