"""Values of all runs as tables of seeds and questions, and differences of differences between starts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bftembed.studies.grpo.passes import pass_at_k
from bftembed.studies.statistics.hierarchical import Interval, interval

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from bftembed.studies.grpo.config import GRPOStudyConfig

    Floats = NDArray[np.float64]
    Results = Mapping[str, Any]

RANK, AUC, PASS_1, ANSWERED = "accuracy by rank", "AUC within groups by rank", "pass@1", "answered"
#: Outcomes that are compared between starts; all of them are in the correction for several tests.
COMPARED = (RANK, AUC, PASS_1)


class Comparison(NamedTuple):
    """How much more one start gains by GRPO than another, with the p-value of no difference, corrected (Holm)."""

    start: str
    test: str
    outcome: str
    found: Interval
    p: float | None


def shown(found: Interval) -> str:
    """An interval for reading."""
    if found.low is None:
        return f"{found.mean:+.3f} (no interval: one seed)"
    return f"{found.mean:+.3f} [{found.low:+.3f}, {found.high:+.3f}]"


def shown_p(p: float | None) -> str:
    """A p-value for reading; nothing where there is none."""
    return "" if p is None else f"{p:.3f}"


def start_cell(label: str, seed: int, config: GRPOStudyConfig) -> str:
    """Name of the cell of a start; an untuned or given model is one for all seeds."""
    return f"start-{label}-s{seed}" if config.starts[label].objective else f"start-{label}"


def grpo_cell(label: str, seed: int, number: int) -> str:
    """Name of the cell of a run of GRPO."""
    return f"grpo-{label}-s{seed}-g{number}"


def of_set(measured: Mapping[str, Any], groups: Sequence[str], gold: Sequence[bool], outcome: str) -> Floats:
    """Values of one model in one test, (n_items,), or (n_groups,) of `AUC`; NaN where there is none.

    Parameters
    ----------
    measured
        One of the ``sets`` of `bftembed.studies.grpo.measures.Examiner.measure`.
    groups, gold
        Of the questions: the group, and whether the first choice is right.
    outcome
        `RANK`, `AUC`, `ANSWERED`, or ``"pass@k"``.
    """
    if outcome == RANK:
        return np.asarray(measured["right"], dtype=np.float64)
    if outcome == AUC:
        return _auc(np.array(measured["margin"], dtype=np.float64), groups, np.asarray(gold))
    if outcome == ANSWERED:
        return np.asarray(measured["answered"], dtype=np.float64) / float(measured["n"])
    return pass_at_k(measured["n"], measured["counts"], int(outcome.removeprefix("pass@")))


def _auc(margin: Floats, groups: Sequence[str], gold: NDArray[np.bool_]) -> Floats:
    """By group with both answers: the chance that a question of the one has a larger margin than one of the other."""
    found = []
    names = np.asarray(groups)
    for name in sorted(set(groups)):
        yes, no = (margin[(names == name) & (gold == answer)] for answer in (True, False))
        if not name or not len(yes) or not len(no):
            continue
        difference = yes[:, None] - no[None, :]
        found.append(float(np.where(np.isnan(difference), 0.5, 0.5 * (1 + np.sign(difference))).mean()))
    return np.array(found)


class Values:
    """All values of a study.

    Parameters
    ----------
    config
        Of the study.
    results
        Of its cells.
    tests
        By name of a test, the groups of its questions and whether the first choice is right.
    """

    def __init__(
        self, config: GRPOStudyConfig, results: Results, tests: Mapping[str, tuple[Sequence[str], Sequence[bool]]]
    ) -> None:
        self.config, self.results, self.tests = config, results, tests

    def before(self, label: str, test: str, outcome: str) -> Floats:
        """Of a start, (n_seeds, n_items)."""
        cells = [start_cell(label, seed, self.config) for seed in self.config.seeds]
        return np.array([self._one(cell, test, outcome) for cell in cells])

    def after(self, label: str, test: str, outcome: str) -> Floats:
        """Of a start after GRPO, means over the runs that went out from one tuned model, (n_seeds, n_items)."""
        return np.array(
            [
                np.mean([self._one(grpo_cell(label, seed, g), test, outcome) for g in self.numbers], axis=0)
                for seed in self.config.seeds
            ]
        )

    def gain(self, label: str, test: str, outcome: str) -> Floats:
        """After minus before, (n_seeds, n_items)."""
        return self.after(label, test, outcome) - self.before(label, test, outcome)

    def lead(self, label: str, test: str, outcome: str) -> Floats:
        """Gain less that of the reference, (n_seeds, n_items): the difference of differences."""
        return self.gain(label, test, outcome) - self.gain(self.config.reference, test, outcome)

    def trace(self, label: str, statistic: str, how: str, *, after: bool) -> Floats:
        """A statistic of answers to the main test, (n_seeds, n_items); NaN where there is nothing to count in."""
        test = next(iter(self.tests))

        def of(cell: str) -> Floats:
            return np.array(self.results[cell]["sets"][test]["traces"][how][statistic], dtype=np.float64)

        if not after:
            return np.array([of(start_cell(label, seed, self.config)) for seed in self.config.seeds])
        return np.array(
            [np.mean([of(grpo_cell(label, s, g)) for g in self.numbers], axis=0) for s in self.config.seeds]
        )

    @property
    def numbers(self) -> range:
        """Runs that go out from one tuned model."""
        return range(self.config.grpo_seeds)

    def runs(self, label: str) -> list[Any]:
        """Results of all runs of GRPO of a start."""
        return [self.results[grpo_cell(label, seed, g)] for seed in self.config.seeds for g in self.numbers]

    def starts(self, label: str) -> list[Any]:
        """Results of a start, by seed."""
        return [self.results[start_cell(label, seed, self.config)] for seed in self.config.seeds]

    def change(self, cell: str, label: str, outcome: str) -> float:
        """Mean change of an outcome of the main test in one further run that goes out with the first seed."""
        test = next(iter(self.tests))
        first = self._one(start_cell(label, self.config.seeds[0], self.config), test, outcome)
        return float(np.mean(self._one(cell, test, outcome)) - np.mean(first))

    def _one(self, cell: str, test: str, outcome: str) -> Floats:
        return of_set(self.results[cell]["sets"][test], *self.tests[test], outcome)


def comparisons(values: Values) -> list[Comparison]:
    """Each start against the reference: difference of the gains, over seeds and questions."""
    found: list[Comparison] = []
    for label in values.config.starts:
        for test in values.tests:
            for outcome in COMPARED:
                table = values.lead(label, test, outcome)
                if label != values.config.reference and table.size:
                    found.append(Comparison(label, test, outcome, interval(table), p_value(table)))
    return [one._replace(p=p) for one, p in zip(found, corrected([one.p for one in found]), strict=True)]


def corrected(errors: Sequence[float | None]) -> list[float | None]:
    """P-values corrected for each other (Holm); None stays None.

    Examples
    --------
    >>> from bftembed.studies.grpo.outcomes import corrected
    >>> corrected([0.01, None, 0.04])
    [0.02, None, 0.04]
    """
    from statsmodels.stats.multitest import multipletests

    known = [error for error in errors if error is not None]
    found = iter(multipletests(known, method="holm")[1].tolist() if known else [])
    return [None if error is None else next(found) for error in errors]


def p_value(table: Floats) -> float | None:
    """The smallest level of error at which the interval of the mean leaves out zero; None without an interval.

    Parameters
    ----------
    table
        (n_seeds, n_items).

    Examples
    --------
    >>> import numpy as np
    >>> from bftembed.studies.grpo.outcomes import p_value
    >>> p_value(np.zeros((2, 3))), p_value(np.ones((1, 3)))
    (1.0, None)
    """
    if interval(table).low is None:
        return None
    inside, outside = 1.0, 0.0  # as levels of confidence: a wide interval holds zero
    for _ in range(26):
        level = (inside + outside) / 2
        found = interval(table, level=level)
        if found.low is not None and found.high is not None and (found.low > 0 or found.high < 0):
            outside = level
        else:
            inside = level
    return round(1 - outside, 9)
