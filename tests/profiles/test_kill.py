"""Runs killed in the middle of generation; `benchmarks/kill_resume.py` does the same with the real model, 20 times."""

import os
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "kill_resume.py"


def test_a_killed_run_goes_on_as_if_it_had_not_been_killed(tiny_model):
    options = ["--model", tiny_model, "--kills", 3, "--longest", 0.6, "--names", 160, "--max-new-tokens", 96]
    done = subprocess.run(
        [sys.executable, SCRIPT, *map(str, options)],
        capture_output=True,
        text=True,
        timeout=600,
        env=os.environ | {"BFTEMBED_MIRROR": ""},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "kills 3; lost 0; changed 0; finished texts asked for again 0" in done.stdout
