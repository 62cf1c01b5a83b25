"""``bftembed study grpo``: starts tuned alike, GRPO from each of them, and the same exam before and after."""

from __future__ import annotations

import hashlib
import json
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from bftembed._files import replacing
from bftembed.errors import InputError
from bftembed.models.files import resolve_adapted
from bftembed.studies.base import Cell, Cost, Study
from bftembed.studies.checks import check_grpo, check_objectives, check_recipe
from bftembed.studies.grpo.config import GRPOStudyConfig
from bftembed.studies.grpo.outcomes import grpo_cell, start_cell
from bftembed.studies.grpo.questions import prepare
from bftembed.studies.grpo.samples import files_of
from bftembed.studies.runs import logged
from bftembed.studies.samples import digest_of
from bftembed.studies.tuning import read_logprobs, run_config, train
from bftembed.tune.config import TuneConfig
from bftembed.tune.data.samples import read_samples

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bftembed.studies.grpo.config import Start
    from bftembed.studies.grpo.measures import Examiner
    from bftembed.studies.grpo.questions import Exam
    from bftembed.studies.page import Page

#: What is kept of each step of GRPO, by TRL's names.
TRAJECTORY = (
    "reward",
    "answered",
    "frac_reward_zero_std",
    "entropy",
    "completions/mean_length",
    "completions/clipped_ratio",
)
_CHARACTERS = 4  # in a token, about


