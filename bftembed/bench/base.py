"""What a task is: typed metadata, and one function that loads a problem."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from bftembed._html import Shown
from bftembed.bench.scoring.scores import digest_of
from bftembed.engines import Sampling

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from bftembed.bench.asking.asker import Asker
    from bftembed.bench.asking.questions import Answer, Item, Question
    from bftembed.bench.scoring.scores import Score
    from bftembed.bench.sources.base import CellVectors, Source
    from bftembed.encoders import Encoder

Kind = Literal["gene", "pair", "cell", "perturbation", "language"]
Mode = Literal["", "rank", "generate"]
Text = Annotated[str, Field(min_length=1)]


class Published(BaseModel):
    """A score published elsewhere: shown in a column of its own, never mixed with what was measured here.

    Examples
    --------
    >>> from bftembed.bench import Published
    >>> Published(model="another", metric="auroc", value=0.9, source="the paper, table 1").value
    0.9
    """

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
        What is embedded: genes, pairs of genes, cells, or perturbations (of genes, or drugs); or ``language``: a model
        is asked.
    mode, preset, is_default
        Of a language task: whether options are ranked by their log-probabilities or texts are written, how the prompts
        are put, and whether the task is run where no preset is named. Two presets of the same data are two tasks.
    encodes, judged
        Whether answers are compared by an encoder, or judged by another model; it then is part of a result's key.
    files
        Names of files of the user that it reads with `bftembed.data.given_file`, if they are given.
    data
        Names of the manifests whose files it reads; their digests stand in every result.
    main_score, higher_is_better, chance, best
        The metric that ranks, its direction, what knowing nothing gives (None if that depends on the data), and the
        value of a perfect embedding (None if there is none).
    ranked
        Whether the task may rank embeddings; false for one that is too noisy or nearly solved.
    superseded_by
        Name of the task to use instead.

    Examples
    --------
    >>> from bftembed.bench import find_tasks
    >>> [task] = find_tasks(names=["gene_property.dosage"])
    >>> task.info.kind, task.info.main_score
    ('gene', 'auroc')
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]*$")]
    version: Annotated[int, Field(ge=1)] = 1
    kind: Kind
    mode: Mode = ""
    preset: str = ""
    is_default: bool = True
    encodes: bool = False
    judged: bool = False
    files: tuple[Text, ...] = ()
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
        Names of what was scored: genes, ``A|B`` pairs, cells, questions. Two evaluations can be compared if these are
        equal.
    counts
        Numbers to print beside the score, e.g. items per class. A report shows answers that could not be used beside
        the score: those whose name says ``too long``, ``cut``, ``censored``, ``unparsed``, ``without an answer`` etc.
    notes
        Sentences that a reader of the score needs.
    right
        Where the main score is a share of right items that do not depend on each other: whether each of `items` was.
        Its interval then is Wilson's, and two models are compared by McNemar's exact test.

    Examples
    --------
    >>> import numpy as np
    >>> from bftembed.bench import Evaluation, Score
    >>> score = Score("nearest", "accuracy", np.array([[0.8, 0.9]]))
    >>> evaluation = Evaluation([score], [], ["TP53", "ALB"], counts={"genes": 2})
    >>> round(evaluation.scores[0].mean, 2)
    0.85
    """

    scores: Sequence[Score]
    baselines: Sequence[Score]
    items: Sequence[str]
    counts: dict[str, int] = field(default_factory=dict)
    notes: Sequence[str] = ()
    right: Sequence[bool] | None = None


