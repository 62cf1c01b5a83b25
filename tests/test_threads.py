import logging
import os

import pytest
import torch

import bftembed as bft
from bftembed import _threads
from bftembed._threads import advise_once, busy_advice, torch_threads


@pytest.fixture(autouse=True)
def as_before(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    before = torch.get_num_threads()
    advise_once.cache_clear()
    yield
    bft.settings.reset()
    torch.set_num_threads(before)


def test_the_argument_beats_the_setting_and_both_end_with_the_block():
    torch.set_num_threads(2)
    bft.settings.threads = 3
    with torch_threads(1):
        assert torch.get_num_threads() == 1
    with torch_threads():
        assert torch.get_num_threads() == 3
    assert torch.get_num_threads() == 2
    bft.settings.threads = None
    with torch_threads():
        assert torch.get_num_threads() == 2


@pytest.mark.parametrize(("value", "threads"), [("1", 1), ("3,2", 3), ("0", 2), ("many", 2), ("", 2)])
def test_what_another_library_did_to_the_threads_of_the_environment_is_undone(monkeypatch, value, threads):
    monkeypatch.setenv("OMP_NUM_THREADS", value)
    torch.set_num_threads(2)  # as numba's OpenMP layer does
    with torch_threads():
        assert torch.get_num_threads() == threads
    bft.settings.threads = 4
    with torch_threads():
        assert torch.get_num_threads() == 4
    assert torch.get_num_threads() == 2


def test_a_busy_machine_is_said(monkeypatch, caplog):
    monkeypatch.setattr(os, "getloadavg", lambda: (7.3, 0.0, 0.0))
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    with caplog.at_level(logging.INFO, logger="bftembed"), torch_threads(2):
        pass
    assert "load of this machine (7.3) is above its 2 cores" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.INFO, logger="bftembed"), torch_threads(2):
        pass
    assert not caplog.text  # by then the load is its own
    assert busy_advice(1) == ""


def test_a_quiet_machine_and_one_that_does_not_tell_are_not(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    monkeypatch.setattr(os, "getloadavg", lambda: (1.0, 0.0, 0.0))
    assert busy_advice(2) == ""

    def unknown():
        raise OSError

    monkeypatch.setattr(os, "getloadavg", unknown)
    assert busy_advice(2) == ""
    monkeypatch.delattr(os, "getloadavg")  # as on Windows
    assert _threads.load_average() is None
    assert busy_advice(2) == ""
