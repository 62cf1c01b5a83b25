"""Text and scores from vLLM's offline batch interface."""

from __future__ import annotations

import json
from importlib.metadata import packages_distributions, version
from typing import TYPE_CHECKING, Any

from bftembed._optional import require
from bftembed.engines.base import Engine, beyond_window, check_positive, seed_of_server
from bftembed.engines.decoder import Decoder
from bftembed.engines.scoring import encode_all
from bftembed.engines.values import Scored, Scores
from bftembed.engines.vllm_faults import explained, faults, imported
from bftembed.errors import EngineError, ModelError
from bftembed.models.causal import load_tokenizer
from bftembed.models.chat import prompt_ids, prompt_text
from bftembed.models.files import adapter_config, content_of, in_current_terms, origin_of, resolve_adapted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bftembed.engines.scoring import Question
    from bftembed.engines.values import Completion, Request, Sampling


#: Options that say how the work is laid out on the machine: texts stay valid when they change.
_LAYOUT = {
    "block_size",
    "cpu_offload_gb",
    "data_parallel_size",
    "disable_custom_all_reduce",
    "disable_log_stats",
    "distributed_executor_backend",
    "enable_prefix_caching",
    "enforce_eager",
    "gpu_memory_utilization",
    "kv_cache_memory_bytes",
    "max_num_batched_tokens",
    "max_num_seqs",
    "pipeline_parallel_size",
    "swap_space",
}
#: Ranks that vLLM reserves memory for (``MaxLoRARanks`` of vllm/config/lora.py).
_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
#: Tokens whose log-probabilities one prompt may ask for (``MAX_LOGPROB_TOKEN_IDS`` of vllm/sampling_params.py).
_MOST_TOKENS = 128


