"""Balanced Fine-Tuning: objectives, trainer, data, diagnostic and GRPO."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bftembed.tune.data.corpus import build_corpus
    from bftembed.tune.diagnosis.analysis import diagnose
    from bftembed.tune.loss.compute_loss import make_loss
    from bftembed.tune.loss.logprobs import token_logprobs
    from bftembed.tune.loss.objectives import Objective
    from bftembed.tune.run import tune
    from bftembed.tune.trainer import Tuner

_WHERE = {
    "Objective": "loss.objectives",
    "Tuner": "trainer",
    "build_corpus": "data.corpus",
    "diagnose": "diagnosis.analysis",
    "make_loss": "loss.compute_loss",
    "token_logprobs": "loss.logprobs",
    "tune": "run",
}
__all__ = ["Objective", "Tuner", "build_corpus", "diagnose", "make_loss", "token_logprobs", "tune"]


def __getattr__(name: str) -> Any:
    # torch and transformers are imported on first use.
    if name in _WHERE:
        return getattr(importlib.import_module(f"bftembed.tune.{_WHERE[name]}"), name)
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)


def __dir__() -> list[str]:
    return sorted(__all__)
