"""What is shown of one task: its protocol, every score, plots, coverage, counts and notes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from bftembed.bench.report.forest import Plot, Point
from bftembed.bench.report.marks import best_baseline, interval_of
from bftembed.bench.report.text import count

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bftembed.bench.base import TaskInfo
    from bftembed.bench.report.index import Index
    from bftembed.bench.results import Result, ScoreRecord, Subset

N_MISSING = 20
_SUBSETS: tuple[Subset, ...] = ("own", "shared")
_CAPTIONS: dict[Subset, str] = {"own": "Each on all that it has", "shared": "On what all of them have"}


@dataclass(frozen=True)
class ScoreRow:
    """A score of an embedding, or of a baseline beside embeddings that were scored on the same items."""

    embeddings: list[str]
    subset: Subset
    kind: Literal["score", "baseline"]
    record: ScoreRecord
    n_items: int
    is_main: bool


@dataclass(frozen=True)
class Coverage:
    """Entities asked for and found, and the first names of the missing ones."""

    embedding: str
    asked: int
    found: int
    missing: list[str]

    @property
    def n_more(self) -> int:
        """How many missing names are not shown."""
        return max(0, self.asked - self.found - len(self.missing))


@dataclass(frozen=True)
class Remark:
    """A sentence, and the results that it is of."""

    text: str
    of: list[str]


@dataclass(frozen=True)
class Section:
    """A task; `versions` are more than one if results that cannot be compared stand together."""

    info: TaskInfo
    versions: list[int]
    plots: list[Plot]
    scores: list[ScoreRow]
    coverage: list[Coverage]
    counts: list[Remark]
    removed: list[Remark]
    notes: list[Remark]
    n_embeddings: int


def section_of(index: Index, info: TaskInfo) -> Section:
    """All that the results say of a task."""
    of_subset = {subset: index.of(info.name, subset) for subset in _SUBSETS}
    results = [result for subset in _SUBSETS for result in of_subset[subset].values()]
    return Section(
        info,
        sorted({result.task.version for result in index.results if result.task.name == info.name}),
        [_plot(info, subset, of_subset[subset].values()) for subset in _SUBSETS if of_subset[subset]],
        [row for subset in _SUBSETS for row in _scores(subset, of_subset[subset])],
        [_coverage(result) for result in (of_subset["own"] or of_subset["shared"]).values()],
        _remarks((_counted(result.counts | {"items": result.n_items}), _name(result)) for result in results),
        _remarks((_counted(result.removed), _name(result)) for result in results if result.removed),
        _remarks((note, _name(result)) for result in results for note in result.notes),
        len({result.embedding for result in results}),
    )


def _plot(info: TaskInfo, subset: Subset, results: Iterable[Result]) -> Plot:
    points = []
    for result in results:
        main, best = result.main, best_baseline(result)
        if main is not None and main.mean is not None:
            points.append(Point(result.embedding, main.mean, interval_of(main)[0], best.mean if best else None))
    title = f"{info.title}: {info.main_score} with 95 % intervals of {count(len(points), 'embedding')}"
    return Plot(title, _CAPTIONS[subset], points, info.chance)


def _scores(subset: Subset, results: dict[str, Result]) -> list[ScoreRow]:
    rows = [
        ScoreRow([name], subset, "score", record, result.n_items, i == 0)
        for name, result in results.items()
        for i, record in enumerate(result.scores)
    ]
    baselines: dict[str, ScoreRow] = {}
    for name, result in results.items():
        for record in result.baselines:
            # Of embeddings on the same items a baseline is the same, and is shown once.
            key = f"{result.items_digest} {record.model_dump_json()}"
            row = baselines.setdefault(key, ScoreRow([], subset, "baseline", record, result.n_items, is_main=False))
            row.embeddings.append(name)
    return rows + list(baselines.values())


def _coverage(result: Result) -> Coverage:
    return Coverage(result.embedding, result.asked, result.found, result.missing[:N_MISSING])


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{name}: {n:,}" for name, n in counts.items())


def _name(result: Result) -> str:
    return result.embedding if result.subset == "own" else f"{result.embedding} (shared)"


def _remarks(pairs: Iterable[tuple[str, str]]) -> list[Remark]:
    remarks: dict[str, Remark] = {}
    for text, name in pairs:
        remarks.setdefault(text, Remark(text, [])).of.append(name)
    return list(remarks.values())
