"""The second arm: of each tuned start the step at which it answers as well as the others, and the arm's values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from bftembed.errors import DataError
from bftembed.studies.grpo.outcomes import Values, grpo_cell, start_cell

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bftembed.studies.grpo.config import GRPOStudyConfig

    Results = Mapping[str, Any]


class Choice(NamedTuple):
    """The number of right answers that is aimed at, and by start the position of the step that is taken."""

    target: int
    taken: dict[str, int]


def choose(right: Mapping[str, Sequence[int]]) -> Choice:
    """Choose of each start the step at which as many answers are right as of the others.

    The target is one of the starts' counts at their last steps: the one that all starts can come nearest to, so that
    the largest distance that is left is the smallest; of several the lowest. Each start is taken at the step whose
    count is nearest to it; of several at the latest. So one start at least is taken at its last step.

    Parameters
    ----------
    right
        By start, how many answers to the same questions are right at each step, in their order.

    Examples
    --------
    >>> from bftembed.studies.grpo.matching import choose
    >>> choose({"sft": [30, 41, 52], "bft": [20, 31, 42]})
    Choice(target=42, taken={'sft': 1, 'bft': 2})
    """

    def taken(target: int) -> dict[str, int]:
        return {
            label: min(range(len(counts)), key=lambda step: (abs(counts[step] - target), -step))
            for label, counts in right.items()
        }

    def left(target: int) -> int:
        return max(abs(right[label][step] - target) for label, step in taken(target).items())

    target = min({counts[-1] for counts in right.values()}, key=lambda one: (left(one), one))
    return Choice(target, taken(target))


def steps_cell(label: str, seed: int) -> str:
    """Name of the cell that asks the models along the tuning of a start."""
    return f"steps-{label}-s{seed}"


def matched_cell(label: str, seed: int, number: int | None = None) -> str:
    """Name of the cell of a start of this arm, or of a run of GRPO that goes out from it."""
    return f"matched-{label}-s{seed}" + ("" if number is None else f"-g{number}")


def counts(config: GRPOStudyConfig, results: Results) -> dict[str, list[int]]:
    """By start, right answers of all seeds together to training questions, at each kept step and at the last one."""
    found = {}
    for label in config.tuned:
        runs = [results[steps_cell(label, seed)] for seed in config.seeds]
        if any(run["steps"] != runs[0]["steps"] for run in runs):
            msg = (
                f"The runs of `{label}` have other steps from seed to seed, as if tuned on other numbers of devices. "
                "Run all of the study on one number of them, in another output."
            )
            raise DataError(msg)
        last = sum(sum(results[start_cell(label, seed, config)]["predictors"]["right"]) for seed in config.seeds)
        along = zip(*(map(sum, run["right"]) for run in runs), strict=True)
        found[label] = [*map(sum, along), last]
    return found


def matched_values(values: Values) -> Values:
    """The arm as a study of its own, of the tuned starts; a start that is taken at its last step is the main arm's."""
    config, results = values.config, values.results
    own = config.model_copy(update={"starts": {label: config.starts[label] for label in config.tuned}})
    renamed = dict(results)
    for label in config.tuned:
        for seed in config.seeds:
            pairs = [(start_cell(label, seed, config), matched_cell(label, seed))]
            pairs += [(grpo_cell(label, seed, g), matched_cell(label, seed, g)) for g in values.numbers]
            renamed |= {name: results[mine] for name, mine in pairs if "same_as" not in results[mine]}
    return Values(own, renamed, values.tests)
