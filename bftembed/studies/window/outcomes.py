"""What the runs say: a table of each measure by window and seed, and the verdict."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bftembed.studies.statistics.equivalence import Equivalence, judge_equivalence
from bftembed.studies.window.weighing import label

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from bftembed.studies.window.config import WindowConfig

UNTUNED = "untuned"
#: The corpus has to have this share of samples that are longer than so many supervised tokens, the default window:
#: else windows are compared that are one and the same.
LONG, LEAST_SHARE = 256, 0.5


def run_name(objective: str, seed: int) -> str:
    """Name of the cell of a run."""
    return f"{objective}-seed{seed}"


class Design(NamedTuple):
    """What is compared.

    Attributes
    ----------
    names
        Objectives.
    lengths
        Supervised tokens of the training samples, (n_samples,).
    same
        Objectives that weigh every sample as another one does, with that one.
    validation
        Names of the validation files; the verdict is on the first.
    """

    names: tuple[str, ...]
    lengths: NDArray[np.int64]
    same: dict[str, str]
    validation: tuple[str, ...]

    @property
    def runs(self) -> list[str]:
        """Objectives that are runs of their own."""
        return [name for name in self.names if name not in self.same]

    def within(self, window: int) -> float:
        """Share of the training samples that are no longer than a window."""
        return float((self.lengths <= window).mean())

    def windows(self, windows: Sequence[int], kind: str = "bft") -> list[str]:
        """Objectives of some windows, those that are another one's same left out; the smallest window first."""
        found = [f"{kind}-{label(window)}" for window in sorted(windows)]
        kept = [self.same.get(name, name) for name in found if name in self.names]
        return list(dict.fromkeys(kept))


class Measure(NamedTuple):
    """One measure: its title, the margin in its own units, and where a run's result has it."""

    title: str
    margin: float
    section: str
    key: str

    def value(self, result: Mapping[str, Any]) -> float:
        """The number of one run; perplexity is compared by its logarithm."""
        if result["diverged"]:
            return math.nan
        found = result[self.section]
        return float(found[self.key]) if found[self.key] is not None else math.nan

    def scale(self, values: Any) -> Any:
        """Values as they are shown: perplexities of their logarithms, others as they are."""
        return np.exp(values) if self.section == "nll" else values

    def show(self, value: float) -> str:
        """A number as it stands in tables."""
        if not math.isfinite(value):
            return "diverged"
        return f"{self.scale(value):.3f}"


def measures(config: WindowConfig, design: Design) -> list[Measure]:
    """What runs are compared by, the headline first."""
    margin = config.margin
    nats = math.log1p(margin.perplexity)
    found = [Measure(f"Perplexity: {name}", nats, "nll", name) for name in design.validation]
    if config.medical:
        found.append(Measure("Medical questions: share right", margin.accuracy, "medical", "right"))
        found.append(Measure("Medical questions: log-probability of the right letter", margin.gold, "medical", "gold"))
    return found


def table_of(
    measure: Measure, names: Sequence[str], seeds: Sequence[int], results: Mapping[str, Any]
) -> NDArray[np.float64]:
    """Values by objective and seed, (n_objectives, n_seeds)."""
    rows = [[measure.value(results[run_name(name, seed)]) for seed in seeds] for name in names]
    return np.array(rows, dtype=float).reshape(len(names), len(seeds))


class Verdict(NamedTuple):
    """A verdict with its reason, and the numbers of the interval where there are any."""

    word: str
    reason: str
    found: Equivalence | None = None

    def __str__(self) -> str:
        return f"{self.word}: {self.reason}"


def judge(config: WindowConfig, design: Design, results: Mapping[str, Any], measure: Measure) -> Verdict:
    """Whether `bft` is robust to its window by one measure, over windows of at least `range_from` tokens.

    Preconditions come first: enough long samples, no run that diverged, and runs that moved the measure from the
    untuned model's by more than the margin, since runs that learn nothing are alike whatever their window.
    """
    windows = [window for window in config.windows if window >= config.range_from]
    names = design.windows(windows)
    longer = 1 - design.within(LONG)
    if longer < LEAST_SHARE:
        shares = ", ".join(f"{label(g)}: {design.within(g):.0%}" for g in sorted(config.windows))
        reason = (
            f"{longer:.0%} of the training samples have more than {LONG} supervised tokens, and at least "
            f"{LEAST_SHARE:.0%} have to. Share of samples that a window holds as a whole: {shares}"
        )
        return Verdict("uninformative", reason)
    table = table_of(measure, names, config.seeds, results)
    if not np.isfinite(table).all():
        row, column = np.argwhere(~np.isfinite(table))[0]
        return Verdict("cannot be told", f"the run `{run_name(names[row], config.seeds[column])}` diverged")
    given = config.margin.seed_deviations
    found = judge_equivalence(table, margin=None if given else measure.margin, seed_deviations=given)
    before = measure.value(results[UNTUNED])
    moved = float(np.abs(table.mean(axis=1) - before).max())
    if moved <= (0.0 if math.isnan(found.margin) else found.margin):
        reason = f"no run moved the measure by more than the margin from the untuned model's ({measure.show(before)})"
        return Verdict("uninformative", reason, found)
    reason = found.reason
    if found.verdict != "cannot be told":
        better = (table.mean(axis=1) < before) if measure.section == "nll" else (table.mean(axis=1) > before)
        reason += f"; {better.sum()} of {len(names)} windows are better than the untuned model"
    return Verdict(found.verdict, reason, found)
