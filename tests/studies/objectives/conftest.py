"""A tiny matrix on the tiny model, and how it is run."""

import json

import numpy as np
import pytest

from bftembed.studies.objectives.config import ObjectivesConfig
from bftembed.studies.objectives.study import Objectives
from bftembed.studies.run import run_study

WORDS = ["kinase", "receptor", "membrane", "nucleus", "binds", "activates", "cell", "growth", "signal", "domain"]


@pytest.fixture(scope="session")
def samples(tmp_path_factory):
    """Files of the tiny matrix: gene-like rows, of which the held-out ones come from the same few words."""
    folder, rng = tmp_path_factory.mktemp("objectives"), np.random.default_rng(0)
    files = {}
    for name, n in (("train", 8), ("validation", 3), ("unseen", 4), ("text", 2)):
        rows = [
            {
                "id": f"G{name}{number}",
                "prompt": f"What does the gene G{name}{number} do?",
                "response": " ".join(rng.choice(WORDS, 3 + 4 * (number % 3))),
            }
            for number in range(n)
        ]
        files[name] = folder / f"{name}.jsonl"
        files[name].write_text("".join(json.dumps(row) + "\n" for row in rows))
    return files


@pytest.fixture(scope="session")
def tiny(tiny_model, samples):
    """Values of a configuration of two objectives and two rates with one seed, of two steps each."""
    return {
        "output": "unused",
        "recipe": {
            "model": str(tiny_model),
            "max_length": 96,
            "training": {"max_steps": 2, "batch_size": 4, "save_steps": 1, "schedule": "constant"},
        },
        "objectives": {"sft": "sft", "bft": {"name": "bft", "window": 4}},
        "learning_rates": [1e-3, 1e-2],
        "seeds": [0],
        "paths": {"From SFT to BFT": ["sft", "bft"]},
        "data": {
            "train": str(samples["train"]),
            "validation": str(samples["validation"]),
            "evaluation": {"unseen": str(samples["unseen"]), "text": str(samples["text"])},
        },
    }


@pytest.fixture(scope="session")
def finished(tiny, tmp_path_factory):
    """The study that ran without interruption."""
    study = Objectives(ObjectivesConfig.model_validate(tiny), tmp_path_factory.mktemp("finished"))
    run_study(study)
    return study
