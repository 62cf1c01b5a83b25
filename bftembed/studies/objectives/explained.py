"""What a difference between two objectives is made of: the learning rate, and the steps from one to the other.

At the learning rate that is best for the reference, the logarithm of the ratio of two perplexities is the sum of what
the other objective would gain by a learning rate of its own and of the ratio that is left when each has its own. The
ratio at one rate is also the product of those along a path of objectives that change one thing each: from SFT to BFT
first the mean per sample (`bft` with windows of one token and without sample weights), then the token weights, then the
sample weights; from SFT to DFT half of the exponent, ``power`` with alpha 0.5.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from bftembed.studies.objectives.outcomes import VALIDATION, Measure, perplexity
from bftembed.studies.objectives.tables import ratio

if TYPE_CHECKING:
    from bftembed.studies.objectives.outcomes import Outcomes
    from bftembed.studies.statistics.hierarchical import Interval


def explained_measure(outcomes: Outcomes) -> Measure:
    """The perplexity that is taken apart."""
    config = outcomes.config
    return perplexity(config.explained or config.sets[0])


def steps(outcomes: Outcomes, path: tuple[str, ...]) -> list[tuple[str, list[Interval | None]]]:
    """Ratios along a path as differences of logarithms.

    Returns
    -------
    For each step and then for the whole path: its title, and the difference with each objective at its own rate, then
    at each of the rates that were tried; None where a run diverged.
    """
    measure, chosen = explained_measure(outcomes), outcomes.chosen
    pairs = [*pairwise(path), (path[0], path[-1])] if len(path) > 2 else list(pairwise(path))
    rows = []
    for before, after in pairs:
        own = None
        if (first := chosen[after]) is not None and (second := chosen[before]) is not None:
            own = outcomes.difference(measure, (after, first), (before, second))
        rates = outcomes.config.learning_rates
        equal = [outcomes.difference(measure, (after, rate), (before, rate)) for rate in rates]
        whole = len(path) > 2 and (before, after) == (path[0], path[-1])
        rows.append((f"{before} → {after}" + (", all steps" if whole else ""), [own, *equal]))
    return rows


def uninformative(outcomes: Outcomes) -> str | None:
    """Why nothing can be said, if nothing can."""
    reference = outcomes.config.reference
    rate = outcomes.chosen[reference]
    if not outcomes.orders_agree():
        return "runs of one seed did not see the same tokens in the same order"
    if rate is None:
        return f"every run of `{reference}` diverged; try smaller learning rates"
    if len(outcomes.config.seeds) < 2:
        return "there is one seed, which says nothing about others; name three or more"
    learned = outcomes.difference(perplexity(VALIDATION), (reference, rate), None)
    if learned is None or learned.high is None or learned.high >= 0:
        return f"`{reference}` did not learn: its validation perplexity is not below the untuned model's; train longer"
    return None


def verdict(outcomes: Outcomes) -> str:
    """The answer in sentences: learning rate, and what is left."""
    reference, measure = outcomes.config.reference, explained_measure(outcomes)
    rate, reason = outcomes.chosen[reference], uninformative(outcomes)
    if rate is None or reason:
        return f"Uninformative: {reason}."
    said = [f"{measure.title[0].upper()}{measure.title[1:]} against `{reference}` (ratio, 95 % interval)."]
    for label, own in outcomes.chosen.items():
        if label == reference:
            continue
        if own is None:
            said.append(f"`{label}`: every run diverged.")
            continue
        equal = outcomes.difference(measure, (label, rate), (reference, rate))
        best = outcomes.difference(measure, (label, own), (reference, rate))
        gained = None if own == rate else outcomes.difference(measure, (label, own), (label, rate))
        said.append(
            f"`{label}`: {_ratio(equal)} at {rate:g}, which is best for `{reference}`{_left(own, best, gained)}"
        )
    return " ".join(said)


def _left(own: float, best: Interval | None, gained: Interval | None) -> str:
    if gained is None:
        return ", and for it; " + _told(best)
    return f"; {_ratio(best)} at its own {own:g}, by which it changes {_ratio(gained)}; " + _told(best)


def _told(found: Interval | None) -> str:
    """Whether a difference is there."""
    if found is None or found.low is None or found.high is None or found.low <= 0 <= found.high:
        return "a difference between the two at their own rates cannot be told."
    return "at its own rate it is worse." if found.low > 0 else "at its own rate it is better."


def _ratio(found: Interval | None) -> str:
    return ratio(found) if found is not None else "diverged"
