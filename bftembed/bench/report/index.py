"""The results of a report, sorted, and found by task, embedding and subset."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bftembed.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bftembed.bench.base import TaskInfo
    from bftembed.bench.results import Result, Subset


class Index:
    """Results in an order that does not depend on when each was made.

    Raises
    ------
    InputError
        If there are two results of one task, embedding and subset.
    """

    def __init__(self, results: Sequence[Result]) -> None:
        self.results = sorted(results, key=_place)
        self._by_place: dict[tuple[str, str, str], Result] = {}
        for result in self.results:
            if self._by_place.setdefault(_place(result), result) is not result:
                msg = (
                    f"There are two results of {result.embedding} in {result.task.name} ({result.subset}); "
                    "make a report of one run, and of whole or fast runs alone."
                )
                raise InputError(msg)
        self.embeddings = sorted({result.embedding for result in self.results})
        self.tasks = self._newest()

    def _newest(self) -> list[TaskInfo]:
        infos: dict[str, TaskInfo] = {}
        for result in self.results:
            there = infos.get(result.task.name)
            if there is None or result.task.version > there.version:
                infos[result.task.name] = result.task
        return [infos[name] for name in sorted(infos)]

    def part(self, wanted: Callable[[TaskInfo], bool]) -> Index:
        """The results of some of the tasks, without those of whom none of them applies to."""
        inside = [result for result in self.results if wanted(result.task)]
        here = {result.embedding for result in inside if result.status != "not applicable"}
        return Index([result for result in inside if result.embedding in here])

    def get(self, task: str, embedding: str, subset: Subset) -> Result | None:
        """The result, or None if there is none."""
        return self._by_place.get((task, embedding, subset))

    def of(self, task: str, subset: Subset) -> dict[str, Result]:
        """Results of a task with scores, by embedding."""
        found = {name: self.get(task, name, subset) for name in self.embeddings}
        return {name: result for name, result in found.items() if result is not None and result.status == "ok"}

    def same_items(self, task: str) -> dict[str, Result]:
        """The results of a task on the same items, by embedding: of the shared entities, or own if these are equal.

        Results of an older run may stand beside those of the last one; then it is the largest group that agrees.
        """
        results = self.of(task, "shared") or self.of(task, "own")
        groups: dict[tuple[str, int, bool], dict[str, Result]] = {}
        for name, result in results.items():
            groups.setdefault(basis(result), {})[name] = result
        largest = max(groups.values(), key=len, default={})
        return largest if len(largest) > 1 or len(results) == 1 else {}


def basis(result: Result) -> tuple[str, int, bool]:
    """What has to be equal for two results of a task to be compared."""
    return result.items_digest, result.task.version, result.fast


def is_ranking(info: TaskInfo) -> bool:
    """Whether a task may rank embeddings."""
    return info.ranked and info.superseded_by is None


def is_language(info: TaskInfo) -> bool:
    """Whether a language model is asked, and no embedding scored."""
    return info.kind == "language"


def _place(result: Result) -> tuple[str, str, str]:
    return result.task.name, result.embedding, result.subset
