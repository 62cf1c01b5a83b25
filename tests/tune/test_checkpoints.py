"""Checkpoints and the log file."""

import json
from types import SimpleNamespace

import pytest

from bftembed.errors import TuneError
from bftembed.tune.checkpoints import LogFile, last_checkpoint, remove_broken
from bftembed.tune.logs import read_log


def make(folder, step, *, whole):
    path = folder / f"checkpoint-{step}"
    path.mkdir()
    if whole:
        (path / "complete").touch()
    return path


def test_the_last_whole_checkpoint(tmp_path):
    assert last_checkpoint(tmp_path) is None
    assert last_checkpoint(tmp_path / "absent") is None
    make(tmp_path, 20, whole=True)
    hundred = make(tmp_path, 100, whole=True)
    broken = make(tmp_path, 120, whole=False)
    (tmp_path / "checkpoint-best").mkdir()
    assert last_checkpoint(tmp_path) == hundred
    remove_broken(tmp_path)
    assert not broken.exists()
    assert hundred.exists()
    assert (tmp_path / "checkpoint-best").exists()


def test_an_earlier_one_that_is_not_ours_is_left(tmp_path):
    other = make(tmp_path, 10, whole=False)
    make(tmp_path, 20, whole=True)
    remove_broken(tmp_path)
    assert other.exists()


def test_a_log_that_goes_on_drops_what_came_after_the_checkpoint(tmp_path):
    path = tmp_path / "log.jsonl"
    lines = [json.dumps({"step": step, "loss": step / 2}) for step in range(1, 6)]
    path.write_text("\n".join(lines) + '\n{"step": 6, "lo')
    assert [entry["step"] for entry in read_log(path)] == [1, 2, 3, 4, 5]
    state = SimpleNamespace(is_world_process_zero=True, global_step=3, max_steps=9)
    log = LogFile(path)
    log.on_train_begin(None, state, None)
    state.global_step = 4
    log.on_log(None, state, None, logs={"loss": 9.0})
    assert [(entry["step"], entry["loss"]) for entry in read_log(path)] == [(1, 0.5), (2, 1.0), (3, 1.5), (4, 9.0)]
    state.global_step = 0
    log.on_train_begin(None, state, None)
    assert read_log(path) == []


def test_only_the_first_process_writes(tmp_path):
    state = SimpleNamespace(is_world_process_zero=False, global_step=0)
    log = LogFile(tmp_path / "log.jsonl")
    log.on_train_begin(None, state, None)
    log.on_log(None, state, None, logs={"loss": 1.0})
    assert not (tmp_path / "log.jsonl").exists()


def test_a_log_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "log.jsonl").mkdir()
    make(tmp_path, 20, whole=True)
    state = SimpleNamespace(is_world_process_zero=True, global_step=0, max_steps=3)
    log = LogFile(tmp_path / "log.jsonl")
    for write in (
        lambda: log.on_train_begin(None, state, None),
        lambda: log.on_log(None, state, None, logs={"loss": 1.0}),
    ):
        with pytest.raises(TuneError, match=r"log.jsonl` could not be saved: .*checkpoint-20`, is untouched"):
            write()
