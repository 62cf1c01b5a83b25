"""Text from vLLM's offline batch interface."""

from __future__ import annotations

import json
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from bftembed._optional import require
from bftembed.engines.base import Engine, beyond_window, check_positive
from bftembed.engines.decoder import Decoder
from bftembed.errors import EngineError, ModelError
from bftembed.models.causal import load_tokenizer
from bftembed.models.chat import prompt_ids
from bftembed.models.files import adapter_config, content_of, in_current_terms, origin_of, resolve_adapted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bftembed.engines.values import Completion, Request, Sampling


#: Options that say how the work is laid out on the machine: texts stay valid when they change.
_LAYOUT = {
    "data_parallel_size",
    "distributed_executor_backend",
    "enforce_eager",
    "gpu_memory_utilization",
    "max_num_batched_tokens",
    "max_num_seqs",
    "pipeline_parallel_size",
    "swap_space",
    "tensor_parallel_size",
}


#: Ranks that vLLM reserves memory for (``MaxLoRARanks`` of vllm/config/lora.py).
_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)


class VLLMEngine(Engine):
    """A model run by vLLM in this process, with prefix caching.

    The translation of requests is tested with a stand-in; this class **has not been run on a GPU by the project's
    own tests**. Prompts are laid out here, as for the transformers engine, and handed over as tokens.

    Parameters
    ----------
    model
        Directory (merged model or LoRA adapter) or id on the hub.
    adapter
        LoRA adapter directory to put on `model`.
    base
        Base model of the adapter that `model` is, instead of the one that the adapter names.
    revision
        Branch, tag or commit on the hub.
    dtype
        As vLLM names it; ``"auto"`` takes the checkpoint's.
    prompts_per_call
        Prompts handed to vLLM at once. A call returns when all of them are finished, so a killed run loses as many.
    options
        Further arguments of ``vllm.LLM``, e.g. ``tensor_parallel_size=8``.
    """

    name = "vllm"

    def __init__(
        self,
        model: str,
        *,
        adapter: str | None = None,
        base: str | None = None,
        revision: str | None = None,
        dtype: str = "auto",
        prompts_per_call: int = 1024,
        **options: Any,
    ) -> None:
        check_positive(prompts_per_call=prompts_per_call)
        self._files, self._adapter = resolve_adapted(model, adapter, revision, base=base)
        self._dtype = dtype
        self._prompts_per_call = prompts_per_call
        self._options = options
        self._loaded: tuple[Any, Any] | None = None

    def describe(self) -> dict[str, str]:
        """Digests of model and adapter, dtype, and the options that may change the text."""
        options = {key: value for key, value in self._options.items() if key not in _LAYOUT}
        return {
            "engine": self.name,
            **content_of(self._files, self._adapter),
            "dtype": self._dtype,
            "options": json.dumps(options, sort_keys=True, default=str),
        }

    def provenance(self) -> dict[str, str]:
        """Names and places of model and adapter, and vLLM's version."""
        try:
            vllm_version = version("vllm")
        except PackageNotFoundError:
            vllm_version = "not installed"
        return {**origin_of(self._files, self._adapter), "version": f"vllm {vllm_version}"}

    def in_current_terms(self, described: dict[str, str]) -> dict[str, str]:
        """A description by version 0.1, which held names and versions and hashed all files of the directories."""
        return in_current_terms(described, self._files, self._adapter)

    def _generate(self, requests: list[Request], sampling: Sampling) -> Iterator[list[Completion]]:
        if not requests:
            return
        vllm = require("vllm")
        llm, tokenizer = self._load(vllm)
        window = llm.llm_engine.model_config.max_model_len
        prompts = [
            (prompt_ids(request.chat, tokenizer, raw=request.raw, prefix=request.prefix), request.id)
            for request in requests
        ]
        too_long = [(ids, id) for ids, id in prompts if len(ids) + sampling.max_new_tokens > window]
        fitting = [(ids, id) for ids, id in prompts if len(ids) + sampling.max_new_tokens <= window]
        if too_long:
            yield [beyond_window(id, len(ids), sampling, window) for ids, id in too_long]
        parameters = vllm.SamplingParams(
            max_tokens=sampling.max_new_tokens,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            seed=sampling.seed,
            repetition_penalty=sampling.repetition_penalty,
            stop=list(sampling.stop),
        )
        lora_request = None
        if self._adapter:
            lora_request = require("vllm.lora.request").LoRARequest("adapter", 1, str(self._adapter.path))
        decoder = Decoder(tokenizer)
        for start in range(0, len(fitting), self._prompts_per_call):
            part = fitting[start : start + self._prompts_per_call]
            try:
                outputs = llm.generate(
                    [{"prompt_token_ids": ids} for ids, _ in part], parameters, lora_request=lora_request
                )
            except (RuntimeError, ValueError) as error:
                msg = f"vLLM failed: {_first_line(error)}"
                raise EngineError(msg) from error
            if len(outputs) != len(part):
                msg = f"vLLM answered {len(outputs)} of {len(part)} prompts."
                raise EngineError(msg)
            yield [
                _completion(decoder, id, ids, output.outputs[0], sampling)
                for (ids, id), output in zip(part, outputs, strict=True)
            ]

    def _load(self, vllm: Any) -> tuple[Any, Any]:
        if self._loaded is None:
            trust = bool(self._options.get("trust_remote_code", False))
            tokenizer = load_tokenizer(self._files, self._adapter, trust_remote_code=trust)
            lora = {"enable_lora": True, "max_lora_rank": _max_rank(self._adapter.path)} if self._adapter else {}
            options = {"dtype": self._dtype, "enable_prefix_caching": True, **lora, **self._options}
            try:
                llm = vllm.LLM(model=str(self._files.path), **options)
            except (RuntimeError, ValueError, OSError) as error:
                msg = f"vLLM cannot load the model `{self._files.path}`: {_first_line(error)}"
                raise EngineError(msg) from error
            self._loaded = llm, tokenizer
        return self._loaded


def _max_rank(adapter: Path) -> int:
    """The rank that vLLM has to reserve: the adapter's largest, rounded up to one that vLLM knows."""
    config = adapter_config(adapter)
    rank = max([config.get("r") or 1, *(config.get("rank_pattern") or {}).values()])
    if rank > _RANKS[-1]:
        msg = f"The adapter `{adapter}` has rank {rank}, and vLLM takes {_RANKS[-1]} at most; merge it into its model."
        raise ModelError(msg)
    return min(allowed for allowed in _RANKS if allowed >= rank)


def _completion(decoder: Decoder, id: str, prompt: list[int], best: Any, sampling: Sampling) -> Completion:
    tokens = list(best.token_ids)
    # The last token is the one that ended the answer, unless that was a text.
    at_token = best.finish_reason == "stop" and not isinstance(best.stop_reason, str)
    return decoder.completion(id, prompt, tokens, ends=set(tokens[-1:]) if at_token else (), stop=sampling.stop)


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
