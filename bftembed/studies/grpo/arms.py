"""The main arm beside the matched one: whether a difference was only one of how long starts were tuned."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bftembed.studies.grpo.gates import ERROR, WORDS, compared, told, unusable
from bftembed.studies.grpo.matching import choose, counts, steps_cell
from bftembed.studies.grpo.outcomes import PASS_1, RANK, comparisons, corrected, p_value, shown, shown_p
from bftembed.studies.page import Table
from bftembed.studies.statistics.hierarchical import interval

if TYPE_CHECKING:
    from bftembed.studies.grpo.outcomes import Comparison, Values
    from bftembed.studies.statistics.hierarchical import Interval

#: Of the interval that has to lie within the margin: a test of equivalence with an error of 0.05.
_LEVEL = 0.9


class Both(NamedTuple):
    """A difference of differences in both arms, and how much of it goes with the matching (p by Holm over all)."""

    plain: Comparison
    matched: Comparison
    change: Interval
    p: float | None


def both_arms(values: Values, matched: Values) -> list[Both]:
    """Differences of differences of all tuned starts, tests and outcomes, in both arms."""
    plain = {one[:3]: one for one in comparisons(values)}
    pairs = [(plain[one[:3]], one) for one in comparisons(matched)]
    changes = [values.lead(*one[:3]) - matched.lead(*one[:3]) for one, _ in pairs]
    errors = corrected([p_value(table) for table in changes])
    return [Both(*pair, interval(table), p) for pair, table, p in zip(pairs, changes, errors, strict=True)]


def distance(matched: Values, label: str) -> Interval:
    """pass@1 in the main test before GRPO, less that of the reference: questions that took no part in the choice."""
    test, reference = next(iter(matched.tests)), matched.config.reference
    return interval(matched.before(label, test, PASS_1) - matched.before(reference, test, PASS_1), level=_LEVEL)


def is_matched(matched: Values, label: str) -> bool:
    """Whether the interval of the distance lies within the margin."""
    found, arm = distance(matched, label), matched.config.matched
    return arm is not None and found.low is not None and max(-found.low, found.high or 0.0) <= arm.margin


def answer(values: Values, matched: Values) -> str:
    """Of each start that is compared in the matched arm, whether it was only that one had been tuned longer.

    ``no`` where it is better (or worse) in both arms; ``yes`` where it is not so in the matched arm, and the difference
    of differences has shrunk significantly; a start that is not matched within the margin cannot be told of.
    """
    if failed := unusable(matched):
        return failed
    every = both_arms(values, matched)
    said = [
        f"`{label}` against `{values.config.reference}`: {_answer(label, every, values, matched)}"
        for label in compared(matched)
    ]
    return f"{'; '.join(said)}."


def _answer(label: str, every: list[Both], values: Values, matched: Values) -> str:
    if not is_matched(matched, label):
        return f"cannot be told, not matched (pass@1 before {shown(distance(matched, label))})"
    test = next(iter(values.tests))
    at_equal, differences = told(label, [one.matched for one in every], test)
    before, _ = told(label, [one.plain for one in every], test)
    if label not in compared(values) or unusable(values):
        before = 0
    if at_equal and before == at_equal:
        said = f"no, {WORDS[at_equal]} from equal accuracy too"
    elif at_equal:
        said = f"{WORDS[at_equal]} from equal accuracy, and not so in the main arm"
    elif before and _has_shrunk(label, test, every, before):
        said = f"yes, at least in part: the difference of the main arm ({WORDS[before]}) shrinks"
    else:
        said = "cannot be told"
    return f"{said} ({differences})"


def _has_shrunk(label: str, test: str, every: list[Both], sign: int) -> bool:
    """Whether a difference of this sign that the main arm shows is significantly smaller in the matched one."""
    mine = [one for one in every if one.plain[:2] == (label, test) and one.plain.outcome in (RANK, PASS_1)]
    main = [one for one in mine if one.plain.p is not None and one.plain.p < ERROR]
    return any(one.p is not None and one.p < ERROR and np.sign(one.change.mean) == sign for one in main)


def choice_table(values: Values, n_asked: int) -> Table:
    """Right answers along the tuning of each start, and the step that is taken."""
    config, results = values.config, values.results
    right = counts(config, results)
    found = choose(right)
    answers = n_asked * config.n_samples * len(config.seeds)
    rows = []
    for label in config.tuned:
        steps = [*map(str, results[steps_cell(label, config.seeds[0])]["steps"]), "last"]
        course = ", ".join(f"{count / answers:.3f} ({step})" for count, step in zip(right[label], steps, strict=True))
        rows.append((label, course, steps[found.taken[label]]))
    note = f"The target is {found.target / answers:.3f}, of {answers} answers."
    return Table("pass@1 in training questions, by step of the tuning", ("start", "pass@1 (step)", "taken"), rows, note)


def distance_table(matched: Values) -> Table:
    """How far the starts of the arm are from the reference before GRPO."""
    rows = [
        (label, shown(distance(matched, label)), "yes" if is_matched(matched, label) else "NO")
        for label in matched.config.starts
        if label != matched.config.reference
    ]
    margin = matched.config.matched.margin if matched.config.matched else 0.0
    columns = ("start", "pass@1 less that of the reference", f"within {margin:g}")
    return Table("Before the reinforcement, main test", columns, rows, "Intervals of 90 %.")


def both_table(values: Values, matched: Values) -> Table:
    """Differences of differences of both arms, side by side."""
    rows = []
    for one in both_arms(values, matched):
        arms = (shown(one.plain.found), shown(one.matched.found), shown_p(one.matched.p))
        rows.append((*one.plain[:3], *arms, shown(one.change), shown_p(one.p)))
    columns = ("start", "test", "outcome", "main arm", "matched arm", "p", "main less matched", "p of that")
    return Table(f"Gain less that of {values.config.reference}, in both arms", columns, rows)