class VLLMEngine(Engine):
    """A model run by vLLM in this process, with prefix caching.

    Prompts are laid out here, as for the transformers engine, and handed over as tokens. How they are drawn is what
    `Sampling` says alone; of a model's own ``generation_config`` vLLM takes the tokens that end an answer. Options are
    scored by the log-probabilities of their tokens before any penalty, as greedy steps of one token. Run for real
    on CPUs (`docs/engines.md` says which versions), **not on a GPU by the project's own tests**.

    Parameters
    ----------
    model
        Directory (merged model or LoRA adapter) or id on the hub.
    adapter
        LoRA adapter directory to put on `model`; vLLM is given room for its rank.
    base
        Base model of the adapter that `model` is, instead of the one that the adapter names.
    revision
        Branch, tag or commit on the hub.
    dtype
        As vLLM names it; ``"auto"`` takes the checkpoint's.
    quantization
        How vLLM quantises the weights, e.g. ``"fp8"``; by default as the checkpoint says.
    max_model_len
        Most tokens of prompt and answer together; by default the model's window. A smaller one needs less memory.
    tensor_parallel_size
        Cards that share each layer of the model.
    enable_prefix_caching
        Whether the common beginning of prompts is read once.
    prompts_per_call
        Prompts handed to vLLM at once. A call returns when all of them are finished, so a killed run loses as many.
    options
        Further arguments of ``vllm.LLM``, e.g. ``gpu_memory_utilization=0.8``, ``enforce_eager=True``.

    Examples
    --------
    >>> from bftembed.engines import engine_class
    >>> engine_class("vllm:Qwen/Qwen3-32B").__name__  # imported when it is used
    'VLLMEngine'
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
        quantization: str | None = None,
        max_model_len: int | None = None,
        tensor_parallel_size: int = 1,
        enable_prefix_caching: bool = True,
        prompts_per_call: int = 1024,
        **options: Any,
    ) -> None:
        check_positive(prompts_per_call=prompts_per_call, tensor_parallel_size=tensor_parallel_size)
        self._files, self._adapter = resolve_adapted(model, adapter, revision, base=base)
        self._dtype = dtype
        named = {"quantization": quantization, "max_model_len": max_model_len}
        self._options = {name: value for name, value in named.items() if value is not None} | options
        self._layout = {
            "tensor_parallel_size": tensor_parallel_size,
            "enable_prefix_caching": enable_prefix_caching,
        }
        self._prompts_per_call = prompts_per_call
        self._loaded: tuple[Any, Any] | None = None
        self._tokenizer: Any = None

    def describe(self) -> dict[str, str]:
        """Digests of model and adapter, dtype, and the options that may change the text."""
        content = content_of(self._files, self._adapter)
        return {"engine": self.name, **content, "dtype": self._dtype, "options": _without_layout(self._options)}

    def provenance(self) -> dict[str, str]:
        """Names and places of model and adapter, and vLLM's version, under the name that it was installed by."""
        named = [f"{name} {version(name)}" for name in packages_distributions().get("vllm", ())]
        return {**origin_of(self._files, self._adapter), "version": next(iter(named), "vllm not installed")}

    def in_current_terms(self, described: dict[str, str]) -> dict[str, str]:
        """A description by version 0.1, which held names, versions, digests of all files and more of the layout."""
        now = in_current_terms(described, self._files, self._adapter)
        if now.get("engine") != self.name or "options" not in now:
            return now
        return {**now, "options": _without_layout(json.loads(now["options"]))}

    def render(self, request: Request) -> str:
        """The text of a prompt, through the tokenizer's chat template; without one, plain paragraphs."""
        return prompt_text(request.chat, self._load_tokenizer(), raw=request.raw, prefix=request.prefix)[0]

    def _generate(self, requests: list[Request], sampling: Sampling) -> Iterator[list[Completion]]:
        if not requests:
            return
        llm, tokenizer = self._load()
        window = _window(llm)
        prompts = [(self._prompt_ids(request), request.id) for request in requests]
        too_long = [(ids, id) for ids, id in prompts if len(ids) + sampling.max_new_tokens > window]
        fitting = [(ids, id) for ids, id in prompts if len(ids) + sampling.max_new_tokens <= window]
        if too_long:
            yield [beyond_window(id, len(ids), sampling, window) for ids, id in too_long]
        drawn = {
            "max_tokens": sampling.max_new_tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "seed": seed_of_server(sampling.seed),
            "repetition_penalty": sampling.repetition_penalty,
            "stop": list(sampling.stop),
        }
        decoder = Decoder(tokenizer)
        for start in range(0, len(fitting), self._prompts_per_call):
            part = fitting[start : start + self._prompts_per_call]
            outputs = self._run([ids for ids, _ in part], [drawn] * len(part))
            yield [
                _completion(decoder, id, ids, output.outputs[0], sampling)
                for (ids, id), output in zip(part, outputs, strict=True)
            ]

    def _score(self, requests: list[Request], options: list[tuple[str, ...]], *, end: bool) -> Iterator[list[Scores]]:
        if not requests:
            return
        llm, tokenizer = self._load()
        questions, too_long = encode_all(requests, options, tokenizer, end=end, window=_window(llm))
        if too_long:
            yield too_long
        for start in range(0, len(questions), self._prompts_per_call):
            yield self._scores(questions[start : start + self._prompts_per_call])

    def _scores(self, questions: list[Question]) -> list[Scores]:
        # Each token of an option is asked for as the next one after what is before it, which prefix caching keeps.
        # vLLM's log-probabilities of a prompt are made without the cache, over the whole vocabulary at all tokens of
        # the prompt, and with an adapter they fail (0.32).
        steps: dict[tuple[int, ...], set[int]] = {}
        for question in questions:
            for begin, nexts in question.steps.items():
                steps.setdefault((*question.prompt, *begin), set()).update(nexts)
        asked = [
            (before, sorted(nexts)[at : at + _MOST_TOKENS])
            for before, nexts in steps.items()
            for at in range(0, len(nexts), _MOST_TOKENS)
        ]
        drawn = [
            {"max_tokens": 1, "temperature": 0.0, "logprob_token_ids": tokens, "detokenize": False}
            for _, tokens in asked
        ]
        known: dict[tuple[tuple[int, ...], int], tuple[float, bool]] = {}
        for (before, tokens), output in zip(asked, self._run([list(ids) for ids, _ in asked], drawn), strict=True):
            [said], [best] = output.outputs[0].logprobs, output.outputs[0].token_ids
            known |= {(before, token): (float(said[token].logprob), token == best) for token in tokens}
        return [
            Scores(each.id, tuple(_scored(each.prompt, option, known) for option in each.options), len(each.prompt))
            for each in questions
        ]

    def _run(self, prompts: list[list[int]], drawn: list[dict[str, Any]]) -> list[Any]:
        """Answers to prompts, in their order."""
        vllm, (llm, _) = imported(), self._load()
        lora_request = None
        if self._adapter:
            lora_request = require("vllm.lora.request").LoRARequest("adapter", 1, str(self._adapter.path))
        try:
            parameters = [vllm.SamplingParams(**each) for each in drawn]
        except faults() as error:
            raise explained(error, "refuses how tokens are to be drawn") from error
        given = [{"prompt_token_ids": ids} for ids in prompts]
        try:
            outputs: list[Any] = llm.generate(given, parameters, use_tqdm=False, lora_request=lora_request)
        except faults() as error:
            self._loaded = None  # after some faults vLLM never answers again
            raise explained(error, "failed") from error
        if len(outputs) != len(prompts):
            msg = f"vLLM answered {len(outputs)} of {len(prompts)} prompts."
            raise EngineError(msg)
        return outputs

    def _prompt_ids(self, request: Request) -> list[int]:
        return prompt_ids(request.chat, self._load_tokenizer(), raw=request.raw, prefix=request.prefix)

    def _load_tokenizer(self) -> Any:
        if self._tokenizer is None:
            trust = bool(self._options.get("trust_remote_code", False))
            self._tokenizer = load_tokenizer(self._files, self._adapter, trust_remote_code=trust)
        return self._tokenizer

    def _load(self) -> tuple[Any, Any]:
        if self._loaded is None:
            vllm = imported()
            tokenizer = self._load_tokenizer()
            lora = {"enable_lora": True, "max_lora_rank": _max_rank(self._adapter.path)} if self._adapter else {}
            options = {"dtype": self._dtype, **self._layout, **lora, **self._options}
            try:
                llm = vllm.LLM(model=str(self._files.path), **options)
            except faults() as error:
                raise explained(error, f"cannot load the model `{self._files.path}`") from error
            self._loaded = llm, tokenizer
        return self._loaded


