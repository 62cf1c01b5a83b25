"""The driver of the browser ends what it started, whatever the browser does."""

import os
import signal
import sys
import time

import pytest


@pytest.fixture
def started(driver, monkeypatch):
    """Processes that the driver started."""
    made, popen = [], driver.subprocess.Popen
    monkeypatch.setattr(driver.subprocess, "Popen", lambda *args, **kw: made.append(popen(*args, **kw)) or made[-1])
    return made


def ended(process):
    """Whether all processes of its group go within ten seconds."""
    for _ in range(500):
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.02)
    return False


@pytest.mark.skipif(os.name != "posix", reason="the driver needs the pipes of a Unix system")
@pytest.mark.parametrize(
    ("code", "error"), [("", RuntimeError), ("import time; time.sleep(600)", TimeoutError)], ids=["ends", "hangs"]
)
def test_a_browser_that_does_not_answer(driver, started, tmp_path, monkeypatch, code, error):
    script = tmp_path / "chromium"
    script.write_text(f"#!{sys.executable}\n{code}\n")
    script.chmod(0o755)
    monkeypatch.setattr(driver, "find_chromium", lambda: str(script))
    with pytest.raises(error):
        driver.Chromium(patience=1 if code else 60)
    assert ended(started[0])


@pytest.mark.usefixtures("chromium")  # skipped where there is none
def test_a_browser_that_is_killed(driver, started):
    browser = driver.Chromium(patience=60)
    started[0].send_signal(signal.SIGKILL)
    with pytest.raises((RuntimeError, BrokenPipeError)):
        browser.run("1")
    browser.close()
    assert ended(started[0])
