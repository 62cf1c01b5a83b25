"""From the results of all students to a verdict: lifts, comparisons at equal learning, and what has to hold first."""

from __future__ import annotations

from dataclasses import dataclass
from math import factorial
from typing import TYPE_CHECKING, Any

import numpy as np

from bftembed.bench.scoring.statistics import holm
from bftembed.studies.statistics.labelings import Transfer, equivalence_test, sign_flip_test, transfer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

LEVEL = 0.05
#: How students are made comparable; the verdict goes by the second.
WAYS = {"steps": "equal steps", "nll": "equal carrier learning", "norm": "equal update norm"}
Curve = list[dict[str, Any]]


@dataclass(frozen=True)
class Comparison:
    """SFT less another objective, in one way of making them comparable.

    Attributes
    ----------
    difference
        lambda of the differences, with its two-sided test.
    adjusted
        Its p-value after Holm's correction for the number of objectives.
    signs
        P-value of the sign-flip test of the cells.
    equivalent
        P-value of the test of equivalence with half of SFT's lambda as margin; NaN where SFT shows no transfer.
    """

    difference: Transfer
    adjusted: float
    signs: float
    equivalent: float


def at(curve: Sequence[Mapping[str, Any]], what: str, level: float) -> NDArray[np.float64]:
    """What a student answers where its training first reaches a level, between two looks by interpolation.

    Parameters
    ----------
    curve
        Looks from the first step to the last, each with ``nll``, ``norm`` and ``logprobs`` (n_words,).
    what
        ``"nll"``, which falls, or ``"norm"``, which grows.
    level
        A level that is never reached gives the last look.

    Returns
    -------
    (n_words,), nats.

    Examples
    --------
    >>> looks = [{"nll": 3.0, "logprobs": [-8.0]}, {"nll": 1.0, "logprobs": [-4.0]}]
    >>> at(looks, "nll", 1.5).tolist()
    [-5.0]
    """
    sign = -1 if what == "nll" else 1
    values = [sign * float(look[what]) for look in curve]
    answers = [np.asarray(look["logprobs"], dtype=np.float64) for look in curve]
    after = next((n for n, value in enumerate(values) if value >= sign * level), None)
    if after is None:
        return answers[-1]
    if after == 0:
        return answers[0]
    low, high = values[after - 1], values[after]
    share = (sign * level - low) / (high - low)
    return np.asarray(answers[after - 1] + share * (answers[after] - answers[after - 1]))


def paired(first: Curve, second: Curve, way: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What two students answer at equal steps, or as far as the one that came less far came; see `at`."""
    if way == "steps":
        return np.asarray(first[-1]["logprobs"]), np.asarray(second[-1]["logprobs"])
    ends = [float(curve[-1][way]) for curve in (first, second)]
    level = max(ends) if way == "nll" else min(ends)
    return at(first, way, level), at(second, way, level)


def lifts(students: Sequence[Sequence[NDArray[np.float64]]], neutral: Sequence[NDArray[np.float64]]) -> Any:
    """Log-probability of each word less the mean of all, and less that of the neutral teacher's student.

    Parameters
    ----------
    students
        By teacher and replicate, (n_words,) each.
    neutral
        By replicate.

    Returns
    -------
    (K, K, R): teachers, words, replicates.
    """
    values = np.moveaxis(np.asarray(students, dtype=np.float64), 1, 2)
    middle = np.asarray(neutral, dtype=np.float64).T
    return (values - values.mean(axis=1, keepdims=True)) - (middle - middle.mean(axis=0))


def compared(sft: Any, others: Mapping[str, tuple[Any, Any]]) -> dict[str, Comparison]:
    """Every objective with SFT.

    Parameters
    ----------
    sft
        Lifts of SFT at the last step, (K, K, R), whose lambda is what the margin is half of.
    others
        By objective: the lifts of SFT and of the objective where they are comparable.
    """
    reference = transfer(sft)
    found = {name: transfer(first - second, two_sided=True) for name, (first, second) in others.items()}
    adjusted = holm([each.p_value for each in found.values()])
    result = {}
    for (name, each), p_value in zip(found.items(), adjusted, strict=True):
        difference = others[name][0] - others[name][1]
        shown = reference.p_value <= LEVEL and reference.strength > 0
        equivalent = equivalence_test(difference, reference.strength / 2) if shown else float("nan")
        result[name] = Comparison(each, p_value, sign_flip_test(difference), equivalent)
    return result


def failed_gate(
    *, animals: int, objectives: int, refused: Sequence[str], sft: Transfer | None, controls: Mapping[str, Transfer]
) -> str:
    """The first precondition that does not hold, in words; empty where all hold.

    Parameters
    ----------
    animals, objectives
        Teachers of animals, and objectives that are compared with SFT.
    refused
        Why cells were refused.
    sft, controls
        Transfer under SFT and in the controls; None where they were refused.
    """
    if refused:
        return refused[0]
    smallest = objectives / factorial(animals)
    if smallest > LEVEL:
        return f"too few animals: {animals} have {factorial(animals)} labelings, and no p-value below {smallest:.2g}"
    soft = controls.get("soft")
    if soft is not None and soft.p_value > LEVEL:
        found = f"lambda {soft.strength:.3g}, p {soft.p_value:.2g}"
        return f"assay insensitive: soft targets, which have to transfer, do not ({found})"
    for name in ("shuffled", "noise"):
        if name in controls and controls[name].p_value <= LEVEL and controls[name].strength > 0:
            return f"the control `{name}`, which must not transfer, does (p {controls[name].p_value:.2g})"
    if sft is None or sft.p_value > LEVEL:
        said = "" if sft is None else f" (lambda {sft.strength:.3g}, p {sft.p_value:.2g}, visible {sft.visible:.2g})"
        return f"no transfer under SFT{said}, so that there is nothing to have less of"
    return ""


def verdict(equal_learning: Comparison, equal_steps: Comparison) -> str:
    """One of three: ``less transfer``, ``no difference within margin``, ``uninformative: ...``."""
    if equal_learning.adjusted <= LEVEL:
        if equal_learning.difference.strength > 0:
            return "less transfer"
        return "uninformative: more transfer than SFT, which the prediction does not allow for"
    if equal_learning.equivalent <= LEVEL:
        return "no difference within margin"
    if equal_steps.adjusted <= LEVEL and equal_steps.difference.strength > 0:
        return "uninformative: less transfer at equal steps alone, so it trains less"
    return "uninformative: neither a difference nor equivalence can be shown"
