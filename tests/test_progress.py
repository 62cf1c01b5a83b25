import logging
import sys

import pytest

from bftembed import _progress
from bftembed._progress import progress, spoken


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until it is put forward."""
    now = [1000.0]
    monkeypatch.setattr(_progress.time, "monotonic", lambda: now[0])
    return now


def test_without_a_terminal_a_line_every_half_minute(clock, caplog):
    with caplog.at_level(logging.INFO, logger="bftembed"), progress(15_000, "encode", "text") as shown:
        for _ in range(100):
            clock[0] += 1
            shown.update(20, note="190 tokens/s")
    assert caplog.messages == [
        "encode: 600 of 15,000 texts, 20.0 per second, 190 tokens/s, about 12 min left",
        "encode: 1,200 of 15,000 texts, 20.0 per second, 190 tokens/s, about 12 min left",
        "encode: 1,800 of 15,000 texts, 20.0 per second, 190 tokens/s, about 11 min left",
    ]
    assert shown.done == 2000


def test_short_work_says_nothing(clock, caplog):
    with caplog.at_level(logging.INFO, logger="bftembed"), progress(10, "encode", "text") as shown:
        for _ in range(10):
            clock[0] += 2
            shown.update()
    assert not caplog.messages


def test_false_is_silence_and_true_a_bar(clock, caplog, capsys):
    for show in (False, True):
        with caplog.at_level(logging.INFO, logger="bftembed"), progress(10, "encode", "text", show=show) as shown:
            clock[0] += 100
            shown.update(10)
    assert not caplog.messages
    assert "10/10" in capsys.readouterr().err


def test_a_terminal_gets_a_bar(monkeypatch, capsys, clock):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with progress(4, "profiles", "text") as shown:
        shown.update(4, note="fast")
    assert "profiles: 100%" in (said := capsys.readouterr().err)
    assert "fast" in said


def test_work_that_has_not_begun_has_no_time_left(clock, caplog):
    with caplog.at_level(logging.INFO, logger="bftembed"), progress(10, "embed cells", "cell") as shown:
        clock[0] += 40
        shown.update(0)
        clock[0] += 40
        shown.update(1)
    assert caplog.messages == [
        "embed cells: 0 of 10 cells, 0.0 per second",
        "embed cells: 1 of 10 cells, 0.013 per second, about 12 min left",
    ]


@pytest.mark.parametrize(("seconds", "said"), [(3.2, "3 s"), (89, "89 s"), (600, "10 min"), (11_100, "3 h 05 min")])
def test_durations_are_readable(seconds, said):
    assert spoken(seconds) == said
