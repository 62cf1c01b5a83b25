"""Texts by a model of transformers that is loaded: static batches, and continuous batching where it is worth while."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from bftembed.engines import continuous
from bftembed.engines.batches import FIXED, MOST, BatchSize, free_memory, in_batches, padded, sequence_bytes
from bftembed.engines.decoder import Decoder
from bftembed.engines.draws import processors

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bftembed.engines.values import Completion, Sampling

    #: Tokens of a prompt, and the id of its request.
    Prompt = tuple[list[int], str]

log = logging.getLogger("bftembed")


class Writer:
    """Writes the answers to prompts. The model's own generation configuration is emptied: `Sampling` decides.

    Parameters
    ----------
    model, tokenizer
        Of transformers.
    batch_size
        Most sequences decoded together; None leaves it to the memory.
    compile
        Compile the forward pass; True, or a mode of ``torch.compile``.
    attention
        Attention that was asked for.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        *,
        batch_size: int | None,
        compile: bool | str,
        attention: str | None = None,
    ) -> None:
        from transformers import GenerationConfig

        self._model, self._tokenizer = model, tokenizer
        self._batch_size, self._compile, self._attention = batch_size, compile, attention
        ends = model.generation_config.eos_token_id
        own = ends if isinstance(ends, list) else [ends]
        self._end_tokens = {token for token in (*own, tokenizer.eos_token_id) if token is not None}
        # Any token will do: padding is masked.
        self._pad = 0 if tokenizer.pad_token_id is None else int(tokenizer.pad_token_id)
        # What is not set is filled from here, e.g. a repetition penalty.
        bare: Any = GenerationConfig
        model.generation_config = bare()
        self._decoder = Decoder(tokenizer)
        on_gpu = any(tensor.device.type == "cuda" for tensor in model.parameters())
        self._sizes = BatchSize(batch_size or (MOST if on_gpu else FIXED))

    def write(
        self, prompts: list[Prompt], sampling: Sampling, *, continuously: bool | None
    ) -> Iterator[list[Completion]]:
        """Answer all prompts.

        Parameters
        ----------
        prompts
            Longest first.
        sampling
            How tokens are drawn.
        continuously
            By continuous batching; None where it is worth while. What it leaves unanswered goes into static batches.
        """
        if prompts and self._suits(sampling, continuously=continuously):
            answered = set()
            for batch in self._in_flight(prompts, sampling):
                answered |= {done.id for done in batch}
                yield batch
            prompts = [prompt for prompt in prompts if prompt[1] not in answered]
        yield from self._in_batches(prompts, sampling)

    def _suits(self, sampling: Sampling, *, continuously: bool | None) -> bool:
        if continuously is None:
            return continuous.is_worth_while(self._model, sampling, self._attention)
        if continuously and not continuous.can_run(sampling):
            log.warning("transformers' continuous batching knows no repetition penalty: static batches.")
            return False
        return continuously

    def _in_batches(self, prompts: list[Prompt], sampling: Sampling) -> Iterator[list[Completion]]:
        free, sizes = free_memory(self._model), self._sizes

        def allowed(left: list[Prompt]) -> int:
            # A compiled model wants batches of one size; else shorter prompts leave room for more of them.
            longest = prompts[0] if self._compile else left[0]
            return sizes.allowed(free, sequence_bytes(self._model, len(longest[0]), sampling.max_new_tokens))

        yield from in_batches(prompts, lambda batch: self._decode(batch, sampling), sizes=sizes, allowed=allowed)

    def _decode(self, batch: list[Prompt], sampling: Sampling) -> list[Completion]:
        import torch
        from transformers import CompileConfig

        model, tokenizer = self._model, self._tokenizer
        rows = padded([ids for ids, _ in batch], model, left=True)
        known = rows >= 0
        inputs = {"input_ids": rows.where(known, self._pad), "attention_mask": known.long()}
        config = self._config(sampling)
        if self._compile:
            config.cache_implementation = "static"
        if isinstance(self._compile, str):
            config.compile_config = CompileConfig(mode=self._compile)
        drawing = processors([id for _, id in batch], sampling, model.device)
        with torch.inference_mode():
            output = model.generate(**inputs, generation_config=config, logits_processor=drawing, tokenizer=tokenizer)
        new = output[:, rows.shape[1] :].tolist()
        return [self._completion(id, prompt, tokens, sampling) for (prompt, id), tokens in zip(batch, new, strict=True)]

    def _in_flight(self, prompts: list[Prompt], sampling: Sampling) -> Iterator[list[Completion]]:
        import torch

        # top_k=0: transformers would keep the best 50 tokens only, unasked.
        draw = {"do_sample": True, "temperature": sampling.temperature, "top_p": sampling.top_p, "top_k": 0}
        config = self._config(sampling, **(draw if sampling.temperature > 0 else {}))
        options = {"cap": self._batch_size, "compiled": bool(self._compile), "attention": self._attention}
        by_id = {id: ids for ids, id in prompts}
        devices = [self._model.device] if self._model.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            for batch in continuous.answers(self._model, prompts, sampling, generation_config=config, **options):
                yield [self._completion(id, by_id[id], tokens, sampling) for id, tokens in batch]

    def _completion(self, id: str, prompt: list[int], tokens: list[int], sampling: Sampling) -> Completion:
        return self._decoder.completion(id, prompt, tokens, ends=self._end_tokens, stop=sampling.stop)

    def _config(self, sampling: Sampling, **draw: Any) -> Any:
        from transformers import GenerationConfig

        make: Any = GenerationConfig
        return make(
            max_new_tokens=sampling.max_new_tokens,
            **({"do_sample": False} | draw),
            eos_token_id=sorted(self._end_tokens) or None,
            pad_token_id=self._pad,
            repetition_penalty=sampling.repetition_penalty,
            stop_strings=list(sampling.stop) or None,
        )
