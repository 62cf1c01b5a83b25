"""The study of the window: its cells, and how one is run."""

from __future__ import annotations

import hashlib
import json
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from bftembed.errors import DivergedError, ModelError
from bftembed.models.causal import load_tokenizer
from bftembed.models.files import ModelFiles, resolve_adapted
from bftembed.studies.base import Cell, Cost, Study
from bftembed.studies.checks import check_recipe, told_of
from bftembed.studies.config import said
from bftembed.studies.medical import Medical, medical_answers, medical_problems
from bftembed.studies.tuning import read_logprobs, train
from bftembed.studies.window.companion import Tokens, measure, tokens_of
from bftembed.studies.window.config import WindowConfig, corpus_name
from bftembed.studies.window.data import Prepared, prepare
from bftembed.studies.window.outcomes import UNTUNED, Design, run_name
from bftembed.studies.window.reading import read_texts
from bftembed.studies.window.report import make_page
from bftembed.studies.window.weighing import grid, same_as, weigh, weighed, weight_digest
from bftembed.tune.data.dataset import load_dataset
from bftembed.tune.data.samples import read_samples
from bftembed.tune.loss.places import IGNORED

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from bftembed.engines import TransformersEngine
    from bftembed.studies.page import Page
    from bftembed.tune import Objective

#: Raised when what is measured changes: results of before are then not taken for those of now.
VERSION = 1
_PROBED = 64


