"""A study of which the results are made up."""

import numpy as np
import pytest

from bftembed.studies.grpo.config import GRPOStudyConfig
from bftembed.studies.grpo.outcomes import Values, grpo_cell, start_cell
from bftembed.studies.grpo.questions import Exam, Item
from bftembed.studies.grpo.study import TRAJECTORY
from bftembed.studies.grpo.traces import STATISTICS

N_SAMPLES = 4


@pytest.fixture
def exam():
    """Twelve questions of three genes, half of each answer."""
    choices = ("increase", "decrease")
    items = [Item(f"{n}", [], choices[n % 2], choices, f"G{n // 4}", ("P", "G")) for n in range(12)]
    return Exam(items, {"test": items})


@pytest.fixture
def make():
    """Configuration and results of starts whose share of right answers is `before`, and `after` GRPO."""

    def make(after, *, before=0.5, seeds=(0, 1, 2), answered=1.0, silent=0.0, reward=(0.3, 0.9), **changes):
        starts = {label: {} if label == "base" else {"objective": label} for label in after}
        config = GRPOStudyConfig.model_validate(
            {"output": "x", "starts": starts, "seeds": seeds, "grpo_seeds": 1, "n_samples": N_SAMPLES, "passes": [1, 4]}
            | changes
        )
        rng = np.random.default_rng(0)

        def cell(share):
            right = rng.random((12, N_SAMPLES)) < share
            ranked = rng.random(12) < share
            sign = np.where(np.arange(12) % 2 == 0, 1.0, -1.0)
            known = {"words": [9.0] * 12}
            traces = {name: known.get(name, [None] * 12) for name in STATISTICS}
            measured = {
                "right": ranked.astype(float).tolist(),
                "margin": np.where(ranked, sign, -sign).tolist(),
                "n": N_SAMPLES,
                "counts": right.sum(axis=1).tolist(),
                "answered": [answered * N_SAMPLES] * 12,
                "cut": [0] * 12,
                "distinct": [N_SAMPLES] * 12,
                "greedy": [0] * 12,
                "traces": {"sampled": traces, "greedy": traces},
            }
            files = {name: {"nll": [3.0, 1.0], "tokens": [2, 2]} for name in ("validation", "general")}
            return {"sets": {"test": measured}, "files": files, "entropy": 1.5}

        def course():
            own = {"answered": [answered] * 5, "frac_reward_zero_std": [silent] * 5}
            return dict.fromkeys(TRAJECTORY, [1.0] * 5) | own | {"reward": [reward[0], *[0.5] * 3, reward[1]]}

        predicted = {"predictors": {"right": [0, 4], "distinct": [1, 2]}, "learning_rate": 2e-4}
        results = {}
        for label, share in after.items():
            for seed in seeds:
                results.setdefault(start_cell(label, seed, config), cell(before) | predicted)
                results[grpo_cell(label, seed, 0)] = cell(share) | {"trajectory": course(), "kl": 0.1}
        results |= {f"random-{label}": cell(before) | {"trajectory": course()} for label in config.random_reward}
        results |= {"positive": {"trajectory": course()}} if config.positive_control else {}
        return config, results

    return make


@pytest.fixture
def values(make):
    """As `make`, as values."""

    def values(*arguments, **options):
        config, results = make(*arguments, **options)
        gold = [n % 2 == 0 for n in range(12)]
        return Values(config, results, {"test": ([f"G{n // 4}" for n in range(12)], gold)})

    return values
