"""``python -m bftembed``: the command line, as launchers of several processes start it."""

from bftembed.cli.main import run

run()
