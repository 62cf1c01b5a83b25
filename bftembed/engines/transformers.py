"""Text from a transformers model in this process, in static batches or by continuous batching."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from bftembed._optional import needs
from bftembed._settings import checked_threads
from bftembed._threads import torch_threads
from bftembed.engines.base import Engine, beyond_window, check_positive
from bftembed.engines.batches import MOST
from bftembed.engines.scoring import encode_all
from bftembed.engines.transformers_generation import Writer
from bftembed.engines.transformers_scoring import score
from bftembed.errors import InputError
from bftembed.models.causal import (
    adapted,
    check_vocabulary,
    context_window,
    load_model,
    load_tokenizer,
    on_device,
    own_dtype,
)
from bftembed.models.chat import prompt_ids, prompt_text
from bftembed.models.files import content_of, in_current_terms, origin_of, resolve_adapted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bftembed.engines.values import Completion, Request, Sampling, Scores

_DTYPES = (None, "auto", "float32", "bfloat16", "float16")


class TransformersEngine(Engine):
    """A causal language model run by transformers, on a GPU where there is one.

    Requests are sorted by length and decoded in static batches, or handed to transformers' continuous batching. What
    is asked for a GPU **has never been run on one**; its parts are tested on a CPU.

    A text depends on its own request: greedy texts in float32 are equal whatever the batch, and drawn ones have random
    numbers of their own, so that a run that was cut goes on as if it had not been. In half precision the last bits
    depend on which requests stand together; a batch is a power of two by the free memory, so that this does not move
    with every byte. (Continuous batching draws from one generator; it draws only where it is asked for.)

    None of the options but `dtype` is part of a text's key: they say where and in which order one computes.

    Parameters
    ----------
    model
        Directory (merged model, or PEFT adapter, whose base model is looked up), ``"default"``, or id on the hub.
    adapter
        PEFT adapter directory to put on `model`.
    base
        Base model of the adapter that `model` is, instead of the one that the adapter names.
    revision
        Branch, tag or commit on the hub.
    dtype
        ``"float32"``, ``"bfloat16"``, ``"float16"``, or ``"auto"`` for what the model's own configuration says; by
        default bfloat16 on a GPU that has it, else float16, and float32 on a CPU. There bfloat16 is faster where the
        processor computes with it (AVX512-BF16, AMX), and far slower elsewhere.
    device
        As torch names it; by default the GPU if there is one.
    device_map
        Layers on several GPUs, for a model larger than one: ``"auto"``, or what else transformers' `from_pretrained`
        takes. It decides instead of `device`; needs the package `accelerate`. What does not fit on the GPUs stays in
        the memory of the machine, which is slow, and a model that would be read from disk for each token is refused.
    attn_implementation
        As transformers names it, e.g. ``"sdpa"``, ``"eager"``, ``"flash_attention_2"``; by default its choice.
    compile
        Compile the forward pass on a GPU, in static batches over a cache of fixed size; True, or a mode of
        ``torch.compile``. The first batch waits a minute or more. On a CPU only the cache is another.
    batch_size
        Sequences decoded together, at most. By default what fits into the free memory of a GPU, up to 512, and 64 on a
        CPU. A batch that does not fit is halved; after some that fit, it is doubled again.
    threads
        CPU threads; by default ``bft.settings.threads``, else torch's choice. Where other work runs, one is fastest.
    continuous
        Use transformers' continuous batching (True) or not (False). By default only for greedy texts on one GPU with a
        flash attention: without it, it is slower than large static batches, as it is on a CPU. What it cannot do
        (a repetition penalty) and what fails in it goes into static batches, with a warning.
    trust_remote_code
        Run code that comes with the model.

    Examples
    --------
    >>> from bftembed.engines import TransformersEngine
    >>> engine = TransformersEngine("default", dtype="auto", attn_implementation="sdpa")
    >>> engine.describe()["dtype"]
    'float32'
    """

    name = "transformers"

    def __init__(  # noqa: PLR0913
        self,
        model: str = "default",
        *,
        adapter: str | None = None,
        base: str | None = None,
        revision: str | None = None,
        dtype: str | None = None,
        device: str | None = None,
        device_map: str | dict[str, Any] | None = None,
        attn_implementation: str | None = None,
        compile: bool | str = False,
        batch_size: int | None = None,
        threads: int | None = None,
        continuous: bool | None = None,
        trust_remote_code: bool = False,
    ) -> None:
        needs("torch", "transformers", "jinja2", *(["accelerate"] if device_map else []))
        if batch_size is not None:
            check_positive(batch_size=batch_size)
        if dtype not in _DTYPES:
            msg = f"dtype must be one of auto, float32, bfloat16 and float16, got `{dtype}`."
            raise InputError(msg)
        if device and device_map:
            msg = "`device` and `device_map` both say where the model goes; leave out one of them."
            raise InputError(msg)
        self._files, self._adapter = resolve_adapted(model, adapter, revision, base=base)
        self._dtype = dtype
        self._device = device
        self._layout: dict[str, Any] = {"device_map": device_map, "attn_implementation": attn_implementation}
        self._compile = compile
        self._batch_size = batch_size
        self._threads = checked_threads(threads)
        self._continuous = continuous
        self._trust_remote_code = trust_remote_code
        self._loaded: tuple[Any, Any] | None = None
        self._tokenizer: Any = None

    def describe(self) -> dict[str, str]:
        """Digests of model and adapter (which cover tokenizer and chat template), and dtype."""
        return {"engine": self.name, **content_of(self._files, self._adapter), "dtype": self._placement()[1]}

    def provenance(self) -> dict[str, str]:
        """Names and places of model and adapter, and versions."""
        versions = f"transformers {version('transformers')}, torch {version('torch')}"
        return {**origin_of(self._files, self._adapter), "version": versions}

    def in_current_terms(self, described: dict[str, str]) -> dict[str, str]:
        """A description by version 0.1, which held names and versions and hashed all files of the directories."""
        return in_current_terms(described, self._files, self._adapter)

    def render(self, request: Request) -> str:
        r"""The text of a prompt, through the tokenizer's chat template; without one, plain paragraphs.

        Examples
        --------
        >>> from bftembed.engines import Request, TransformersEngine
        >>> text = TransformersEngine("default").render(Request("1", "Is TP53 a gene?", prefix="Answer:"))
        >>> text.partition("<|im_start|>user")[2]
        '\nIs TP53 a gene?<|im_end|>\n<|im_start|>assistant\nAnswer:'
        """
        return prompt_text(request.chat, self._load_tokenizer(), raw=request.raw, prefix=request.prefix)[0]

    def count_tokens(self, requests: Sequence[Request]) -> int:
        """Tokens of all prompts together, chat template included."""
        return sum(len(self._prompt_ids(request)) for request in requests)

    def _score(self, requests: list[Request], options: list[tuple[str, ...]], *, end: bool) -> Iterator[list[Scores]]:
        if not requests:
            return
        with torch_threads(self._threads):
            model, tokenizer = self.load()
            questions, beyond = encode_all(requests, options, tokenizer, end=end, window=context_window(model))
            if beyond:
                yield beyond
            tokens = (token for q in questions for ids in (q.prompt, *q.options) for token in ids)
            check_vocabulary("A prompt or an option holds", max(tokens, default=0), model)
            yield from score(model, questions, batch_size=self._batch_size or MOST)

    def _generate(self, requests: list[Request], sampling: Sampling) -> Iterator[list[Completion]]:
        if not requests:
            return
        with torch_threads(self._threads):
            yield from self._complete(requests, sampling)

    def _complete(self, requests: list[Request], sampling: Sampling) -> Iterator[list[Completion]]:
        model, _ = self.load()
        window = context_window(model) or 1 << 30
        prompts = sorted(((self._prompt_ids(r), r.id) for r in requests), key=lambda pair: (-len(pair[0]), pair[1]))
        too_long = [p for p in prompts if len(p[0]) + sampling.max_new_tokens > window]
        if too_long:
            yield [beyond_window(id, len(ids), sampling, window) for ids, id in too_long]
        fitting = prompts[len(too_long) :]
        check_vocabulary("A prompt holds", max((max(ids, default=0) for ids, _ in fitting), default=0), model)
        yield from self._writer.write(fitting, sampling, continuously=self._continuous)

    def _prompt_ids(self, request: Request) -> list[int]:
        return prompt_ids(request.chat, self._load_tokenizer(), raw=request.raw, prefix=request.prefix)

    def _load_tokenizer(self) -> Any:
        if self._tokenizer is None:
            self._tokenizer = load_tokenizer(
                self._files, self._adapter, padding_side="left", trust_remote_code=self._trust_remote_code
            )
        return self._tokenizer

    def _placement(self) -> tuple[str, str]:
        """Device and dtype."""
        import torch

        device = self._device or ("cuda" if torch.cuda.is_available() else "cpu")
        if self._dtype:
            return device, own_dtype(self._files.path) if self._dtype == "auto" else self._dtype
        if not device.startswith("cuda"):
            return device, "float32"
        return device, "bfloat16" if torch.cuda.is_bf16_supported() else "float16"

    def load(self) -> tuple[Any, Any]:
        """The model, on its device, and its tokenizer; loaded on the first call.

        Raises
        ------
        ModelError
            If the model, its tokenizer or its adapter cannot be loaded.
        EngineError
            If memory does not suffice, or the device cannot be used.
        """
        if self._loaded is None:
            device, dtype = self._placement()
            tokenizer = self._load_tokenizer()
            layout = {name: value for name, value in self._layout.items() if value is not None}
            model = load_model(self._files.path, dtype, trust_remote_code=self._trust_remote_code, **layout)
            if self._adapter:
                model = adapted(model, self._adapter.path)
            model = (model if self._layout["device_map"] else on_device(model, device)).eval()
            self._writer = Writer(
                model,
                tokenizer,
                batch_size=self._batch_size,
                compile=self._compile,
                attention=self._layout["attn_implementation"],
            )
            self._loaded = model, tokenizer
        return self._loaded
