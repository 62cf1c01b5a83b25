"""Files of samples: what tells one from another, and whether those in a directory are the ones that are asked for."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from bftembed.tune.data.samples import read_samples

if TYPE_CHECKING:
    from pathlib import Path


def digest_of(path: Path) -> str:
    """Begin of the SHA-256 of a file, or of the samples of a directory."""
    if path.is_dir():
        text = json.dumps([sample for _, sample in read_samples(path)])
        return hashlib.sha256(text.encode()).hexdigest()[:16]
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def noted(note: Path, asked: Any) -> bool:
    """Whether a note says what is asked for; one that is missing or damaged says nothing."""
    try:
        return bool(json.loads(note.read_text(encoding="utf-8")) == asked)
    except (OSError, ValueError):
        return False
