"""Balanced Fine-Tuning: objectives, trainer, data, diagnostic and GRPO."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bftembed.tune.corpus import build_corpus
    from bftembed.tune.diagnosis import diagnose
    from bftembed.tune.logprobs import token_logprobs
    from bftembed.tune.loss import make_loss
    from bftembed.tune.objectives import Objective
    from bftembed.tune.run import tune
    from bftembed.tune.trainer import Tuner

_WHERE = {
    "Objective": "objectives",
    "Tuner": "trainer",
    "build_corpus": "corpus",
    "diagnose": "diagnosis",
    "make_loss": "loss",
    "token_logprobs": "logprobs",
    "tune": "run",
}
__all__ = ["Objective", "Tuner", "build_corpus", "diagnose", "make_loss", "token_logprobs", "tune"]


def __getattr__(name: str) -> Any:
    # torch and transformers are imported on first use.
    if name in _WHERE:
        return getattr(importlib.import_module(f"bftembed.tune.{_WHERE[name]}"), name)
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
