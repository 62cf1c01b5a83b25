"""What all students of one kind of lists say together."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from bftembed.studies.statistics.labelings import Transfer, logit_lifts, target_rate, transfer, visible_if_independent
from bftembed.studies.subliminal.cells import NEUTRAL, Job
from bftembed.studies.subliminal.verdicts import WAYS, Comparison, compared, failed_gate, lifts, paired, verdict

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from bftembed.studies.subliminal.settings import Language


@dataclass(frozen=True)
class KindOutcome:
    """Of the lists of one kind.

    Attributes
    ----------
    kind, animals
        Name of the kind, and the animals.
    said
        The verdict.
    transfers
        lambda of each objective and control at the last step; None where cells were refused.
    independent
        Smallest lambda to be seen, were all cells independent.
    comparisons
        By way of comparing and objective.
    verdicts
        By objective.
    matrix
        Lifts under SFT, averaged over replicates, (K, K).
    curves
        By objective, the mean over students at each look: loss on held-out lists, and own lift.
    measures
        The direct measures, by objective.
    rates
        By objective, with drawn answers: rate of the own animal with its interval, lambda of logits.
    """

    kind: str
    animals: list[str]
    said: str
    transfers: dict[str, Transfer] | None = None
    independent: float = float("nan")
    comparisons: dict[str, dict[str, Comparison]] = field(default_factory=dict)
    verdicts: dict[str, str] = field(default_factory=dict)
    matrix: NDArray[np.float64] | None = None
    curves: dict[str, tuple[list[float], list[float]]] = field(default_factory=dict)
    measures: dict[str, dict[str, float]] = field(default_factory=dict)
    divergent: float = float("nan")
    rates: dict[str, tuple[float, float, float, Transfer]] = field(default_factory=dict)


def outcome(language: Language, results: Mapping[Job, Any], kind: str) -> KindOutcome:
    """All comparisons and the verdict.

    Parameters
    ----------
    language
        The configuration.
    results
        By job.
    kind
        Of the lists.
    """
    animals = results[Job("base")].get("animals", [])
    refused = {each["refused"]: None for job, each in results.items() if "refused" in each and job.kind in ("", kind)}
    n, others = language.animals, [name for name in language.students.objectives if name != "sft"]
    if refused:
        gate = failed_gate(animals=n, objectives=len(others), refused=list(refused), sft=None, controls={})
        return KindOutcome(kind, animals, f"uninformative: {gate}.")
    students = _Students(language, results, kind)
    sft = students.lifts("sft")
    ways = {way: compared(sft, {name: students.comparable("sft", name, way) for name in others}) for way in WAYS}
    controls: dict[str, Transfer] = {name: transfer(students.control(name)) for name in language.controls}
    transfers = {name: transfer(students.lifts(name)) for name in language.students.objectives} | controls
    gate = failed_gate(animals=n, objectives=len(others), refused=(), sft=transfers["sft"], controls=controls)
    verdicts = {
        name: f"uninformative: {gate}" if gate else verdict(ways["nll"][name], ways["steps"][name]) for name in others
    }
    measures, divergent = _measured(results, kind, list(language.students.objectives))
    return KindOutcome(
        kind,
        animals,
        "; ".join(f"{name}: {said}" for name, said in verdicts.items()) + "."
        if not gate
        else f"uninformative: {gate}.",
        transfers,
        visible_if_independent(sft),
        ways,
        verdicts,
        sft.mean(axis=2),
        {name: students.mean_curve(name) for name in language.students.objectives},
        measures,
        divergent,
        students.rates() if language.samples else {},
    )


class _Students:
    def __init__(self, language: Language, results: Mapping[Job, Any], kind: str) -> None:
        self.language, self.results, self.kind = language, results, kind
        self.teachers = [f"a{number}" for number in range(language.animals)]

    def _one(self, what: str, teacher: str, replicate: int) -> Any:
        return self.results[Job("student", what, self.kind, replicate, teacher)]

    def lifts(self, what: str) -> NDArray[np.float64]:
        """At the last step, (K, K, R)."""
        return self.comparable(what, what, "steps")[0]

    def comparable(self, one: str, other: str, way: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Lifts of two objectives, each pair of students made comparable, (K, K, R) each."""
        replicates = range(self.language.replicates)
        pairs = {
            (teacher, r): paired(self._one(one, teacher, r)["curve"], self._one(other, teacher, r)["curve"], way)
            for teacher in (*self.teachers, NEUTRAL)
            for r in replicates
        }
        first, second = (
            lifts(
                [[pairs[teacher, r][side] for r in replicates] for teacher in self.teachers],
                [pairs[NEUTRAL, r][side] for r in replicates],
            )
            for side in (0, 1)
        )
        return first, second

    def control(self, what: str) -> NDArray[np.float64]:
        """Log-probabilities at the last step, (K, K, R of the controls): lambda needs no neutral student."""
        replicates = range(self.language.control_replicates)
        ends = [[self._one(what, teacher, r)["curve"][-1]["logprobs"] for r in replicates] for teacher in self.teachers]
        return np.moveaxis(np.asarray(ends, dtype=np.float64), 1, 2)

    def mean_curve(self, what: str) -> tuple[list[float], list[float]]:
        """Loss on held-out lists, and lambda, at each look."""
        students = [
            [self._one(what, teacher, r)["curve"] for r in range(self.language.replicates)] for teacher in self.teachers
        ]
        looks = range(min(len(curve) for row in students for curve in row))
        losses = [float(np.mean([[curve[look]["nll"] for curve in row] for row in students])) for look in looks]
        means = [np.mean([[curve[look]["logprobs"] for curve in row] for row in students], axis=1) for look in looks]
        return losses, [transfer(mean[:, :, None]).strength for mean in means]

    def rates(self) -> dict[str, tuple[float, float, float, Transfer]]:
        """From drawn answers, by objective."""
        from bftembed.studies.subliminal.words import ASKED

        n = self.language.samples * len(ASKED)
        found = {}
        for what in self.language.students.objectives:
            counts = np.moveaxis(
                np.array(
                    [
                        [self._one(what, teacher, r)["counts"] for r in range(self.language.replicates)]
                        for teacher in self.teachers
                    ]
                ),
                1,
                2,
            )
            found[what] = (*target_rate(counts, n), transfer(logit_lifts(counts, n)))
        return found


def _measured(
    results: Mapping[Job, Any], kind: str, objectives: list[str]
) -> tuple[dict[str, dict[str, float]], float]:
    """Means of the direct measures over teachers."""
    each = [result for job, result in results.items() if job.stage == "measure" and job.kind == kind]
    if not each:
        return {}, float("nan")
    means = {
        name: {what: float(np.mean([one[what][name] for one in each])) for what in ("share", "own", "others")}
        for name in objectives
    }
    return means, float(np.mean([one["divergent"] for one in each]))
