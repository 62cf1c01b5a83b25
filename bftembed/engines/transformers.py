"""Text from a transformers model in this process, in large static batches."""

from __future__ import annotations

import logging
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from bftembed._optional import needs
from bftembed._settings import checked_threads
from bftembed._threads import torch_threads
from bftembed.engines.base import Engine, beyond_window, check_positive, derived_seed
from bftembed.engines.decoder import Decoder
from bftembed.engines.values import Completion, Scored, Scores
from bftembed.errors import EngineError, InputError
from bftembed.models.causal import (
    adapted,
    check_vocabulary,
    context_window,
    is_out_of_memory,
    load_model,
    load_tokenizer,
    on_device,
)
from bftembed.models.chat import prompt_ids
from bftembed.models.files import content_of, in_current_terms, origin_of, resolve_adapted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bftembed.engines.values import Request, Sampling

_DTYPES = (None, "float32", "bfloat16", "float16")
#: Tokens of one page of the cache and of one step, where continuous batching runs on a CPU.
_PAGE, _STEP = 256, 512
log = logging.getLogger("bftembed")


class TransformersEngine(Engine):
    """A causal language model run by transformers, on a GPU where there is one.

    Requests are sorted by length and decoded in static batches. A batch that does not fit into memory is halved, and
    the smaller size is kept. The batches depend on the list of requests alone, and each samples from its own seed, so
    that a run that was cut between two batches goes on as if it had not been cut.

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
        ``"float32"``, ``"bfloat16"`` or ``"float16"``; by default float32 on a CPU (half precision is slower there),
        bfloat16 on a GPU that has it, else float16.
    device
        As torch names it; by default the GPU if there is one.
    batch_size
        Sequences decoded together, at most.
    threads
        CPU threads; by default ``bft.settings.threads``, else torch's choice. Where other work runs, one is fastest.
    continuous
        Use transformers' continuous batching instead of static batches. Not measured on a GPU yet, and slower on a
        CPU, where large static batches win; therefore off.
    trust_remote_code
        Run code that comes with the model.
    """

    name = "transformers"

    def __init__(
        self,
        model: str = "default",
        *,
        adapter: str | None = None,
        base: str | None = None,
        revision: str | None = None,
        dtype: str | None = None,
        device: str | None = None,
        batch_size: int = 64,
        threads: int | None = None,
        continuous: bool = False,
        trust_remote_code: bool = False,
    ) -> None:
        needs("torch", "transformers", "jinja2")
        check_positive(batch_size=batch_size)
        if dtype not in _DTYPES:
            msg = f"dtype must be one of float32, bfloat16 and float16, got `{dtype}`."
            raise InputError(msg)
        self._files, self._adapter = resolve_adapted(model, adapter, revision, base=base)
        self._dtype = dtype
        self._device = device
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

    def count_tokens(self, requests: Sequence[Request]) -> int:
        """Tokens of all prompts together, chat template included."""
        return sum(len(self._prompt_ids(request)) for request in requests)

    def _score(self, requests: list[Request], options: list[tuple[str, ...]], *, end: bool) -> Iterator[list[Scores]]:
        import torch

        model, tokenizer = self.load()
        for request, given in zip(requests, options, strict=True):
            prompt = self._prompt_ids(request)
            scored = []
            for option in given:
                answer = tokenizer(option, add_special_tokens=False)["input_ids"]
                answer += [tokenizer.eos_token_id] if end else []
                ids = torch.tensor([[*prompt, *answer]], device=model.device)
                with torch.inference_mode():
                    log_p = model(ids).logits[0, len(prompt) - 1 : -1].float().log_softmax(-1)
                logprob = float(log_p.gather(-1, ids[0, len(prompt) :, None]).sum())
                greedy = bool((log_p.argmax(-1) == ids[0, len(prompt) :]).all())
                scored.append(Scored(logprob, len(answer), greedy))
            yield [Scores(request.id, tuple(scored), len(prompt))]

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
        if self._continuous and sampling.repetition_penalty != 1:
            msg = "transformers' continuous batching knows no repetition penalty; leave out one of the two."
            raise InputError(msg)
        if self._continuous and fitting:
            yield from self._run_continuous(fitting, sampling)
        else:
            step = self._batch_size  # fixed here: halving it later must not move the borders of the batches
            for start in range(0, len(fitting), step):
                yield from self._run_batch(fitting[start : start + step], sampling)

    def _run_batch(self, batch: list[tuple[list[int], str]], sampling: Sampling) -> Iterator[list[Completion]]:
        import torch

        size = min(self._batch_size, len(batch))  # the batch size may have been halved since the batch was cut
        while batch:
            done = None
            try:
                done = self._decode(batch[:size], sampling)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error) or size == 1:
                    raise EngineError(_memory_message(error, size)) from error
            if done is not None:
                yield done
                batch = batch[size:]
                continue
            # Not in the handler: there the error still holds the tensors of the batch, and no memory could be freed.
            size = self._batch_size = max(1, size // 2)
            log.warning("Out of memory: going on with batches of %d.", size)
            if torch.cuda.is_available():
                torch.cuda.empty_cache()

    def _decode(self, batch: list[tuple[list[int], str]], sampling: Sampling) -> list[Completion]:
        import torch

        model, tokenizer = self.load()
        inputs = tokenizer.pad({"input_ids": [ids for ids, _ in batch]}, return_tensors="pt").to(model.device)
        devices = [model.device] if model.device.type == "cuda" else []
        with torch.inference_mode(), torch.random.fork_rng(devices=devices):
            torch.manual_seed(derived_seed(sampling.seed, *(id for _, id in batch)))
            output = model.generate(**inputs, generation_config=self._generation_config(sampling), tokenizer=tokenizer)
        new = output[:, inputs["input_ids"].shape[1] :].tolist()
        return [self._completion(id, prompt, tokens, sampling) for (prompt, id), tokens in zip(batch, new, strict=True)]

    def _run_continuous(self, prompts: list[tuple[list[int], str]], sampling: Sampling) -> Iterator[list[Completion]]:
        import torch

        model, _ = self.load()
        by_id = {id: ids for ids, id in prompts}
        options = {
            "generation_config": self._generation_config(sampling),
            "continuous_batching_config": self._continuous_config(prompts, sampling),
            "warmup": False,
        }
        devices = [model.device] if model.device.type == "cuda" else []
        with (
            torch.random.fork_rng(devices=devices),
            model.continuous_batching_context_manager(**options) as manager,
        ):
            for ids, id in prompts:
                manager.add_request(ids, request_id=id, max_new_tokens=sampling.max_new_tokens)
            waiting = len(prompts)
            for result in manager:
                if result.error:
                    yield [Completion(result.request_id, "", "error", error=result.error)]
                elif result.is_finished():
                    id = result.request_id
                    yield [self._completion(id, by_id[id], result.generated_tokens, sampling)]
                else:
                    continue
                waiting -= 1
                if not waiting:
                    return
        msg = f"transformers' continuous batching stopped with {waiting} requests unanswered."
        raise EngineError(msg)

    def _continuous_config(self, prompts: list[tuple[list[int], str]], sampling: Sampling) -> Any:
        from transformers import ContinuousBatchingConfig

        model, _ = self.load()
        make: Any = ContinuousBatchingConfig
        if model.device.type != "cpu":
            return make(seed=sampling.seed, max_requests_per_batch=self._batch_size)
        # Left alone, transformers would reserve nine tenths of the machine's memory for its cache.
        pages = -(-(len(prompts[0][0]) + sampling.max_new_tokens) // _PAGE)
        at_once = min(self._batch_size, len(prompts))
        return make(
            seed=sampling.seed,
            max_requests_per_batch=at_once,
            page_size=_PAGE,
            num_blocks=at_once * (pages + 1),
            max_batch_tokens=max(_STEP, at_once),
        )

    def _completion(self, id: str, prompt: list[int], tokens: list[int], sampling: Sampling) -> Completion:
        return self._decoder.completion(id, prompt, tokens, ends=self._end_tokens, stop=sampling.stop)

    def _generation_config(self, sampling: Sampling) -> Any:
        from transformers import GenerationConfig

        _, tokenizer = self.load()
        # top_k=0: transformers would keep the best 50 tokens only, unasked.
        draw = {"temperature": sampling.temperature, "top_p": sampling.top_p, "top_k": 0}
        make: Any = GenerationConfig
        return make(
            max_new_tokens=sampling.max_new_tokens,
            do_sample=sampling.temperature > 0,
            eos_token_id=sorted(self._end_tokens),
            pad_token_id=tokenizer.pad_token_id,
            repetition_penalty=sampling.repetition_penalty,
            stop_strings=list(sampling.stop) or None,
            **(draw if sampling.temperature > 0 else {}),
        )

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
            return device, self._dtype
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
            from transformers import GenerationConfig

            device, dtype = self._placement()
            tokenizer = self._load_tokenizer()
            model = load_model(self._files.path, dtype, trust_remote_code=self._trust_remote_code)
            if self._adapter:
                model = adapted(model, self._adapter.path)
            model = on_device(model, device).eval()
            ends = model.generation_config.eos_token_id
            own = ends if isinstance(ends, list) else [ends]
            self._end_tokens = {token for token in (*own, tokenizer.eos_token_id) if token is not None}
            # What is not set is filled from here, e.g. a repetition penalty: `Sampling` decides, and nothing else.
            bare: Any = GenerationConfig
            model.generation_config = bare()
            self._decoder = Decoder(tokenizer)
            self._loaded = model, tokenizer
        return self._loaded


def _memory_message(error: Exception, size: int) -> str:
    if is_out_of_memory(error):
        return "Out of memory with a batch of one; use a smaller model, fewer max_new_tokens or a shorter prompt."
    return f"Generation failed with a batch of {size}: {error}"
