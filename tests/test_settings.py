import logging
import subprocess
import sys
from pathlib import Path

import pytest

import bftembed as bft
from bftembed.errors import InputError


@pytest.fixture(autouse=True)
def as_before():
    yield
    bft.settings.reset()


@pytest.mark.parametrize(
    ("value", "name", "level"),
    [
        ("error", "error", 40),
        (1, "warning", 30),
        ("info", "info", 20),
        (3, "debug", 10),
        (4, "debug", 10),
        (0, "error", 40),
    ],
)
def test_verbosity_is_the_level_of_the_logger(value, name, level):
    bft.settings.verbosity = value
    assert bft.settings.verbosity == name
    assert logging.getLogger("bftembed").level == level


@pytest.mark.parametrize("value", ["loud", 9, None])
def test_an_unknown_verbosity_is_refused(value):
    with pytest.raises(InputError, match="verbosity is one of"):
        bft.settings.verbosity = value


def test_an_unknown_setting_is_refused_with_the_nearest():
    with pytest.raises(InputError, match=r"no setting `verbose`\. Did you mean `verbosity`\?"):
        bft.settings.verbose = "debug"
    assert not hasattr(bft.settings, "verbose")


@pytest.mark.parametrize("value", [0, -1, 1.5, True, "2"])
def test_threads_are_whole_and_positive(value):
    with pytest.raises(InputError, match="whole number above 0"):
        bft.settings.threads = value


def test_the_cache_is_as_set_else_of_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("BFTEMBED_CACHE", str(tmp_path))
    assert bft.settings.cache_dir == tmp_path
    bft.settings.cache_dir = "~/there"
    assert bft.settings.cache_dir == Path.home() / "there"
    bft.settings.reset()
    assert bft.settings.cache_dir == tmp_path
    assert repr(bft.settings) == f"Settings(verbosity='info', cache_dir={str(tmp_path)!r}, threads=None)"


def errors_of(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stderr


def test_a_user_sees_messages_without_configuring_logging():
    code = "import bftembed as bft, logging\n{}\nlogging.getLogger('bftembed').info('765 names mapped')"
    assert errors_of(code.format("")) == "765 names mapped\n"
    assert errors_of(code.format("bft.settings.verbosity = 'warning'")) == ""


def test_who_configured_logging_gets_each_message_once():
    code = (
        "import bftembed, logging\nlogging.basicConfig(format='mine: %(message)s')\n"
        "logging.getLogger('bftembed').info('once')"
    )
    assert errors_of(code) == "mine: once\n"