def _without_layout(options: dict[str, Any]) -> str:
    """Options that may change a text, as JSON."""
    kept = {name: value for name, value in options.items() if name not in _LAYOUT}
    return json.dumps(kept, sort_keys=True, default=str)


def _window(llm: Any) -> int:
    return int(llm.llm_engine.model_config.max_model_len)


def _max_rank(adapter: Path) -> int:
    """The rank that vLLM has to reserve: the adapter's largest, rounded up to one that vLLM knows."""
    config = adapter_config(adapter)
    rank = max([config.get("r") or 1, *(config.get("rank_pattern") or {}).values()])
    if rank > _RANKS[-1]:
        msg = f"The adapter `{adapter}` has rank {rank}, and vLLM takes {_RANKS[-1]} at most; merge it into its model."
        raise ModelError(msg)
    return min(allowed for allowed in _RANKS if allowed >= rank)


def _scored(
    prompt: tuple[int, ...], option: tuple[int, ...], known: dict[tuple[tuple[int, ...], int], tuple[float, bool]]
) -> Scored:
    steps = [known[(*prompt, *option[:n]), token] for n, token in enumerate(option)]
    return Scored(sum(logprob for logprob, _ in steps), len(option), all(greedy for _, greedy in steps))


def _completion(decoder: Decoder, id: str, prompt: list[int], best: Any, sampling: Sampling) -> Completion:
    tokens = list(best.token_ids)
    # The last token is the one that ended the answer, unless that was a text.
    at_token = best.finish_reason == "stop" and not isinstance(best.stop_reason, str)
    return decoder.completion(id, prompt, tokens, ends=set(tokens[-1:]) if at_token else (), stop=sampling.stop)