class GRPOStudy(Study):
    """Starts x seeds of tuning x seeds of GRPO, with a random-reward arm and a positive control."""

    name: ClassVar[str] = "grpo"
    Config: ClassVar[type[GRPOStudyConfig]] = GRPOStudyConfig
    config: GRPOStudyConfig

    def check(self) -> None:
        """See `Study.check`."""
        check_recipe(self.config.recipe)
        check_objectives(
            {f"starts.{name}": each.objective for name, each in self.config.starts.items() if each.objective}
        )
        check_grpo(self.config.grpo, self.config.recipe.accelerate)

    @cached_property
    def exam(self) -> Exam:
        """The questions."""
        exam = prepare(self.config.questions, self.directory / "data")
        if len(exam.train) < self.config.grpo.prompts_per_step:
            msg = (
                f"A step asks {self.config.grpo.prompts_per_step} questions, and there are {len(exam.train)} to train "
                "on; ask fewer per step."
            )
            raise InputError(msg)
        return exam

    @cached_property
    def files(self) -> dict[str, Path]:
        """Samples to tune on, to choose by, and of general texts."""
        return files_of(self.config.corpus, self.directory / "data")

    @cached_property
    def cells(self) -> Sequence[Cell]:
        """Learning rates, starts, runs of GRPO, and the controls."""
        return list(self._cells())

    def _cells(self) -> Iterator[Cell]:
        config = self.config
        self._check_models()
        shared = self._shared()
        asked, answers = self._sizes
        samples = sum(map(len, self.exam.test.values())) * (config.n_samples + 1)
        exam = Cost(read=samples * asked // (config.n_samples + 1) + samples * answers, generated=samples * answers)
        predicted = min(config.questions.n_predict, len(self.exam.train)) * config.n_samples * answers
        for label, start in config.starts.items():
            tuned = shared | {"start": _said(start)}
            sweep = start.learning_rates if start.objective and len(start.learning_rates) > 1 else ()
            for rate in sweep:
                yield Cell(_sweep(label, rate), tuned | {"learning_rate": rate}, self._tuning)
            for seed in config.seeds if start.objective else config.seeds[:1]:
                cost = exam + Cost(generated=predicted) + (self._tuning if start.objective else Cost())
                settings = tuned | ({"seed": seed} if start.objective else {})
                yield Cell(start_cell(label, seed, config), settings, cost, tuple(_sweep(label, r) for r in sweep))
        drawn = config.grpo.steps * config.grpo.prompts_per_step * config.grpo.num_generations
        run = Cost(trained=drawn * (asked + answers), generated=drawn * answers)
        for cell, (label, seed, changes) in self._runs.items():
            settings = shared | {"start": _said(config.starts[label])}
            settings |= {"seed": seed, "arm": changes}
            begin = start_cell(label, seed, config)
            yield Cell(cell, settings, run if cell == "positive" else run + exam, (begin,))

    @cached_property
    def _runs(self) -> dict[str, tuple[str, int, dict[str, Any]]]:
        """Start, seed of tuning and what is particular to it, by the name of the cell of a run of GRPO."""
        config, first = self.config, self.config.seeds[0]
        found: dict[str, tuple[str, int, dict[str, Any]]] = {}
        for index, seed in enumerate(config.seeds):
            for label in config.starts:
                for number in range(config.grpo_seeds):
                    own = index * config.grpo_seeds + number
                    found[grpo_cell(label, seed, number)] = (label, seed, {"seed": own})
        for label in config.random_reward:
            found[f"random-{label}"] = (label, first, {"seed": 0, "reward": "random"})
        if config.positive_control:
            found["positive"] = (config.positive_control, first, {"seed": 0})
        return found

    def _shared(self) -> dict[str, Any]:
        from bftembed.studies.grpo.measures import VERSION

        config = self.config
        return {
            "measures": VERSION,
            "model": config.recipe.model_digest,
            "recipe": config.recipe.model_dump(mode="json", exclude={"model", "adapter"}),
            "samples": {name: digest_of(path) for name, path in self.files.items()},
            "questions": self.exam.digest,
            "grpo": hashlib.sha256(config.grpo.model_dump_json().encode()).hexdigest()[:16],
            "n_samples": config.n_samples,
            "n_predict": config.questions.n_predict,
        }

    def _check_models(self) -> None:
        """Refuse starts that were made of another model."""
        recipe = self.config.recipe
        for label, start in self.config.starts.items():
            if start.model is None:
                continue
            own, _ = resolve_adapted(recipe.model, recipe.adapter)
            files, adapter = resolve_adapted(start.model)
            same = files.digest == own.digest if adapter else _shape(files.path) == _shape(own.path)
            if not same:
                msg = (
                    f"The start `{label}` is of another model than `{recipe.model}`: gains from different models say "
                    "nothing of how they were tuned. Start from models that were tuned from one."
                )
                raise InputError(msg)

    @cached_property
    def _sizes(self) -> tuple[int, int]:
        """About how many tokens a question and an answer have."""
        characters = [sum(len(turn["content"]) for turn in item.prompt) for item in self.exam.main]
        return int(np.mean(characters)) // _CHARACTERS + 1, self.config.grpo.max_new_tokens

    @property
    def _tuning(self) -> Cost:
        training, length = self.config.recipe.training, self.config.recipe.max_length
        batch = training.batch_size * training.accumulation_steps
        lines = [json.dumps(sample) for _, sample in read_samples(self.files["train"])]
        tokens = sum(min(length, len(line) // _CHARACTERS) for line in lines) / len(lines)
        samples = training.max_steps * batch if training.max_steps else training.epochs * len(lines)
        return Cost(trained=int(samples * tokens))

    def run(self, cell: Cell, results: Mapping[str, Any]) -> dict[str, Any]:
        """See `Study.run`."""
        if cell.name in self._runs:
            return self._grpo(cell, results)
        for label, start in self.config.starts.items():
            for seed in self.config.seeds:
                if cell.name == start_cell(label, seed, self.config):
                    return self._start(cell, label, seed, results)
            for rate in start.learning_rates:
                if cell.name == _sweep(label, rate):
                    return {"validation": self._perplexity(self._tuned(label, rate, self.config.seeds[0]))}
        msg = f"There is no cell `{cell.name}` in this study."
        raise InputError(msg)

    def _start(self, cell: Cell, label: str, seed: int, results: Mapping[str, Any]) -> dict[str, Any]:
        rates = self.config.starts[label].learning_rates
        swept = {rate: results[_sweep(label, rate)]["validation"] for rate in rates if _sweep(label, rate) in results}
        rate = min(rates, key=lambda one: (swept.get(one, 0.0), one))
        model = self._tuned(label, rate, seed)
        examiner = self._examiner(model, cell.name)
        measured = self._measure(examiner)
        asked = self.exam.train[: self.config.questions.n_predict]
        return measured | {"predictors": examiner.predictors(asked), "learning_rate": rate}

    def _grpo(self, cell: Cell, results: Mapping[str, Any]) -> dict[str, Any]:
        config, place = self.config, self.place(cell.name)
        label, seed, changes = self._runs[cell.name]
        before = self._tuned(label, results[start_cell(label, seed, config)]["learning_rate"], seed)
        questions = self.directory / "data" / ("one-answer.jsonl" if cell.name == "positive" else "questions.jsonl")
        rows = self.exam.rows(answer=0 if cell.name == "positive" else None)
        with replacing(questions) as made:
            made.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        settings = TuneConfig.model_validate(
            {
                "model": str(before or config.recipe.model),
                "adapter": None if before else config.recipe.adapter,
                "data": {"train": str(questions)},
                "output": str(place / "run"),
                "objective": "grpo",
                "lora": None if config.recipe.lora is None else config.recipe.lora.model_dump(),
                "grpo": config.grpo.model_dump() | changes,
                "accelerate": config.recipe.accelerate,
            }
        )
        run_config(settings)
        entries = logged(place / "run", "reward")
        found: dict[str, Any] = {"trajectory": {name: [entry[name] for entry in entries] for name in TRAJECTORY}}
        if cell.name == "positive":
            return found
        examiner = self._examiner(place / "run", cell.name)
        found |= self._measure(examiner)
        if found["entropy"] is not None:
            size = config.recipe.reading.batch_size
            read = examiner.logprobs_of(examiner.samples, config.recipe.engine(before), size)
            found["kl"] = -found["entropy"] - float(read.mean())
        return found

    def _tuned(self, label: str, rate: float, seed: int) -> Path | None:
        """The directory of a start; None for the untuned model. A finished run is left as it is."""
        start = self.config.starts[label]
        if start.objective is None:
            return None if start.model is None else Path(start.model).expanduser()
        place = self.place(f"tuned-{label}-{rate:g}-s{seed}")
        options: dict[str, Any] = {"objective": start.objective, "learning_rate": rate, "seed": seed}
        return train(self.config.recipe, data=self.files["train"], place=place, **options)

    def _examiner(self, model: Path | None, cell: str) -> Examiner:
        from bftembed.studies.grpo.measures import Examiner

        config = self.config
        return Examiner(
            config.recipe.engine(model),
            self.place(cell),
            n_samples=config.n_samples,
            max_new_tokens=config.grpo.max_new_tokens,
        )

    def _measure(self, examiner: Examiner) -> dict[str, Any]:
        files = {name: self.files[name] for name in ("validation", "general")}
        recipe = self.config.recipe
        return examiner.measure(self.exam, files, max_length=recipe.max_length, batch_size=recipe.reading.batch_size)

    def _perplexity(self, model: Path | None) -> float:
        recipe = self.config.recipe
        logprobs, _ = read_logprobs(
            recipe.engine(model),
            self.files["validation"],
            max_length=recipe.max_length,
            batch_size=recipe.reading.batch_size,
        )
        return float(np.exp(-logprobs.astype(np.float64).mean()))

    def page(self, results: Mapping[str, Any]) -> Page:
        """See `bftembed.studies.grpo.report`."""
        from bftembed.studies.grpo.report import make_page

        return make_page(self.config, self.exam, results)


def _said(start: Start) -> dict[str, Any]:
    """What fixes a start; of an objective in a file, the file is a part of it."""
    source = {"source": start.objective.source} if start.objective and start.objective.source else {}
    return start.model_dump(mode="json", exclude_defaults=True) | source


def _sweep(label: str, rate: float) -> str:
    return f"rate-{label}-{rate:g}"


def _shape(path: Path) -> dict[str, Any]:
    """What the configuration of a model says of its architecture, without how it was stored."""
    values: dict[str, Any] = json.loads((path / "config.json").read_text(encoding="utf-8"))
    stored = {"_name_or_path", "transformers_version", "torch_dtype", "dtype", "use_cache"}
    return {key: value for key, value in values.items() if key not in stored}
