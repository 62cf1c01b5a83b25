"""Balanced Fine-Tuning: objectives, trainer, data, diagnostic and GRPO."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bftembed._lazy import attach

if TYPE_CHECKING:
    from bftembed.tune.data.corpus import build_corpus
    from bftembed.tune.diagnosis.analysis import diagnose
    from bftembed.tune.loss.compute_loss import make_loss
    from bftembed.tune.loss.kinds import ObjectiveKind, register_objective
    from bftembed.tune.loss.logprobs import token_logprobs
    from bftembed.tune.loss.objectives import Objective
    from bftembed.tune.loss.weights import Weights
    from bftembed.tune.memory import MemoryPlan, plan
    from bftembed.tune.run import tune
    from bftembed.tune.trainer import Tuner

__all__ = [
    "MemoryPlan",
    "Objective",
    "ObjectiveKind",
    "Tuner",
    "Weights",
    "build_corpus",
    "diagnose",
    "make_loss",
    "plan",
    "register_objective",
    "token_logprobs",
    "tune",
]

__getattr__, __dir__ = attach(
    __name__,
    {
        "MemoryPlan": "memory",
        "Objective": "loss.objectives",
        "ObjectiveKind": "loss.kinds",
        "Tuner": "trainer",
        "Weights": "loss.weights",
        "build_corpus": "data.corpus",
        "diagnose": "diagnosis.analysis",
        "make_loss": "loss.compute_loss",
        "plan": "memory",
        "register_objective": "loss.kinds",
        "token_logprobs": "loss.logprobs",
        "tune": "run",
    },
    packages=("torch", "transformers"),
    extra="tune",
)
