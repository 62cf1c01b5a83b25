"""Model directories: the digest of what fixes their output, how they come from the hub, and loading them quietly."""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bftembed._paths import cache_dir
from bftembed.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator

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


def download(model: str, revision: str | None = None) -> Path:
    """Snapshot of a model on the hub; the directory is named after its commit.

    Raises
    ------
    ModelError
        If there is no such model, the hub cannot be reached, or the model has no safetensors weights.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    patterns = ["*.safetensors", "*.json", "*.jinja", "*.model", "*.txt", "*.py"]
    try:
        path = Path(snapshot_download(model, revision=revision, allow_patterns=patterns))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        reason = f"{type(error).__name__}: {error}".splitlines()[0][:200]
        msg = f"There is no model `{model}`: no such directory, and the hub gave none ({reason})."
        raise ModelError(msg) from error
    if not any(path.rglob("*.safetensors")):
        msg = f"The hub's model `{model}` has no safetensors weights."
        raise ModelError(msg)
    return path


@contextmanager
def loading_quietly() -> Iterator[None]:
    """Keep transformers' bars over the tensors of a checkpoint, which are gone in a second, off the terminal."""
    import transformers.utils

    logging: Any = transformers.utils.logging
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