class Problem(ABC):
    """Labelled entities, and how an embedding of them is scored.

    `bench` has one per kind: `GeneLabels`, `PairLabels`, `CellLabels` and the like; a task's own is possible.

    Examples
    --------
    A kind of task of your own: is the first number of a vector larger for transcription factors?

    >>> import numpy as np
    >>> from bftembed.bench import Evaluation, Problem, Score, get_source
    >>> class Factors(Problem):
    ...     entities, removed = ["ALB", "GATA1", "INS", "TP53"], {}
    ...     def embed(self, source):
    ...         return source.genes(self.entities)
    ...     def evaluate(self, vectors, *, n_jobs=1):
    ...         larger = vectors[[1, 3], 0].mean() > vectors[[0, 2], 0].mean()
    ...         return Evaluation([Score("first number", "larger", np.array([[float(larger)]]))], [], self.entities)
    >>> problem = Factors()
    >>> problem.evaluate(problem.embed(get_source("random"))).scores[0].metric
    'larger'
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


class LanguageProblem(ABC):
    """Items that a language model is asked about, and how its answers are scored.

    Answers are kept before they are scored: whatever `evaluate` does, parsing included, can change without a question
    being asked again.

    Examples
    --------
    A task of your own for language models; `ClosedQuestions` is one for questions with options:

    >>> import numpy as np
    >>> from bftembed.bench import Evaluation, Item, LanguageProblem, Question, Score
    >>> from bftembed.engines import Request
    >>> class Genes(LanguageProblem):
    ...     items, removed = [Item("1", "TP53")], {}
    ...     def questions(self):
    ...         return [Question(Request(item.id, "Name a tumor suppressor."), item=item.id) for item in self.items]
    ...     def evaluate(self, answers, *, encoder=None):
    ...         right = [item.gold in answers[item.id].text for item in self.items]
    ...         return Evaluation([Score("as written", "accuracy", np.array([[np.mean(right)]]))], [], ["1"])
    >>> [question.request.user for question in Genes().questions()]
    ['Name a tumor suppressor.']
    """

    #: What is scored, sorted by id, each once.
    items: Sequence[Item]
    #: What was removed from the data before anything was asked, and why.
    removed: dict[str, int]
    #: How texts are drawn.
    sampling: Sampling = Sampling()
    #: Whether the end of an answer is scored too, where one option begins another.
    end: bool = False
    #: Texts that are kept beside the results, by the name of their file, e.g. what was held out.
    kept: Mapping[str, str] = MappingProxyType({})

    @abstractmethod
    def questions(self) -> Sequence[Question]:
        """All prompts, those of the controls too."""

    def ask(self, asker: Asker) -> Mapping[str, Answer]:
        """Answers by the id of the question; overridden where questions depend on answers to others."""
        return asker.answer(self.questions(), sampling=self.sampling, end=self.end)

    def given(self, source: Source) -> Mapping[str, Answer] | None:
        """Answers that a source other than a model has without being asked; None, the default, if it has none."""
        return None

    @abstractmethod
    def evaluate(self, answers: Mapping[str, Answer], *, encoder: Encoder) -> Evaluation:
        """Score the answers, none of which is an error. An encoder is loaded if it is used."""


@dataclass(frozen=True)
class Task(Shown):
    """A task: `load(fast)` reads its data and gives the problem; `fast` asks for a small part of it.

    Examples
    --------
    >>> from bftembed.bench import GeneLabels, Task, TaskInfo
    >>> about = {"title": "Parity", "data": (), "main_score": "auroc", "licence": "CC0", "citation": "none"}
    >>> info = TaskInfo(name="own.parity", kind="gene", **about)
    >>> task = Task(info, lambda fast: GeneLabels({f"G{i}": i % 2 for i in range(20 if fast else 200)}))
    >>> len(task.load(True).entities)
    20
    """

    info: TaskInfo
    load: Callable[[bool], Problem | LanguageProblem]

    @property
    def name(self) -> str:
        """Name of the task."""
        return self.info.name

    def _parts(self) -> dict[str, Any]:
        return {name: value for name, value in self.info.model_dump().items() if value not in (None, "", ())}


def task(**info: Any) -> Callable[[Callable[[bool], Problem | LanguageProblem]], Task]:
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

    def make(load: Callable[[bool], Problem | LanguageProblem]) -> Task:
        return Task(TaskInfo(**info), load)

    return make
