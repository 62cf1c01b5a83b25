"""What has to hold before a difference between starts can mean anything, and the verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bftembed.studies.grpo.outcomes import ANSWERED, PASS_1, RANK, Comparison, comparisons, shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bftembed.studies.grpo.outcomes import Values

#: Shares that are needed, and the step by which answers have to be readable.
ANSWERS_NEEDED, SIGNAL_NEEDED, _STEP = 0.9, 0.2, 20
#: By how much the mean reward of the positive control has to rise, or where it may have begun.
RISE_NEEDED, _HIGH = 0.1, 0.9
ERROR = 0.05
WORDS = {1: "better start", -1: "worse start", 0: "cannot be told"}


class Gate(NamedTuple):
    """One condition of one start."""

    name: str
    start: str
    value: float
    needed: float

    @property
    def holds(self) -> bool:
        """Whether the value reaches what is needed."""
        return self.value >= self.needed

    def __str__(self) -> str:
        return f"{self.name} of `{self.start}` {self.value:.3f}, needed {self.needed:g}"


def gates(values: Values, label: str) -> tuple[Gate, Gate]:
    """Whether answers can be read, at the start or after 20 steps, and whether groups have a signal."""
    test = next(iter(values.tests))
    at_start = float(values.before(label, test, ANSWERED).mean())
    runs = [run["trajectory"] for run in values.runs(label)]
    later = float(np.mean([run["answered"][min(_STEP, len(run["answered"])) - 1] for run in runs]))
    signal = 1 - float(np.mean([np.mean(run["frac_reward_zero_std"]) for run in runs]))
    return (
        Gate("answered", label, max(at_start, later), ANSWERS_NEEDED),
        Gate("groups with signal", label, signal, SIGNAL_NEEDED),
    )


def rise(trajectory: dict[str, Sequence[float]]) -> tuple[float, float]:
    """Mean reward in the first and in the last fifth of the steps."""
    rewards = trajectory["reward"]
    part = max(1, len(rewards) // 5)
    return float(np.mean(rewards[:part])), float(np.mean(rewards[-part:]))


def compared(values: Values) -> list[str]:
    """Starts that are compared with the reference: both of their gates hold."""
    labels = [label for label in values.config.starts if label != values.config.reference]
    return [label for label in labels if all(gate.holds for gate in gates(values, label))]


def unusable(values: Values) -> str:
    """Why nothing is compared, ``uninformative: GATE`` or ``cannot be told`` first; empty where something is."""
    config = values.config
    reference = [gate for gate in gates(values, config.reference) if not gate.holds]
    others = [label for label in config.starts if label != config.reference]
    failed = [gate for label in others for gate in gates(values, label) if not gate.holds]
    if reference or not compared(values):
        first = (reference or failed)[0]
        more = [str(gate) for gate in (*reference, *failed) if gate != first]
        also = f" Also: {'; '.join(more)}." if more else ""
        return f"uninformative: {first.name}. {str(first)[0].upper()}{str(first)[1:]}.{also}"
    if config.positive_control:
        begin, end = rise(values.results["positive"]["trajectory"])
        if begin < _HIGH and end - begin < RISE_NEEDED:
            return (
                f"uninformative: positive control. Where one answer is always right the mean reward went from "
                f"{begin:.3f} to {end:.3f}, and a rise of {RISE_NEEDED:g} is needed: this many steps teach nothing."
            )
    if len(config.seeds) == 1:
        return "cannot be told: one seed of tuning says nothing about others."
    return ""


def verdict(values: Values) -> str:
    """One sentence or two; begins with ``uninformative: GATE`` or ``cannot be told`` where that is so.

    A start is compared if both of its gates and both of the reference hold; a start is called better or worse where the
    difference of differences in pass@1 or accuracy by rank of the main test is significant after correction, and in no
    one of the two against the other.
    """
    if failed := unusable(values):
        return failed
    every, labels = comparisons(values), compared(values)
    reference = values.config.reference
    said = "; ".join(f"`{label}` against `{reference}`: {_said(label, every, values)}" for label in labels)
    left_out = [label for label in values.config.starts if label not in (*labels, reference)]
    return f"{said}." + (f" Not compared, for a gate: {', '.join(left_out)}." if left_out else "")


def told(label: str, every: Sequence[Comparison], test: str) -> tuple[int, str]:
    """Whether a start is better (1), worse (-1), or neither can be told (0); and the two differences behind that."""
    mine = [one for one in every if one.start == label and one.test == test and one.outcome in (RANK, PASS_1)]
    signs = {int(np.sign(one.found.mean)) for one in mine if one.p is not None and one.p < ERROR}
    said = ", ".join(f"{one.outcome} {shown(one.found)}" for one in mine)
    return (signs.pop() if len(signs) == 1 else 0), said


def _said(label: str, every: Sequence[Comparison], values: Values) -> str:
    sign, differences = told(label, every, next(iter(values.tests)))
    return f"{WORDS[sign]} ({differences})"
