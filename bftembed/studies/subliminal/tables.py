"""Tables and figures of the language-model part."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bftembed.studies.page import Figure, Table
from bftembed.studies.subliminal.cells import NEUTRAL
from bftembed.studies.subliminal.verdicts import WAYS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bftembed.studies.statistics.labelings import Transfer
    from bftembed.studies.subliminal.cells import Job
    from bftembed.studies.subliminal.outcome import KindOutcome
    from bftembed.studies.subliminal.settings import Language


def gate_table(language: Language, results: Mapping[Job, Any]) -> Table:
    """What has to hold before students mean anything: margins of teachers, yields of texts."""
    rows = []
    for job, each in results.items():
        if job.stage == "teacher" and job.teacher != NEUTRAL and "rise" in each:
            wanted = f"at least {language.teachers.least:g} nats"
            rows.append([f"margin of {job.name} rose by", f"{each['rise']:.2f} nats in {each['steps']} steps", wanted])
        if job.stage == "text" and "yield" in each:
            dropped = f"{each['yield']:.1%}, {each['given_away']} dropped as they name an animal"
            rows.append([f"lists among {job.name}", dropped, f"at least {language.carrier.least_yield:.0%}"])
    return Table("Gates", ["what", "found", "needed"], rows)


def transfer_table(found: KindOutcome) -> Table:
    """Lambda of every objective and control at equal steps."""
    rows = [[name, *_numbers(each)] for name, each in (found.transfers or {}).items()]
    note = (
        "p: exact permutation of the animals on the matrix averaged over replicates, one-sided. Interval: bootstrap "
        "over replicates, which are few; it describes. Visible: the lambda that four of five such studies would find. "
        f"Were all cells of SFT independent, it would be {found.independent:.3g}. `soft` has to transfer, `shuffled` "
        "and `noise` must not."
    )
    return Table("Transfer at equal steps", ["students", "lambda", "95 % interval", "p", "visible"], rows, note)


def comparison_table(found: KindOutcome) -> list[Table]:
    """SFT less each objective, in each way of making them comparable."""
    columns = ["objective", "lambda", "95 % interval", "p", "visible", "p (Holm)", "p (signs)", "p (equivalence)"]
    tables = []
    for way, title in WAYS.items():
        rows = [
            [name, *_numbers(each.difference), *map(_p, (each.adjusted, each.signs, each.equivalent))]
            for name, each in found.comparisons[way].items()
        ]
        note = "The verdict goes by this table." if way == "nll" else ""
        tables.append(Table(f"SFT less other objectives, {title}", columns, rows, note))
    rows = [[name, said] for name, said in found.verdicts.items()]
    return [*tables, Table("Verdicts", ["objective", "verdict"], rows)]


def curves(found: KindOutcome) -> Figure:
    """Lambda over what was learnt of the carrier."""

    def draw(axes: Any) -> None:
        for name, (losses, strengths) in found.curves.items():
            axes.plot(losses, strengths, marker="o", label=name)
        axes.invert_xaxis()
        axes.axhline(0, color="grey", linewidth=0.8)
        axes.set(xlabel="negative log-likelihood of held-out lists (nats per token)", ylabel="lambda (nats)")
        axes.legend()

    note = "Mean over teachers and replicates at each look; training goes to the right."
    return Figure("Transfer by what was learnt", draw, note)


def confusion(found: KindOutcome) -> Table:
    """The matrix of lifts under SFT."""
    matrix = np.zeros((0, 0)) if found.matrix is None else found.matrix
    rows = [[animal, *(f"{value:+.3f}" for value in row)] for animal, row in zip(found.animals, matrix, strict=True)]
    note = "Rows are teachers, columns answers; averaged over replicates, in nats."
    return Table("Lifts under SFT", ["teacher", *found.animals], rows, note)


def measure_table(found: KindOutcome) -> Table:
    """Where the weight lies, and where the first step goes."""
    rows = [
        [name, f"{each['share']:.4f}", f"{each['own']:+.5f}", f"{each['others']:+.5f}"]
        for name, each in found.measures.items()
    ]
    note = (
        f"At {found.divergent:.1%} of the tokens the most likely next token of a teacher is not that of all others. "
        "Cosines are of the first step with the update of the teacher that wrote the lists, and of the other teachers."
    )
    columns = ["objective", "weight on divergence tokens", "cosine with own teacher", "with other teachers"]
    return Table("Before the first step", columns, rows, note)


def rate_table(found: KindOutcome) -> Table:
    """Rates of drawn answers."""
    rows = [
        [name, f"{rate:.4f}", f"{low:.4f} to {high:.4f}", *_numbers(each)]
        for name, (rate, low, high, each) in found.rates.items()
    ]
    columns = ["objective", "own animal", "95 % (Wilson)", "lambda (logits)", "95 % interval", "p", "visible"]
    return Table("Drawn answers", columns, rows)


def _numbers(found: Transfer) -> list[str]:
    return [
        f"{found.strength:+.3f}",
        f"{found.low:+.3f} to {found.high:+.3f}" if np.isfinite(found.low) else "one replicate",
        _p(found.p_value),
        f"{found.visible:.3f}",
    ]


def _p(value: float) -> str:
    return "not tested" if np.isnan(value) else f"{value:.4f}"
