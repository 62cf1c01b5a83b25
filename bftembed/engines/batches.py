"""How many sequences a static batch holds: as many as memory allows, fewer where it runs out, and more again later."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, TypeVar

from bftembed.errors import EngineError
from bftembed.models.causal import is_out_of_memory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

Item = TypeVar("Item")
Done = TypeVar("Done")
log = logging.getLogger("bftembed")

#: Sequences of a batch where nothing says how much memory there is: on CPUs, which more of them do not make faster.
FIXED = 64
#: Most sequences of a batch that memory alone would allow. Larger ones gain little, and a killed run loses a batch.
MOST = 512
#: Share of the free memory that a batch is planned for; the rest is for what the estimate leaves out.
_SHARE = 0.8
#: The cache grows by copying (one layer at a time), which leaves gaps in the memory of a GPU.
_GAPS = 1.25
#: Arrays [batch, vocabulary] in float32 that live at once while a token is chosen: logits, their copy, a sort.
_LOGITS = 6
#: Batches that have to fit after a halving before twice as many sequences are tried; doubled with each halving.
_PATIENCE = 4


class BatchSize:
    """Sequences of the next batch.

    Parameters
    ----------
    cap
        Most sequences, whatever the memory.
    """

    def __init__(self, cap: int) -> None:
        self._cap = self._limit = cap
        self._patience, self._fitted = _PATIENCE, 0

    def allowed(self, free: int | None, bytes_each: int) -> int:
        """At least 1.

        Parameters
        ----------
        free
            Free memory, bytes; None where it is not known.
        bytes_each
            What a sequence of the batch needs.

        Returns
        -------
        int
            By memory a power of two, so that small changes of the free memory do not move the borders of batches.
        """
        size = self._limit
        if free is not None:
            by_memory = max(1, int(free * _SHARE) // max(1, bytes_each))
            size = min(size, 1 << (by_memory.bit_length() - 1))
        return max(1, size)

    def failed(self, size: int) -> int:
        """What to try after a batch of `size` did not fit."""
        self._limit = max(1, size // 2)
        self._patience, self._fitted = 2 * self._patience, 0
        return self._limit

    def fitted(self) -> None:
        """A batch fitted; after some of them twice as many sequences are allowed again."""
        self._fitted += 1
        if self._fitted >= self._patience and self._limit < self._cap:
            self._limit = min(self._cap, 2 * self._limit)
            self._fitted = 0


def in_batches(
    items: list[Item],
    run: Callable[[list[Item]], Done],
    *,
    sizes: BatchSize,
    allowed: Callable[[list[Item]], int],
    verb: str = "Generation",
    less: str = "fewer max_new_tokens or a shorter prompt",
) -> Iterator[Done]:
    """Run batch after batch; one that does not fit into memory is halved.

    Parameters
    ----------
    items
        What is to be run, in order.
    run
        Runs a batch.
    sizes
        Told what fitted.
    allowed
        Items of the next batch, of those that are left.
    verb, less
        What is done, and what needs less memory, for messages.

    Raises
    ------
    EngineError
        If a single item does not fit, or a batch fails for another reason.
    """
    import torch

    while items:
        size = min(allowed(items), len(items))
        done = None
        try:
            done = run(items[:size])
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error) or size == 1:
                raise EngineError(_message(error, size, verb, less)) from error
        if done is not None:
            sizes.fitted()
            yield done
            items = items[size:]
            continue
        # Not in the handler: there the error still holds the tensors of the batch, and no memory could be freed.
        log.warning("Out of memory: going on with batches of %d.", sizes.failed(size))
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def _message(error: Exception, size: int, verb: str, less: str) -> str:
    if is_out_of_memory(error):
        return f"Out of memory with a batch of one; use a smaller model, {less}."
    return f"{verb} failed with a batch of {size}: {error}"


def padded(sequences: Sequence[Sequence[int]], model: Any, *, left: bool = False) -> Any:
    """Tokens as a matrix on the model's device, with -1 where a sequence has none."""
    import torch

    length = max(map(len, sequences))
    rows = [[-1] * (length - len(ids)) + [*ids] if left else [*ids] + [-1] * (length - len(ids)) for ids in sequences]
    return torch.tensor(rows, device=model.device)


def cache_bytes(config: Any, itemsize: int) -> int:
    """Bytes that the keys and values of one token need at most, in all layers.

    An upper bound where layers see a window alone, share their keys, or keep no keys at all.

    Parameters
    ----------
    config
        Of a model of transformers.
    itemsize
        Bytes of a number.

    Examples
    --------
    >>> from transformers import LlamaConfig
    >>> from bftembed.engines.batches import cache_bytes
    >>> cache_bytes(LlamaConfig(num_hidden_layers=32, hidden_size=4096, num_attention_heads=32), 2)
    524288
    """
    text = config.get_text_config()
    hidden, layers = _whole(text, "hidden_size"), _whole(text, "num_hidden_layers")
    heads = _whole(text, "num_attention_heads")
    shared = _whole(text, "num_key_value_heads") or heads
    # Compressed attention (MLA) keeps whole heads, whose widths have names of their own.
    widths = [_whole(text, name) for name in ("head_dim", "qk_head_dim", "v_head_dim", "global_head_dim")]
    width = max(*widths, hidden // heads if heads else 0)
    return layers * 2 * (shared * width or hidden) * itemsize


def sequence_bytes(model: Any, n_prompt: int, n_new: int) -> int:
    """Bytes that a sequence of a batch needs, about: its cache, the prompt in one layer, and the scores of a token.

    Parameters
    ----------
    model
        Of transformers.
    n_prompt, n_new
        Tokens, padding included.
    """
    text, itemsize = model.config.get_text_config(), int(model.dtype.itemsize)
    hidden = _whole(text, "hidden_size")
    inner = _whole(text, "intermediate_size") or 4 * hidden
    cache = int(_GAPS * cache_bytes(model.config, itemsize) * (n_prompt + n_new))
    layer = n_prompt * (2 * inner + 8 * hidden) * itemsize
    return cache + layer + _LOGITS * 4 * _whole(text, "vocab_size")


def free_memory(model: Any) -> int | None:
    """Bytes free on the GPUs that hold a model, as if its layers were spread evenly; None where it is on none."""
    import torch

    devices = {tensor.device for tensor in model.parameters() if tensor.device.type == "cuda"}
    free = [
        torch.cuda.mem_get_info(device)[0] + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        for device in devices
    ]
    return min(free) * len(free) if free else None


def _whole(config: Any, name: str) -> int:
    """A whole number of a configuration; the largest where it has one per layer, 0 where it has none."""
    value = getattr(config, name, None)
    values = value if isinstance(value, list | tuple) else [value]
    return max((n for n in values if isinstance(n, int)), default=0)
