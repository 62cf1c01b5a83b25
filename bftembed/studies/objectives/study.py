"""The study of objectives: its cells, and how one is run."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from bftembed._optional import needs
from bftembed.errors import DivergedError
from bftembed.studies.base import Cell, Cost, Study
from bftembed.studies.checks import check_objectives, check_recipe, told_of
from bftembed.studies.config import said
from bftembed.studies.medical import medical_problems
from bftembed.studies.objectives.config import ObjectivesConfig
from bftembed.studies.objectives.data import Prepared, prepare
from bftembed.studies.objectives.measures import VERSION, gene_problems, measure
from bftembed.studies.objectives.outcomes import BASE, cell_name
from bftembed.studies.objectives.report import make_page
from bftembed.studies.runs import logged
from bftembed.studies.tuning import train

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from bftembed.studies.page import Page

#: Means over the tokens of a run, of its log.
_LOGGED = ("mean_token_weight", "mean_confidence", "clipped_share", "sample_weight_median", "grad_norm")
#: Of a medical question, and of the prompt of a profile: for the estimate alone.
_QUESTION, _PROMPT, _GENES = 160, 90, 685


class Objectives(Study):
    """Objectives by learning rates by seeds on one corpus, with the same tokens in the same order.

    A cell is one run of one objective: training, then everything that is measured of the model. The untuned model is
    measured in a cell of its own. Seeds come first in the order of cells, so that a part of them is a study of fewer
    seeds; objectives and learning rates that are added later leave finished cells as they are.

    A run that diverges has a result that says so.
    """

    name: ClassVar[str] = "objectives"
    Config: ClassVar[type[ObjectivesConfig]] = ObjectivesConfig
    config: ObjectivesConfig

    def check(self) -> None:
        """See `Study.check`."""
        config = self.config
        check_recipe(config.recipe)
        check_objectives({f"objectives.{label}": objective for label, objective in config.objectives.items()})
        if config.medical:
            with told_of("medical.tasks"):
                medical_problems(config.medical)
        if config.profiles:
            needs("rouge_score")
        if config.gene_tasks:
            with told_of("gene_tasks.tasks"):
                gene_problems(config.gene_tasks)

    @cached_property
    def prepared(self) -> Prepared:
        """Files of samples."""
        return prepare(self.config, self.directory / "data")

    @cached_property
    def _runs(self) -> dict[str, tuple[str, float, int]]:
        """Label of the objective, learning rate and seed by the name of the cell."""
        config = self.config
        return {
            cell_name(label, rate, seed): (label, rate, seed)
            for seed in config.seeds
            for label in config.objectives
            for rate in config.learning_rates
        }

    @cached_property
    def cells(self) -> Sequence[Cell]:
        """The untuned model, then each run."""
        config = self.config
        shared: dict[str, Any] = {
            "measures": VERSION,
            "model": config.recipe.model_digest,
            "data": self.prepared.digests,
            "read": {"max_length": config.recipe.max_length, **config.recipe.reading.model_dump()},
        }
        for section in ("medical", "profiles", "gene_tasks"):
            if (asked := getattr(config, section)) is not None:
                shared[section] = asked.model_dump(mode="json")
        recipe = config.recipe.model_dump(mode="json", exclude={"reading", "model", "adapter"})
        cells = [Cell(BASE, shared, self._reading)]
        for name, (label, rate, seed) in self._runs.items():
            objective = said(config.objectives[label])
            settings = {**shared, "recipe": recipe, "objective": objective, "learning_rate": rate, "seed": seed}
            cells.append(Cell(name, settings, self._reading + Cost(trained=self._trained)))
        return cells

    @cached_property
    def _trained(self) -> int:
        training = self.config.recipe.training
        tokens = self.prepared.tokens(self.prepared.train, self.config.recipe.max_length)
        samples = training.epochs * len(tokens)
        if training.max_steps:
            samples = training.max_steps * training.batch_size * training.accumulation_steps
        return int(samples * sum(tokens) / len(tokens))

    @cached_property
    def _reading(self) -> Cost:
        config, made = self.config, self.prepared
        files = (made.validation, *made.sets.values())
        read = sum(sum(made.tokens(path, config.recipe.max_length)) for path in files)
        read += _QUESTION * config.medical.items * len(config.medical.tasks) if config.medical else 0
        texts = [(sum(map(len, made.genes.values())), config.profiles), (_GENES, config.gene_tasks)]
        asked = [(n, section.max_new_tokens) for n, section in texts if section is not None]
        return Cost(read=read + sum(_PROMPT * n for n, _ in asked), generated=sum(n * tokens for n, tokens in asked))

    def run(self, cell: Cell, results: Mapping[str, Any]) -> dict[str, Any]:
        """Train and measure; see `Study.run`."""
        recipe, place, training = self.config.recipe, self.place(cell.name), {}
        tuned = None
        if cell.name != BASE:
            label, rate, seed = self._runs[cell.name]
            options: dict[str, Any] = {"objective": self.config.objectives[label], "learning_rate": rate, "seed": seed}
            try:
                tuned = train(recipe, data=self.prepared.train, place=place / "run", **options)
            except DivergedError:
                return {"diverged": True}
            training = {"training": _statistics(place / "run")}
        found = measure(recipe.engine(tuned), self.prepared, self.config, place)
        return {"diverged": True} if found is None else {"diverged": False, **found, **training}

    def page(self, results: Mapping[str, Any]) -> Page:
        """See `bftembed.studies.objectives.report`."""
        return make_page(self.config, results)


def _statistics(run: Path) -> dict[str, Any]:
    """Means of what the objective did, each step as heavy as its tokens; and the tokens of each step."""
    entries = logged(run, "loss")
    tokens = [entry["supervised_tokens"] for entry in entries]
    found: dict[str, Any] = {"supervised_tokens": tokens}
    for name in _LOGGED:
        if all(name in entry for entry in entries):
            found[name] = sum(n * entry[name] for n, entry in zip(tokens, entries, strict=True)) / sum(tokens)
    return found
