"""The log of a run, read back; no model library is needed for it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

#: Name of the file in the directory of a run.
LOG = "log.jsonl"


def read_log(path: Path) -> list[dict[str, Any]]:
    """The entries of a log file; a last line that was cut off by a kill is left out."""
    entries = []
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            entry = json.loads(line)
        except ValueError:
            break
        if not isinstance(entry, dict):
            break
        entries.append(entry)
    return entries
