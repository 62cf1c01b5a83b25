"""The report: the verdict, the gates, and the tables and curves behind them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bftembed.studies.page import Figure, Page, Section, Table
from bftembed.studies.subliminal.cells import BASE, Job
from bftembed.studies.subliminal.outcome import KindOutcome, outcome
from bftembed.studies.subliminal.tables import (
    comparison_table,
    confusion,
    curves,
    gate_table,
    measure_table,
    rate_table,
    transfer_table,
)
from bftembed.studies.subliminal.toy import judged, toy_section

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bftembed.studies.base import Cell
    from bftembed.studies.subliminal.settings import Language, SubliminalConfig

_TITLE = "Hidden transfer of a preference, by training objective"


def report(config: SubliminalConfig, jobs: Mapping[Job, Cell], results: Mapping[str, Any]) -> Page:
    """The page of all results.

    Parameters
    ----------
    config
        Of the study.
    jobs
        Its cells.
    results
        By the names of cells.
    """
    by_job = {job: results[job.name] for job in jobs}
    sections = []
    said = ""
    if config.toy:
        toy = {job.what: result for job, result in by_job.items() if job.stage == "toy"}
        said = judged(config.toy, toy)
        sections.append(toy_section(config.toy, toy))
    if config.language:
        language = {job: result for job, result in by_job.items() if job.stage != "toy"}
        found = [outcome(config.language, language, kind) for kind in config.language.carrier.kinds]
        said = " ".join(f"{each.kind}: {each.said}" for each in found)
        sections += [_design(config.language, language), *(_section(config.language, each) for each in found)]
    return Page(_TITLE, said, sections)


def _design(language: Language, results: Mapping[Job, Any]) -> Section:
    base = results[Job(BASE)]
    text = [
        (
            f"{language.animals} animals, {language.replicates} replicates (new teachers, texts and students). A lift "
            "is the log-probability of a word as the whole answer, less the mean over the words, less the same for the "
            "student of the neutral teacher; lambda is the diagonal of the lifts after effects of teachers and words, "
            "in nats."
        ),
    ]
    if "animals" in base:
        text.insert(0, f"Animals chosen by the rule: {', '.join(base['animals'])}.")
    return Section("Design and what has to hold first", text, [gate_table(language, results)])


def _section(language: Language, found: KindOutcome) -> Section:
    title = f"Language models, {found.kind}"
    if found.transfers is None:
        return Section(title, ["Students were not trained, or not all of them: there is nothing to compare."])
    parts: list[Table | Figure] = [transfer_table(found), *comparison_table(found), curves(found), confusion(found)]
    if found.measures:
        parts.append(measure_table(found))
    if found.rates:
        parts.append(rate_table(found))
    notes = []
    if language.teachers.kind == "prompt":
        notes.append("Teachers are the model itself with a system prompt.")
    return Section(title, notes, parts)
