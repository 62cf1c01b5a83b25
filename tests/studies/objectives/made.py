"""Results of cells that are made up, with known effects of objective, rate, seed and item."""

import numpy as np

from bftembed.studies.objectives.config import ObjectivesConfig
from bftembed.studies.objectives.outcomes import BASE, cell_name

RATES = (1e-4, 1e-3, 1e-2)
OBJECTIVES = {"sft": "sft", "mean": {"name": "bft", "window": 1, "sample_weight": False}, "bft": "bft", "dft": "dft"}
#: Surprise of a token above 1, by objective and rate; None diverged.
LOSS = {
    "sft": (0.5, 0.1, 0.3),
    "mean": (0.6, 0.2, 0.3),
    "bft": (0.7, 0.9, 1.5),
    "dft": (0.9, 1.6, None),
}


def configuration(**changes):
    values = {
        "output": "out",
        "objectives": OBJECTIVES,
        "learning_rates": RATES,
        "paths": {"From SFT to BFT": ["sft", "mean", "bft"], "From SFT to DFT": ["sft", "dft"]},
    }
    return ObjectivesConfig.model_validate(values | changes)


def sums(rng, loss, n=6):
    tokens = np.array([20.0, 30, 40, 50, 60, 70][:n])
    each = 1 + loss + 0.02 * rng.standard_normal(n)
    return {
        "nll": (each * tokens).tolist(),
        "tokens": tokens.tolist(),
        "probability": (np.exp(-each) * tokens).tolist(),
    }


def results(config, *, noise=0.02, base=2.0, loss=None):
    """Results of all cells; the difference between objectives is the same in each set."""
    found = {}
    for seed in config.seeds:
        for label in config.objectives:
            for rate, effect in zip(config.learning_rates, (loss or LOSS)[label], strict=True):
                rng = np.random.default_rng([seed, 7])
                name = cell_name(label, rate, seed)
                if effect is None:
                    found[name] = {"diverged": True}
                    continue
                drift = noise * rng.standard_normal()
                sets = {each: sums(rng, effect + drift) for each in ("validation", *config.sets)}
                training = {"supervised_tokens": [11.0 + seed, 12.0], "mean_token_weight": 1.0, "grad_norm": 0.5}
                found[name] = {"diverged": False, "sets": sets, "training": training}
    rng = np.random.default_rng(1)
    found[BASE] = {"diverged": False, "sets": {name: sums(rng, base) for name in ("validation", *config.sets)}}
    return found
