"""What the toy says: who reads digits, and what became of the carrier."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from bftembed.studies.page import Figure, Section, Table
from bftembed.studies.subliminal.digits import ARMS, GROUP
from bftembed.studies.subliminal.verdicts import at

if TYPE_CHECKING:
    from bftembed.studies.subliminal.settings import Toy

_GAIN, _NEAR, _CHANCE = 0.3, 0.15, 0.1
Results = Mapping[str, Mapping[str, Any]]


def judged(toy: Toy, results: Results) -> str:
    """Whether the measures see transfer where there is some, in words.

    Students that began as their teachers did have to read at least .3 more of the digits than those that did not, in
    five of six networks of every seed; with shuffled labels none may be further than .15 from chance.
    """
    failed = []
    for seed in toy.seeds:
        same, other, mixed = (_last(results[f"s{seed}-{arm}"]) for arm in ("soft", "other", "shuffled"))
        if (same > other + _GAIN).mean() < 5 / 6:
            failed.append(f"seed {seed}: no transfer from the same start")
        if abs(mixed.mean() - _CHANCE) > _NEAR:
            failed.append(f"seed {seed}: transfer with shuffled labels")
    if failed:
        return f"uninformative: {'; '.join(failed)}."
    n = len(toy.seeds)
    return f"The toy shows hidden transfer, in {n} of {n} runs; it says nothing about language models."


def _last(curve: Mapping[str, Any]) -> Any:
    return np.asarray(curve["accuracy"][-1])


def _learnt(curve: Mapping[str, Any], other: Mapping[str, Any]) -> list[float]:
    """Share of digits where each student's divergence first is as low as that of the other one at its end."""
    found = []
    for number, level in enumerate(other["divergence"][-1]):
        divergences = [row[number] for row in curve["divergence"]]
        looks = [{"nll": d, "logprobs": [row[number]]} for d, row in zip(divergences, curve["accuracy"], strict=True)]
        found.append(float(at(looks, "nll", level)[0]))
    return found


def toy_section(toy: Toy, results: Results) -> Section:
    """Tables and curves of the toy.

    Parameters
    ----------
    toy
        Its configuration.
    results
        By seed and arm, ``"s1-soft"``.
    """
    rows, equal = [], []
    for seed in toy.seeds:
        first = results[f"s{seed}-soft"]
        rows.append([f"seed {seed}: teachers", _spread(first["teacher"]), ""])
        for name, arm in ARMS.items():
            curve = results[f"s{seed}-{name}"]
            divergence = float(np.mean(curve["divergence"][-1]))
            rows.append([f"seed {seed}: {arm.title}", _spread(_last(curve)), f"{divergence:.4f}"])
        for name in ("bft", "dft"):
            curve = results[f"s{seed}-{name}"]
            learnt = _learnt(results[f"s{seed}-sft"], curve)
            equal.append([f"seed {seed}: {name}", _spread(_last(curve)), _spread(learnt)])
    text = [
        (
            f"Digits read by {toy.networks} students of each arm that never saw one, after {toy.steps} steps on noise; "
            f"windows of BFT hold {GROUP} drawn labels. Mean +- standard deviation over students; chance is .1. The "
            "divergence is from the teacher's auxiliary outputs on other noise, in nats."
        ),
    ]
    note = "SFT where its divergence first was as low as that of the other one at its end, interpolated between looks."
    tables = [
        Table("Digits read", ["arm", "share of digits", "divergence on the carrier"], rows),
        Table("At equal learning of the carrier", ["objective", "its share of digits", "SFT's share"], equal, note),
    ]
    return Section("Toy: digits from noise", text, [*tables, _figure(toy, results)])


def _figure(toy: Toy, results: Results) -> Figure:
    def draw(axes: Any) -> None:
        for name in ARMS:
            curve = results[f"s{toy.seeds[0]}-{name}"]
            values = np.asarray(curve["accuracy"])
            mean, spread = values.mean(axis=1), values.std(axis=1, ddof=1)
            (line,) = axes.plot(curve["step"], mean, label=name)
            axes.fill_between(curve["step"], mean - spread, mean + spread, color=line.get_color(), alpha=0.15)
        axes.set(xlabel="step", ylabel="share of digits", ylim=(0, 1))
        axes.legend(ncols=3, fontsize="small")

    return Figure("Digits read along the training", draw, f"Seed {toy.seeds[0]}; bands are one standard deviation.")


def _spread(values: Any) -> str:
    return f"{np.mean(values):.3f} +- {np.std(values, ddof=1):.3f}"
