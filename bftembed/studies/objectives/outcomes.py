"""Results of all cells as numbers: which learning rate is chosen, and each measure with its interval.

The rule by which a learning rate is chosen, fixed before any run: of each objective, the rate whose runs have the
lowest mean over seeds of the negative log-likelihood per supervised token of the *validation* samples (the logarithm of
the geometric mean of their perplexities). A rate of which any run diverged is not chosen. Of two that are equal to the
last digit it is the smaller one. Validation samples are read for this alone; evaluation sets play no part in it.
Perplexity is what SFT trains for, so the rule leans towards little training where an objective trains for something
else: `by_probability` says which rate the mean probability of the validation tokens, which DFT trains for, would take.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from bftembed.studies.objectives.config import slug
from bftembed.studies.objectives.measures import QUALITY
from bftembed.studies.statistics.hierarchical import Interval, interval

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from bftembed.studies.objectives.config import ObjectivesConfig

#: The cell of the untuned model, and its row.
BASE = "base"
VALIDATION = "validation"


def cell_name(label: str, rate: float, seed: int) -> str:
    """Name of the cell of a run.

    Examples
    --------
    >>> from bftembed.studies.objectives.outcomes import cell_name
    >>> cell_name("sft, mean per sample", 5e-4, 0)
    'sft-mean-per-sample_lr0.0005_seed0'
    """
    return f"{slug(label)}_lr{rate:g}_seed{seed}".replace("+", "")


@dataclass(frozen=True)
class Measure:
    """A measure of a model.

    Attributes
    ----------
    title
        In tables.
    section, of, by
        Where a cell's result has the values of its items, and for ratios what they are divided by, which also is
        their weight.
    is_log
        Whether the mean is shown as its exponential, and a difference of two as their ratio.
    """

    title: str
    section: tuple[str, ...]
    of: str
    by: str = ""
    is_log: bool = False

    def values(self, result: Mapping[str, Any]) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
        """Values of the items (n,) and their weights."""
        found: Any = result
        for name in self.section:
            found = found[name]
        values = np.array(found[self.of], dtype=np.float64)  # None becomes NaN
        if not self.by:
            return values, None
        weights = np.array(found[self.by], dtype=np.float64)
        return values / weights, weights

    def shown(self, value: float) -> float:
        """A mean or difference in the units of the table."""
        return float(np.exp(value)) if self.is_log else value


def perplexity(name: str) -> Measure:
    """Of an evaluation set, by its items' negative log-likelihoods."""
    return Measure(f"{name}: perplexity", ("sets", name), "nll", "tokens", is_log=True)


def probability(name: str) -> Measure:
    """Mean probability of the tokens of an evaluation set."""
    return Measure(f"{name}: mean probability", ("sets", name), "probability", "tokens")


class Outcomes:
    """What the cells of a study gave.

    Parameters
    ----------
    config
        Of the study.
    results
        Of all cells.
    """

    def __init__(self, config: ObjectivesConfig, results: Mapping[str, Any]) -> None:
        self.config, self.results = config, results

    @cached_property
    def questions(self) -> list[Measure]:
        """Measures of medical questions."""
        if self.config.medical is None:
            return []
        return [
            Measure("medical questions: right", ("medical",), "right"),
            Measure("log-probability of the right letter among the letters", ("medical",), "among"),
            Measure("log-probability of the right letter", ("medical",), "gold"),
        ]

    @cached_property
    def quality(self) -> list[Measure]:
        """Measures of written profiles, of genes of the corpus and of others."""
        groups = self.results[BASE].get("profiles", {})
        names = ("percentile", "ROUGE-L over others", *(name for name in QUALITY if name != "percentile"))
        return [Measure(f"{group}: {name}", ("profiles", group), name) for name in names for group in groups]

    @property
    def base(self) -> Mapping[str, Any]:
        """Result of the untuned model."""
        found: Mapping[str, Any] = self.results[BASE]
        return found

    def runs(self, label: str, rate: float) -> list[Mapping[str, Any]]:
        """Results of all seeds."""
        return [self.results[cell_name(label, rate, seed)] for seed in self.config.seeds]

    def diverged(self, label: str, rate: float) -> int:
        """How many runs diverged."""
        return sum(run["diverged"] for run in self.runs(label, rate))

    def table(self, measure: Measure, label: str, rate: float) -> tuple[NDArray[np.float64], Any] | None:
        """Values (n_seeds, n_items) and weights of the items; None if a run diverged."""
        runs = self.runs(label, rate)
        if any(run["diverged"] for run in runs):
            return None
        found = [measure.values(run) for run in runs]
        return np.stack([values for values, _ in found]), found[0][1]

    def mean(self, measure: Measure, label: str, rate: float) -> Interval | None:
        """A measure of one objective at one rate; None if a run diverged, or it applies to no item."""
        found = self.table(measure, label, rate)
        return None if found is None or not _has_items(found[0]) else interval(*found)

    def of_base(self, measure: Measure) -> Interval | None:
        """A measure of the untuned model; the interval is over items alone, as of runs that are all alike."""
        values, weights = measure.values(self.base)
        if not _has_items(values[None]):
            return None
        found = interval(np.stack([values, values]), weights)
        return found._replace(seed_sd=None, n_seeds=1)

    def difference(
        self, measure: Measure, first: tuple[str, float], second: tuple[str, float] | None
    ) -> Interval | None:
        """First minus second, each an objective with its rate (None: the untuned model), seed by seed, item by item."""
        one, other = self.table(measure, *first), self.table(measure, *second) if second else None
        if one is None or (second and other is None):
            return None
        values = one[0] - (measure.values(self.base)[0][None] if other is None else other[0])
        return interval(values, one[1]) if _has_items(values) else None

    @cached_property
    def chosen(self) -> dict[str, float | None]:
        """The learning rate of each objective by the rule of this module; None where all diverged."""
        return {label: self._best(label, perplexity(VALIDATION), sign=1) for label in self.config.objectives}

    @cached_property
    def by_probability(self) -> dict[str, float | None]:
        """The rate that the mean probability of the validation tokens would choose."""
        return {label: self._best(label, probability(VALIDATION), sign=-1) for label in self.config.objectives}

    def _best(self, label: str, measure: Measure, *, sign: int) -> float | None:
        found = {rate: self.mean(measure, label, rate) for rate in sorted(self.config.learning_rates)}
        scores = {rate: sign * each.mean for rate, each in found.items() if each is not None}
        return min(scores, key=lambda rate: (scores[rate], rate)) if scores else None

    def at_edge(self, label: str) -> bool:
        """Whether the chosen rate is the smallest or largest that was tried, so that a better one may lie beyond."""
        rates = self.config.learning_rates
        return len(rates) > 1 and self.chosen[label] in (min(rates), max(rates))

    def orders_agree(self) -> bool:
        """Whether all runs of a seed, up to where one diverged, had the same number of tokens in each step."""
        for seed in self.config.seeds:
            runs = [
                self.results[cell_name(label, rate, seed)]
                for label in self.config.objectives
                for rate in self.config.learning_rates
            ]
            if len({tuple(run["training"]["supervised_tokens"]) for run in runs if not run["diverged"]}) > 1:
                return False
        return True


def _has_items(values: NDArray[np.float64]) -> bool:
    return bool((~np.isnan(values).any(axis=0)).any())
