"""The cells of the study: learning rates, starts, runs of GRPO, controls, and the second arm."""

from __future__ import annotations

import hashlib
from functools import partial
from typing import TYPE_CHECKING, Any

from bftembed.studies.base import Cell, Cost
from bftembed.studies.grpo.costs import costs
from bftembed.studies.grpo.matching import matched_cell, steps_cell
from bftembed.studies.grpo.outcomes import grpo_cell, start_cell
from bftembed.studies.grpo.starts import said
from bftembed.studies.samples import digest_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from bftembed.studies.grpo.config import GRPOStudyConfig, Matched
    from bftembed.studies.grpo.costs import Costs
    from bftembed.studies.grpo.questions import Exam


def cells(config: GRPOStudyConfig, exam: Exam, files: Mapping[str, Path]) -> Iterator[Cell]:
    """All cells in the order in which they are run."""
    shared, cost = _shared(config, exam, files), costs(config, exam, files["train"])
    for label, start in config.starts.items():
        tuned = shared | {"start": said(start)}
        sweep = start.learning_rates if start.objective and len(start.learning_rates) > 1 else ()
        for rate in sweep:
            yield Cell(rate_cell(label, rate), tuned | {"learning_rate": rate}, cost.tuning)
        for seed in config.seeds if start.objective else config.seeds[:1]:
            tokens = cost.exam + cost.predicted + (cost.tuning if start.objective else Cost())
            settings = tuned | ({"seed": seed} if start.objective else {})
            yield Cell(start_cell(label, seed, config), settings, tokens, tuple(rate_cell(label, r) for r in sweep))
    for cell, (label, seed, changes) in runs(config).items():
        settings = shared | {"start": said(config.starts[label])}
        settings |= {"seed": seed, "arm": changes}
        begin = start_cell(label, seed, config)
        yield Cell(cell, settings, cost.run if cell == "positive" else cost.run + cost.exam, (begin,))
    if config.matched:
        yield from _matched_cells(config, config.matched, shared, cost)


def _matched_cells(config: GRPOStudyConfig, matched: Matched, shared: Mapping[str, Any], cost: Costs) -> Iterator[Cell]:
    """The second arm; which steps are taken depends on all tuned starts and seeds, and so do its results."""
    parts = {"checkpoints": matched.checkpoints}
    tuned = [(label, seed) for label in config.tuned for seed in config.seeds]
    asked = Cost(generated=(matched.checkpoints - 1) * cost.predicted.generated)
    for label, seed in tuned:
        settings = {**shared, "start": said(config.starts[label]), "seed": seed, **parts}
        yield Cell(steps_cell(label, seed), settings, asked, (start_cell(label, seed, config),))
    every = tuple(name(*one) for one in tuned for name in (steps_cell, partial(start_cell, config=config)))
    starts = {label: said(config.starts[label]) for label in config.tuned}
    whole = {**shared, **parts, "starts": starts, "seeds": list(config.seeds)}
    for label, seed in tuned:
        settings = whole | {"start": label, "seed": seed}
        begin = matched_cell(label, seed)
        yield Cell(begin, settings, cost.exam, every)
        needs = (start_cell(label, seed, config), begin)
        for number in range(config.grpo_seeds):
            arm = {"seed": grpo_seed(config, seed, number)}
            yield Cell(matched_cell(label, seed, number), settings | {"arm": arm}, cost.run + cost.exam, needs)


def runs(config: GRPOStudyConfig) -> dict[str, tuple[str, int, dict[str, Any]]]:
    """Start, seed of tuning and what is particular to it, by the name of the cell of a run of GRPO from a last step."""
    first = config.seeds[0]
    found: dict[str, tuple[str, int, dict[str, Any]]] = {}
    for seed in config.seeds:
        for label in config.starts:
            for number in range(config.grpo_seeds):
                found[grpo_cell(label, seed, number)] = (label, seed, {"seed": grpo_seed(config, seed, number)})
    for label in config.random_reward:
        found[f"random-{label}"] = (label, first, {"seed": 0, "reward": "random"})
    if config.positive_control:
        found["positive"] = (config.positive_control, first, {"seed": 0})
    return found


def grpo_seed(config: GRPOStudyConfig, seed: int, number: int) -> int:
    """Of a run of GRPO: those of one seed of tuning and one number have the same questions in the same order."""
    return config.seeds.index(seed) * config.grpo_seeds + number


def rate_cell(label: str, rate: float) -> str:
    """Name of the cell of a learning rate that is tried."""
    return f"rate-{label}-{rate:g}"


def _shared(config: GRPOStudyConfig, exam: Exam, files: Mapping[str, Path]) -> dict[str, Any]:
    from bftembed.studies.grpo.measures import VERSION

    return {
        "measures": VERSION,
        "model": config.recipe.model_digest,
        "recipe": config.recipe.model_dump(mode="json", exclude={"model", "adapter"}),
        "samples": {name: digest_of(path) for name, path in files.items()},
        "questions": exam.digest,
        "grpo": hashlib.sha256(config.grpo.model_dump_json().encode()).hexdigest()[:16],
        "n_samples": config.n_samples,
        "n_predict": config.questions.n_predict,
    }
