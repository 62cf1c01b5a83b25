"""Digests of what fixes a model's output."""

from __future__ import annotations

import fnmatch
import hashlib
import json
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from bftembed._files import replacing
from bftembed._paths import cache_dir

if TYPE_CHECKING:
    from pathlib import Path

log = logging.getLogger("bftembed")
#: What transformers, PEFT and sentence-transformers read; nothing else that may lie beside it.
_READ = (
    *("*.safetensors", "pytorch_model*.bin", "adapter_model.bin", "*.gguf", "*.py"),
    *("config.json", "generation_config.json", "adapter_config.json", "quantize_config.json", "modules.json"),
    *("config_sentence_transformers.json", "sentence_*_config.json", "tokenizer*.json", "special_tokens_map.json"),
    *("added_tokens.json", "vocab*", "merges.txt", "*.model", "*.spm", "*.tiktoken", "bpe.codes"),
    *("chat_template*", "*.jinja"),
)
#: Fields of these files that say by whom and with what they were written.
_INCIDENTAL = {
    *("_name_or_path", "name_or_path", "base_model_name_or_path", "revision", "inference_mode"),
    *("transformers_version", "peft_version"),
}
_WORTH_A_LINE = 2e9  # bytes
#: Suffixes of the files that version 0.1 took, wherever they lay.
_FORMERLY = {".safetensors", ".bin", ".json", ".jinja", ".model", ".txt", ".py"}


def directory_digest(path: Path) -> str:
    """SHA-256 over the contents of a model's weights, configuration, tokenizer, chat template and code.

    Reports, logs, training arguments and checkpoints beside them do not count, nor do the names and versions inside of
    configurations, so that a model that is moved, or saved again by another version, keeps its digest.
    """
    total = hashlib.sha256()
    files = [file for folder in _folders(path) for file in folder.iterdir() if _is_read(file)]
    for file, sha256 in _hashes(path, files).items():
        content = _essence(path / file) or sha256
        total.update(f"{file}\0{content}\n".encode())
    return total.hexdigest()


def former_digests(path: Path) -> set[str]:
    """What version 0.1 made of the directory: of every file of some suffixes, as it is.

    Files that no loader reads may have come later, so there is a digest with them and one without.
    """
    files = [
        file
        for file in path.rglob("*")
        if file.suffix in _FORMERLY and file.is_file() and "checkpoint-" not in str(file.relative_to(path))
    ]
    hashes = _hashes(path, files)
    return {
        hashlib.sha256("".join(f"{file}\0{hashes[file]}\n" for file in chosen).encode()).hexdigest()
        for chosen in (list(hashes), [file for file in hashes if _is_read(path / file)])
    }


def _folders(path: Path) -> list[Path]:
    """The directory itself and those of it that a loader reads."""
    modules: Any = []
    with suppress(OSError, ValueError):
        modules = json.loads((path / "modules.json").read_text(encoding="utf-8"))
    names = [module["path"] for module in modules if isinstance(module, dict) and module.get("path")]
    places = [path / name for name in (*names, "additional_chat_templates")]
    return [path, *(place for place in places if place.is_dir())]


def _is_read(file: Path) -> bool:
    return any(fnmatch.fnmatchcase(file.name, pattern) for pattern in _READ) and file.is_file()


def _essence(file: Path) -> str:
    """Digest of a configuration without what is incidental; ``""`` of any other file."""
    if not file.name.endswith("config.json"):
        return ""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except ValueError:
        return ""
    return hashlib.sha256(json.dumps(_without_incidental(content), sort_keys=True).encode()).hexdigest()


def _without_incidental(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_incidental(inner) for key, inner in value.items() if key not in _INCIDENTAL}
    return value


def _hashes(path: Path, files: list[Path]) -> dict[str, str]:
    """SHA-256 of files by their path inside of `path`, in the order of `Path`.

    They are kept in the cache under size and time of change, since hashing tens of gigabytes takes minutes.
    """
    memo = cache_dir() / "digests" / f"{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:16]}-files.json"
    known: dict[str, list[Any]] = {}
    with suppress(OSError, ValueError):  # a memo cut short by a crash is written anew
        known = json.loads(memo.read_text())
    names = {file.relative_to(path).as_posix(): file for file in sorted(files)}
    stamps = {name: [file.stat().st_size, file.stat().st_mtime_ns] for name, file in names.items()}
    changed = [name for name, stamp in stamps.items() if known.get(name, [])[:2] != stamp]
    if (size := sum(stamps[name][0] for name in changed)) > _WORTH_A_LINE:
        log.info("Hashing %.1f GB of model files in `%s`, once.", size / 1e9, path)
    for name in changed:
        with names[name].open("rb") as handle:
            known[name] = [*stamps[name], hashlib.file_digest(handle, "sha256").hexdigest()]
    if changed:
        with replacing(memo) as made:
            made.write_text(json.dumps(known))
    return {name: str(known[name][2]) for name in names}
