"""Text from vLLM's offline batch interface."""

from __future__ import annotations

import json
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from bftembed._optional import require
from bftembed.engines.base import Completion, Engine, check_positive
from bftembed.errors import EngineError
from bftembed.models.files import content_of, in_current_terms, origin_of, resolve_adapted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bftembed.engines.base import FinishReason, Request, Sampling


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


class VLLMEngine(Engine):
    """A model run by vLLM in this process; prefix caching on, all prompts in one call.

    The translation of requests is tested with a stand-in; this class **has not been run on a GPU by the project's
    own tests**. One call returns only when all of its prompts are finished, so a killed run loses that call:
    `prompts_per_call` bounds the loss.

    Parameters
    ----------
    model
        Directory (merged model or LoRA adapter) or id on the hub.
    revision
        Branch, tag or commit on the hub.
    dtype
        As vLLM names it; ``"auto"`` takes the checkpoint's.
    prompts_per_call
        Prompts handed to vLLM at once; None hands over all.
    options
        Further arguments of ``vllm.LLM``, e.g. ``tensor_parallel_size=8``.
    """

    name = "vllm"

    def __init__(
        self,
        model: str,
        *,
        revision: str | None = None,
        dtype: str = "auto",
        prompts_per_call: int | None = None,
        **options: Any,
    ) -> None:
        check_positive(prompts_per_call=1 if prompts_per_call is None else prompts_per_call)
        self._files, self._adapter = resolve_adapted(model, revision=revision)
        self._dtype = dtype
        self._prompts_per_call = prompts_per_call
        self._options = options
        self._llm: Any = None

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
        if self._llm is None:
            lora = {"enable_lora": True} if self._adapter else {}
            self._llm = vllm.LLM(
                model=str(self._files.path), dtype=self._dtype, enable_prefix_caching=True, **lora, **self._options
            )
        parameters = vllm.SamplingParams(
            max_tokens=sampling.max_new_tokens,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            seed=sampling.seed,
        )
        lora_request = None
        if self._adapter:
            lora_request = require("vllm.lora.request").LoRARequest("adapter", 1, str(self._adapter.path))
        step = self._prompts_per_call or len(requests)
        for start in range(0, len(requests), step):
            part = requests[start : start + step]
            outputs = self._llm.chat([r.messages for r in part], parameters, lora_request=lora_request)
            if len(outputs) != len(part):
                msg = f"vLLM answered {len(outputs)} of {len(part)} prompts."
                raise EngineError(msg)
            yield [_completion(request, output) for request, output in zip(part, outputs, strict=True)]


def _completion(request: Request, output: Any) -> Completion:
    best = output.outputs[0]
    finish: FinishReason = "length" if best.finish_reason == "length" else "stop"
    return Completion(request.id, best.text, finish, len(output.prompt_token_ids or ()), len(best.token_ids))
