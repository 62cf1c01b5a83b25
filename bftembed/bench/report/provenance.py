"""Embeddings, data and versions behind the results, and how long they took."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bftembed.bench.report.text import count

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bftembed.bench.report.index import Index
    from bftembed.bench.results import Result


@dataclass(frozen=True)
class Described:
    """An embedding, its short names, and each description (JSON) with the number of results that have it."""

    label: str
    specs: list[str]
    descriptions: list[tuple[str, int]]


@dataclass(frozen=True)
class Provenance:
    """Each value stands with the number of its results; there is more than one only if results differ."""

    embeddings: list[Described]
    data: list[tuple[str, list[tuple[str, int]]]]
    versions: list[tuple[str, list[tuple[str, int]]]]

    @property
    def differing(self) -> list[str]:
        """Sentences about what is not the same in all results."""
        said = [
            f"{of.label} was described in {len(of.descriptions)} ways: its results are not of one embedding."
            for of in self.embeddings
            if len(of.descriptions) > 1
        ]
        said += [
            f"{name} was read with {len(found)} different contents." for name, found in self.data if len(found) > 1
        ]
        for name, found in self.versions:
            if len(found) > 1:
                each = ", ".join(f"{version} ({count(n, 'result')})" for version, n in found)
                said.append(f"{name} differs between results: {each}.")
        return said


@dataclass(frozen=True)
class Timing:
    """Seconds of a task and an embedding: in all, of embedding alone, and of the shared entities."""

    task: str
    embedding: str
    date: str
    seconds: float | None
    embed_seconds: float | None
    shared_seconds: float | None


def provenance_of(index: Index) -> Provenance:
    """Descriptions, data and versions of all results."""
    return Provenance(
        [_described(name, [r for r in index.results if r.embedding == name]) for name in index.embeddings],
        _counted((name, digest) for result in index.results for name, digest in result.data.items()),
        _counted((name, version) for result in index.results for name, version in result.versions.items()),
    )


def timings_of(index: Index) -> list[Timing]:
    """Times of all tasks and embeddings."""
    timings = []
    for info in index.tasks:
        for name in index.embeddings:
            own, shared = index.get(info.name, name, "own"), index.get(info.name, name, "shared")
            first = own or shared
            if first is not None:
                seconds = (_seconds(own, "seconds"), _seconds(own, "embed_seconds"), _seconds(shared, "seconds"))
                timings.append(Timing(info.name, name, str(first.times.get("date", "")), *seconds))
    return timings


def _seconds(result: Result | None, name: str) -> float | None:
    value = None if result is None else result.times.get(name)
    return float(value) if isinstance(value, int | float) else None


def _described(label: str, results: list[Result]) -> Described:
    # A result that failed before the embedding was described has an empty description.
    texts = Counter(
        json.dumps(result.description, indent=1, sort_keys=True, ensure_ascii=False, default=str)
        for result in results
        if result.description
    )
    return Described(label, sorted({result.spec for result in results}), sorted(texts.items()))


def _counted(pairs: Iterable[tuple[str, str]]) -> list[tuple[str, list[tuple[str, int]]]]:
    found: dict[str, Counter[str]] = {}
    for name, value in pairs:
        found.setdefault(name, Counter())[value] += 1
    return [(name, sorted(found[name].items())) for name in sorted(found)]
