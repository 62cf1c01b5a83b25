"""Errors of vLLM as errors of this package: one sentence with what helps."""

from __future__ import annotations

import re
import sys
from typing import Any

from bftembed._optional import require
from bftembed.errors import EngineError, InputError, MissingExtraError

#: What vLLM says where it does not fit the machine or the model, and what helps.
_REMEDIES = {
    r"memory|KV cache": "Give it less to hold: a smaller `max_model_len`, another `gpu_memory_utilization` (on a CPU "
    "the share of the machine's memory), or more cards (`tensor_parallel_size`).",
    r"attention config|head.?(dim|size)": "The `transformers` engine runs this model.",
    r"bootstrapping phase": 'vLLM starts processes: put what the script does under `if __name__ == "__main__":`.',
    r"logprob_token_ids": "This vLLM is too old to score options; update it.",
    r"root cause|stack trace": "The cause stands in vLLM's log above.",
}


def imported() -> Any:
    """The module `vllm`, whose parts are imported when they are first asked for.

    Raises
    ------
    MissingExtraError
        If it is not installed.
    EngineError
        If it cannot be imported: it is compiled for one version of torch and of its companions.
    """
    try:
        vllm = require("vllm")
        vllm.LLM, vllm.SamplingParams  # noqa: B018
    except MissingExtraError:
        raise
    except (ImportError, RuntimeError, OSError, AttributeError) as error:
        msg = (
            f"vLLM cannot be imported, since its packages do not fit each other: {_reason(error)}. Install it into an "
            "environment of its own; where torchvision, torchaudio or torchcodec is at fault, uninstall all three: "
            "texts need none of them."
        )
        raise EngineError(msg) from error
    return vllm


def faults() -> tuple[type[Exception], ...]:
    """What vLLM raises: Python's errors, and its own, whose root is theirs in some versions."""
    own = (("vllm.exceptions", "VLLMError"), ("vllm.v1.engine.exceptions", "EngineDeadError"))
    there = [getattr(sys.modules.get(module), name, RuntimeError) for module, name in own]
    return (RuntimeError, ValueError, OSError, TypeError, LookupError, AssertionError, MemoryError, *there)


def explained(error: Exception, happened: str) -> EngineError | InputError:
    """An error of this package for one of vLLM's; `happened` follows the name, e.g. ``"failed"``."""
    reason = _reason(error)
    if isinstance(error, TypeError) and "unexpected keyword" in reason:
        return InputError(f"vLLM does not take these options: {reason}.")
    remedy = next((remedy for said, remedy in _REMEDIES.items() if re.search(said, reason)), "")
    return EngineError(f"vLLM {happened}: {reason.rstrip('.')}. {remedy}".strip())


def _reason(error: Exception) -> str:
    """The first line of an error that says something; pydantic's begin with a count."""
    said = str(error).strip()
    if details := getattr(error, "errors", None):
        each = [(detail["loc"][:1], str(detail["msg"]).removeprefix("Value error, ")) for detail in details()]
        said = "; ".join(dict.fromkeys(": ".join(map(str, (*where, words))) for where, words in each))
    line = said.partition("\n")[0]
    return f"{type(error).__name__}: {line}".rstrip(": ") if isinstance(error, LookupError) or not line else line
