"""What a task is: typed metadata, and one function that loads a problem."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from bftembed.bench.scoring.scores import digest_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from bftembed.bench.scoring.scores import Score
    from bftembed.bench.sources.base import CellVectors, Source

Kind = Literal["gene", "pair", "cell", "perturbation"]
Text = Annotated[str, Field(min_length=1)]


class Published(BaseModel):
    """A score published elsewhere: shown in a column of its own, never mixed with what was measured here."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: Text
    metric: Text
    value: float
    spread: float | None = None
    source: Text


class TaskInfo(BaseModel):
    """Metadata of a task.

    Attributes
    ----------
    name, version
        Identify it; a change of anything that could change a score raises the version.
    kind
        What is embedded: genes, pairs of genes, cells, or perturbations (of genes, or drugs).
    data
        Names of the manifests whose files it reads; their digests stand in every result.
    main_score, higher_is_better, chance, best
        The metric that ranks, its direction, what knowing nothing gives (None if that depends on the data), and the
        value of a perfect embedding (None if there is none).
    ranked
        Whether the task may rank embeddings; false for one that is too noisy or nearly solved.
    superseded_by
        Name of the task to use instead.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]*$")]
    version: Annotated[int, Field(ge=1)] = 1
    kind: Kind
    title: Text
    data: tuple[Text, ...]
    main_score: Text
    higher_is_better: bool = True
    chance: float | None = None
    best: float | None = None
    licence: Text
    citation: Text
    ranked: bool = True
    superseded_by: str | None = None
    known_traps: tuple[Text, ...] = ()
    published: tuple[Published, ...] = ()


@dataclass(frozen=True)
class Evaluation:
    """What one embedding got in one problem.

    Attributes
    ----------
    scores, baselines
        The first score is the main one. Baselines do not use the embedding, but the same items and folds.
    items
        Names of what was scored: genes, ``A|B`` pairs, cells. Two evaluations can be compared if these are equal.
    counts
        Numbers to print beside the score, e.g. items per class.
    notes
        Sentences that a reader of the score needs.
    """

    scores: Sequence[Score]
    baselines: Sequence[Score]
    items: Sequence[str]
    counts: dict[str, int] = field(default_factory=dict)
    notes: Sequence[str] = ()


class Problem(ABC):
    """Labelled entities, and how an embedding of them is scored.

    `bench` has one per kind: `GeneLabels`, `PairLabels`, `CellLabels` and the like; a task's own is possible.
    """

    #: Names of what has to be embedded, sorted, each once.
    entities: Sequence[str]
    #: What was removed from the data before anything was scored, and why.
    removed: dict[str, int]

    @abstractmethod
    def embed(self, source: Source) -> NDArray[np.float32] | CellVectors:
        """Vectors (n_entities, d), a NaN row for an entity that the source does not know."""

    @abstractmethod
    def evaluate(self, vectors: Any, *, n_jobs: int) -> Evaluation:
        """Score vectors (n_entities, d), in the form that `embed` gives; an entity whose row is NaN takes no part."""

    @cached_property
    def _baselines_by_items(self) -> dict[str, list[Score]]:
        return {}

    def baselines_once(self, items: Sequence[str], compute: Callable[[], list[Score]]) -> list[Score]:
        """Baselines, computed once per set of items: they are the same for every embedding that has these."""
        key = digest_of(items)
        if key not in self._baselines_by_items:
            self._baselines_by_items[key] = compute()
        return self._baselines_by_items[key]


@dataclass(frozen=True)
class Task:
    """A task: `load(fast)` reads its data and gives the problem; `fast` asks for a small part of it."""

    info: TaskInfo
    load: Callable[[bool], Problem]

    @property
    def name(self) -> str:
        """Name of the task."""
        return self.info.name


def task(**info: Any) -> Callable[[Callable[[bool], Problem]], Task]:
    """Make a task of a function that loads a problem; the arguments are the fields of `TaskInfo`.

    Examples
    --------
    >>> from bftembed.bench import GeneLabels, task
    >>> @task(name="mine", kind="gene", title="Mine", data=(), main_score="auroc", licence="own", citation="none")
    ... def mine(fast):
    ...     return GeneLabels({"TP53": 1, "BRCA1": 1, "ACTB": 0, "GAPDH": 0}, n_folds=2)
    >>> mine.name
    'mine'
    """

    def make(load: Callable[[bool], Problem]) -> Task:
        return Task(TaskInfo(**info), load)

    return make
