"""The digest of what fixes a model's output."""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from typing import TYPE_CHECKING

from bftembed._paths import cache_dir

if TYPE_CHECKING:
    from pathlib import Path

_HASHED = {".safetensors", ".bin", ".json", ".jinja", ".model", ".txt", ".py"}


def directory_digest(path: Path) -> str:
    """SHA-256 over the names and contents of a model's weights, configuration, tokenizer, chat template and code.

    Intermediate ``checkpoint-*`` directories are left out. The digest is kept in the cache under size and time of
    change of the files, since hashing tens of gigabytes takes minutes.
    """
    files = sorted(
        file
        for file in path.rglob("*")
        if file.suffix in _HASHED and file.is_file() and "checkpoint-" not in str(file.relative_to(path))
    )
    stamp = [[str(f.relative_to(path)), f.stat().st_size, f.stat().st_mtime_ns] for f in files]
    memo = cache_dir() / "digests" / f"{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:16]}.json"
    with suppress(FileNotFoundError, json.JSONDecodeError):  # a memo cut short by a crash is written anew
        known = json.loads(memo.read_text())
        if known["stamp"] == stamp:
            return str(known["digest"])
    total = hashlib.sha256()
    for file in files:
        with file.open("rb") as handle:
            total.update(f"{file.relative_to(path)}\0{hashlib.file_digest(handle, 'sha256').hexdigest()}\n".encode())
    memo.parent.mkdir(parents=True, exist_ok=True)
    temporary = memo.with_suffix(f".{os.getpid()}")
    temporary.write_text(json.dumps({"stamp": stamp, "digest": total.hexdigest()}))
    temporary.replace(memo)
    return total.hexdigest()
