"""Continuous batching of transformers: when it is worth while, and the answers that it gives."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bftembed.engines.values import Sampling

#: Tokens of one page of the cache (transformers' default) and of one step, and requests at once, on a CPU.
_PAGE, _STEP, _AT_ONCE = 256, 512, 64
#: Most answers handed on together.
_TOGETHER = 256
log = logging.getLogger("bftembed")


def can_run(sampling: Sampling) -> bool:
    """Whether nothing is asked for that transformers would leave out: it drops a repetition penalty."""
    return sampling.repetition_penalty == 1


def is_worth_while(model: Any, sampling: Sampling, attention: str | None = None) -> bool:
    """Whether to use it unasked: on one GPU, with flash attention, for greedy texts without stop texts.

    Without flash attention each step attends over a mask of all requests and pages, and CUDA graphs and the overlap
    of CPU and GPU stay off (``continuous_batching/initialization.py`` of transformers 5.23). Its draws depend on the
    requests that run beside, and it goes on after a stop text. `attention` is what was asked for, if anything was.
    """
    if not can_run(sampling) or sampling.temperature > 0 or sampling.stop:
        return False
    if {tensor.device.type for tensor in model.parameters()} != {"cuda"} or model.dtype.itemsize != 2:
        return False
    return len({tensor.device for tensor in model.parameters()}) == 1 and _has_flash(model, attention)


def _has_flash(model: Any, attention: str | None) -> bool:
    """Whether transformers would run the model with a flash attention that is installed here."""
    from transformers.utils.import_utils import is_flash_attn_2_available, is_flash_attn_3_available

    if "flash" in model.config._attn_implementation:  # also of the hub's kernels, e.g. kernels-community/flash-attn2
        return True
    if attention:
        return False
    installed = is_flash_attn_3_available() or is_flash_attn_2_available()
    return bool(installed and getattr(model, "_supports_flash_attn", False))


def settings(
    model: Any,
    longest: int,
    n: int,
    sampling: Sampling,
    *,
    cap: int | None,
    compiled: bool,
    attention: str | None = None,
) -> Any:
    """``ContinuousBatchingConfig``: on a GPU transformers sizes cache and batches by the free memory.

    Parameters
    ----------
    model
        The model.
    longest
        Tokens of the longest prompt.
    n
        Requests.
    sampling
        How tokens are drawn.
    cap
        Most requests at once; None leaves it to transformers.
    compiled
        Compile the model's forward pass, on a GPU.
    attention
        What was asked for; where nothing was, transformers takes a flash attention that is installed.
    """
    from transformers import ContinuousBatchingConfig

    make: Any = ContinuousBatchingConfig
    if model.device.type != "cpu":
        return make(
            seed=sampling.seed,
            max_requests_per_batch=cap,
            default_compile_level=int(compiled),
            auto_switch_to_flash=attention is None,
        )
    # Left alone, transformers would reserve most of the machine's memory for its cache.
    pages = -(-(longest + sampling.max_new_tokens) // _PAGE)
    at_once = min(cap or _AT_ONCE, n)
    return make(
        seed=sampling.seed,
        max_requests_per_batch=at_once,
        num_blocks=at_once * (pages + 1),
        max_batch_tokens=max(_STEP, at_once),
    )


def answers(
    model: Any, prompts: list[tuple[list[int], str]], sampling: Sampling, *, generation_config: Any, **options: Any
) -> Iterator[list[tuple[str, list[int]]]]:
    """Tokens of the answers as they are finished, with the ids of their requests.

    Where transformers fails, as a whole or in a request, a warning says why, and the requests concerned are left out.

    Parameters
    ----------
    model
        The model.
    prompts
        Tokens and ids, longest first, in which order they begin.
    sampling, generation_config
        How tokens are drawn, as it was asked for and for transformers.
    options
        ``cap``, ``compiled`` and ``attention`` of `settings`.
    """
    waiting, attention = {id for _, id in prompts}, model.config._attn_implementation
    failure = ""
    try:
        made = {
            "generation_config": generation_config,
            "continuous_batching_config": settings(model, len(prompts[0][0]), len(prompts), sampling, **options),
            # Graphs are captured before the first request on a GPU, so that what cannot work fails at once.
            "warmup": model.device.type == "cuda",
        }
        with model.continuous_batching_context_manager(**made) as manager:
            for ids, id in prompts:
                manager.add_request(ids, request_id=id, max_new_tokens=sampling.max_new_tokens)
            try:
                while waiting and (results := _finished(manager)):
                    waiting -= {result.request_id for result in results}
                    failure = next((str(result.error) for result in results if result.error), failure)
                    good = [(r.request_id, r.generated_tokens) for r in results if not r.error]
                    if good:
                        yield good
            finally:  # of a caller that wants no more, too: leaving the manager would wait for all of them
                for id in waiting:
                    manager.cancel_request(id)
    except Exception as error:  # noqa: BLE001 - kernels, graphs and compilers have errors of every class
        failure = f"{type(error).__name__}: {error}"
    if model.config._attn_implementation != attention:  # which transformers gives back where it stops, and only there
        model.set_attn_implementation(attention)
    if waiting and not failure:
        failure = "it stopped"
    if failure:
        log.warning("Continuous batching failed (%s): what is left goes on in static batches.", failure.split("\n")[0])


def _finished(manager: Any) -> list[Any]:
    """Results that are there, at least one; none where the manager has ended."""
    results: list[Any] = []
    while not results:
        running = manager.is_running()  # asked first: what it left behind is still read
        result = manager.get_result(timeout=1)
        while result is not None:
            results += [result] if result.error or result.is_finished() else []
            result = manager.get_result(timeout=0) if len(results) < _TOGETHER else None
        if not running and not results:
            break
    return results
