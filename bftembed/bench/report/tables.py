"""All that a report shows, as data: HTML and Markdown only lay it out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bftembed.bench.report.comparisons import compare_all
from bftembed.bench.report.index import Index, is_language
from bftembed.bench.report.language import mode_tables
from bftembed.bench.report.metric_tables import metric_tables
from bftembed.bench.report.provenance import provenance_of, timings_of
from bftembed.bench.report.ranks import mean_ranks
from bftembed.bench.report.score_tables import own_scores, same_scores
from bftembed.bench.report.sections import section_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bftembed.bench.report.comparisons import Pair
    from bftembed.bench.report.language import ModeTables
    from bftembed.bench.report.metric_tables import MetricTable
    from bftembed.bench.report.provenance import Provenance, Timing
    from bftembed.bench.report.ranks import Ranks
    from bftembed.bench.report.score_tables import ScoreTable
    from bftembed.bench.report.sections import Section
    from bftembed.bench.results import Result


@dataclass(frozen=True)
class Failure:
    """Why there is no score of an embedding in a task."""

    task: str
    embedding: str
    subset: str
    reason: str


@dataclass(frozen=True)
class NotApplicable:
    """Why an embedding takes no part in some tasks."""

    embedding: str
    reason: str
    tasks: list[str]


@dataclass(frozen=True)
class Report:
    """What is shown.

    Attributes
    ----------
    n_fast
        Number of results that are of a small part of their task.
    own, own_unranked
        Scores of each embedding on all that it has: of the tasks that may rank, and of the others.
    same, same_unranked
        Scores on the same items.
    is_same
        Whether all embeddings were scored on the same items, so that these are no other tables.
    models, language
        Language models, and their tables by mode.
    """

    embeddings: list[str]
    models: list[str]
    n_results: int
    n_fast: int
    own: ScoreTable
    own_unranked: ScoreTable
    same: ScoreTable
    same_unranked: ScoreTable
    is_same: bool
    ranks: list[Ranks]
    language: list[ModeTables]
    pairs: list[Pair]
    metric_tables: list[MetricTable]
    sections: list[Section]
    failures: list[Failure]
    not_applicable: list[NotApplicable]
    stale: list[str]
    provenance: Provenance
    timings: list[Timing]


def collect(results: Sequence[Result], *, stale: Sequence[str] = (), timings: bool = True) -> Report:
    """All that is shown of these results, in an order that does not depend on theirs.

    Raises
    ------
    InputError
        If there are two results of one task, embedding and subset.
    """
    index = Index(results)
    vectors, pairs = index.part(lambda info: not is_language(info)), compare_all(index)
    return Report(
        embeddings=vectors.embeddings,
        models=index.part(is_language).embeddings,
        n_results=len(index.results),
        n_fast=sum(result.fast for result in index.results),
        own=own_scores(vectors, ranked=True),
        own_unranked=own_scores(vectors, ranked=False),
        same=same_scores(vectors, ranked=True),
        same_unranked=same_scores(vectors, ranked=False),
        is_same=_is_same(vectors),
        ranks=mean_ranks(vectors),
        language=mode_tables(index, pairs),
        pairs=pairs,
        metric_tables=metric_tables(index),
        sections=[section_of(index, info) for info in index.tasks],
        failures=_failures(index),
        not_applicable=_not_applicable(index),
        stale=sorted(stale),
        provenance=provenance_of(index),
        timings=timings_of(index) if timings else [],
    )


def _is_same(index: Index) -> bool:
    pairs = [(index.same_items(info.name), index.of(info.name, "own")) for info in index.tasks]
    return any(own for _, own in pairs) and all(same == own for same, own in pairs)


def _failures(index: Index) -> list[Failure]:
    return [
        Failure(result.task.name, result.embedding, result.subset, result.reason or "no reason was given")
        for result in index.results
        if result.status == "failed"
    ]


def _not_applicable(index: Index) -> list[NotApplicable]:
    found: dict[tuple[str, str], list[str]] = {}
    for result in index.results:
        if result.status == "not applicable":
            tasks = found.setdefault((result.embedding, result.reason or ""), [])
            if result.task.name not in tasks:
                tasks.append(result.task.name)
    return [NotApplicable(name, reason, tasks) for (name, reason), tasks in sorted(found.items())]