class Window(Study):
    """Windows by seeds on one corpus, with the same samples in the same order, and what the window does to weights.

    Cells: for each corpus of the companion, shares of the gradient on its words of knowledge; weights of the training
    samples by the untuned model; the untuned model's measures; each run with its measures. Windows that weigh alike,
    as all do that are longer than every sample, are one run.
    """

    name: ClassVar[str] = "window"
    Config: ClassVar[type[WindowConfig]] = WindowConfig
    config: WindowConfig
    #: Why lengths of samples are estimates.
    _missing: ModelError | None = None

    def check(self) -> None:
        """See `Study.check`."""
        check_recipe(self.config.recipe)
        if self.config.medical:
            with told_of("medical.tasks"):
                medical_problems(self.config.medical)

    @cached_property
    def objectives(self) -> dict[str, Objective]:
        """Every objective of the grid by name."""
        return grid(self.config.windows, v1=self.config.v1, controls=self.config.controls)

    @cached_property
    def prepared(self) -> Prepared | None:
        """Files of samples."""
        return None if self.config.data is None else prepare(self.config.data, self.directory / "data")

    @cached_property
    def design(self) -> Design:
        """The runs: objectives that are others' same are none of their own."""
        _, lengths = self._counts.get("train", (0, np.zeros(0, dtype=np.int64)))
        validation = tuple(self.prepared.validation) if self.prepared else ()
        same = probe(self.objectives, lengths) if len(lengths) else {}
        return Design(tuple(self.objectives), lengths, same, validation)

    @cached_property
    def _texts(self) -> dict[str, list[str]]:
        """Texts of the companion's corpora by name."""
        from bftembed.tune.diagnosis.corpora import read_corpora

        section = self.config.companion
        if section is None:
            return {}
        found = {}
        for source in section.corpora:
            texts = next(iter(read_corpora([source]).values()))
            order = np.random.default_rng(0).permutation(len(texts))[: section.limit]
            found[corpus_name(source)] = [texts[i] for i in sorted(order.tolist())]
        return found

    @cached_property
    def cells(self) -> Sequence[Cell]:
        """The companion, then what the untuned model says, then each run."""
        config, shared = self.config, {"measures": VERSION, "model": self.config.recipe.model_digest}
        # Of a changed grid the weights are measured anew, whatever was measured of another one.
        of_grid = {**shared, "objectives": {name: said(each) for name, each in weighed(config.windows).items()}}
        suffix = hashlib.sha256(json.dumps(of_grid["objectives"]).encode()).hexdigest()[:6]
        reading = config.recipe.reading.model_dump(mode="json")
        cells = []
        for name, texts in self._texts.items():
            settings = {**of_grid, "reading": reading, "texts": _digest(texts), **config.companion.model_dump()}  # type: ignore[union-attr]
            settings.pop("corpora")
            cells.append(Cell(f"companion-{name}-{suffix}", settings, Cost(read=sum(map(len, texts)) // 4)))
        if self.prepared is None:
            return cells
        data = self.prepared.digests
        read = {"max_length": config.recipe.max_length, **reading}
        tokens = {name: n for name, (n, _) in self._counts.items()}
        cells.append(
            Cell(f"weights-{suffix}", {**of_grid, "train": data["train"], "read": read}, Cost(read=tokens["train"]))
        )
        asked = {"data": data, "read": read, "medical": config.medical and config.medical.model_dump(mode="json")}
        measured = Cost(read=sum(n for name, n in tokens.items() if name != "train"))
        cells.append(Cell(UNTUNED, {**shared, **asked}, measured))
        recipe = config.recipe.model_dump(mode="json", exclude={"reading", "model", "adapter"})
        for seed in config.seeds:
            for name in self.design.runs:
                own = {"objective": said(self.objectives[name]), "learning_rate": config.learning_rate, "seed": seed}
                settings = {**shared, **asked, "recipe": recipe, **own}
                cells.append(Cell(run_name(name, seed), settings, measured + Cost(trained=self._trained)))
        return cells

    def run(self, cell: Cell, results: Mapping[str, Any]) -> dict[str, Any]:
        """See `Study.run`."""
        self._check_counted()
        config, recipe = self.config, self.config.recipe
        kind = cell.name.partition("-")[0]
        if kind == "companion":
            return self._companion(cell)
        assert self.prepared is not None
        if kind == "weights":
            read = read_logprobs(recipe.engine(), self.prepared.train, **self._reading)
            return measure(Tokens(*read, {}), config.windows)
        if cell.name == UNTUNED:
            return self._measured(recipe.engine(), cell)
        name, _, seed = cell.name.rpartition("-seed")
        options: dict[str, Any] = {"learning_rate": config.learning_rate, "seed": int(seed)}
        place = self.place(cell.name) / "run"
        try:
            tuned = train(recipe, objective=self.objectives[name], data=self.prepared.train, place=place, **options)
        except DivergedError:
            return {"diverged": True}
        return self._measured(recipe.engine(tuned), cell)

    def _companion(self, cell: Cell) -> dict[str, Any]:
        from bftembed.tune.diagnosis.lexicon import default_lexicons

        section, recipe = self.config.companion, self.config.recipe
        assert section is not None
        name = cell.name.removeprefix("companion-").rpartition("-")[0]
        texts = self._texts[name]
        read = {"max_length": section.max_length, "batch_size": recipe.reading.batch_size}
        # Confidences do not depend on the grid, and must not be taken for those of another model or other texts.
        of = _digest([cell.settings["model"], _digest(texts), {**read, **recipe.reading.model_dump(mode="json")}])
        tracks = read_texts(recipe.engine(), texts, place=self.place(f"texts-{name}-{of}"), **read)
        tokens = tokens_of(tracks, default_lexicons())
        return measure(tokens, self.config.windows, resamples=section.resamples)

    def _measured(self, engine: TransformersEngine, cell: Cell) -> dict[str, Any]:
        """Negative log-likelihood per token of each validation file, and answers to medical questions."""
        assert self.prepared is not None
        found: dict[str, Any] = {"diverged": False, "nll": {}}
        for name, path in self.prepared.validation.items():
            value = -float(read_logprobs(engine, path, **self._reading).logprobs.mean(dtype=float))
            if not np.isfinite(value):
                return {"diverged": True}
            found["nll"][name] = value
        if self.config.medical:
            found["medical"] = _asked(engine, self.config.medical, self.place(cell.name))
        return found

    @property
    def _reading(self) -> dict[str, int]:
        return {"max_length": self.config.recipe.max_length, "batch_size": self.config.recipe.reading.batch_size}

    @cached_property
    def _counts(self) -> dict[str, tuple[int, NDArray[np.int64]]]:
        """Tokens of each file, and supervised tokens of each of its samples."""
        if self.prepared is None:
            return {}
        files = {"train": self.prepared.train, **self.prepared.validation}
        length = self.config.recipe.max_length
        try:
            tokenizer = _tokenizer(self.config)
        except ModelError as error:  # not here yet: an estimate can do without, a run cannot
            if not self.config.recipe.of_hub:
                raise
            self._missing = error
            return {name: estimated(path, length) for name, path in files.items()}
        found = {}
        for name, path in files.items():
            read = load_dataset(path, tokenizer, max_length=length)
            supervised = [int((read[i]["labels"] != IGNORED).sum()) for i in range(len(read))]
            found[name] = read.report.tokens, np.array(supervised, dtype=np.int64)
        return found

    @property
    def _trained(self) -> int:
        training, samples = self.config.recipe.training, len(self.design.lengths)
        seen = training.epochs * samples
        if training.max_steps:
            seen = training.max_steps * training.batch_size * training.accumulation_steps
        return int(seen / samples * self._counts["train"][0])

    def page(self, results: Mapping[str, Any]) -> Page:
        """See `bftembed.studies.window.report`."""
        self._check_counted()
        return make_page(self.config, self.design, results)

    def _check_counted(self) -> None:
        """Refuse to take estimates for lengths: windows that are one and the same follow from these."""
        if self._counts and self._missing:
            raise self._missing


def probe(objectives: Mapping[str, Objective], lengths: NDArray[np.int64]) -> dict[str, str]:
    """Objectives that weigh samples of these lengths as another one before them does, whatever the model.

    Found by digests of the weights of drawn confidences on the longest samples: where two windows weigh the longest
    sample alike, they weigh all samples alike.
    """
    longest = np.sort(lengths)[-_PROBED:]
    logprobs = np.log(np.random.default_rng(0).uniform(0.01, 1, longest.sum())).astype(np.float32)
    return same_as((name, weight_digest(weigh(each, logprobs, longest))) for name, each in objectives.items())


def estimated(path: Path, max_length: int) -> tuple[int, NDArray[np.int64]]:
    """About how many tokens a file has, and its samples: a quarter of their characters."""
    found = []
    for _, sample in read_samples(path):
        turns = [sample] if isinstance(sample, str) else [turn["content"] for turn in sample]
        found.append(min(max_length, sum(map(len, turns)) // 4 + 1))
    return sum(found), np.array(found, dtype=np.int64)


def _digest(values: Sequence[Any]) -> str:
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()[:16]


def _tokenizer(config: WindowConfig) -> Any:
    """The model's tokenizer; of a model of the hub no more than that is fetched."""
    if config.recipe.of_hub:
        return load_tokenizer(ModelFiles(Path(config.recipe.model), config.recipe.model, ""))
    return load_tokenizer(*resolve_adapted(config.recipe.model, config.recipe.adapter))


def _asked(engine: TransformersEngine, medical: Medical, place: Path) -> dict[str, float | None]:
    """Share of questions answered rightly, and the mean log-probability of the right letter."""
    from bftembed.bench import Asker
    from bftembed.engines import AnswerStore

    place.mkdir(parents=True, exist_ok=True)
    with AnswerStore(place / "answers.sqlite") as store:
        answers = medical_answers(Asker(engine, store), medical)
    gold = [value for value in answers["gold"] if value is not None]
    return {"right": float(np.mean(answers["right"])), "gold": float(np.mean(gold)) if gold else None}
