"""``bftembed study grpo``: starts tuned alike, GRPO from each of them, and the same exam before and after."""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from bftembed._files import replacing
from bftembed.errors import InputError, TuneError
from bftembed.studies.base import Cell, Study
from bftembed.studies.checks import check_grpo, check_objectives, check_recipe
from bftembed.studies.grpo.config import GRPOStudyConfig
from bftembed.studies.grpo.design import cells, grpo_seed, rate_cell, runs
from bftembed.studies.grpo.matching import choose, counts, matched_cell, steps_cell
from bftembed.studies.grpo.outcomes import grpo_cell, start_cell
from bftembed.studies.grpo.questions import prepare
from bftembed.studies.grpo.samples import files_of
from bftembed.studies.grpo.starts import check_models
from bftembed.studies.runs import kept, logged
from bftembed.studies.tuning import free_memory, read_logprobs, run_config, train
from bftembed.tune.config import TuneConfig

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bftembed.studies.grpo.measures import Examiner
    from bftembed.studies.grpo.questions import Exam, Item
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
        check_models(self.config)
        return list(cells(self.config, self.exam, self.files))

    def run(self, cell: Cell, results: Mapping[str, Any]) -> dict[str, Any]:
        """See `Study.run`."""
        if cell.name in (from_last := runs(self.config)):
            label, seed, changes = from_last[cell.name]
            rate = results[start_cell(label, seed, self.config)]["learning_rate"]
            return self._grpo(cell, changes, self._tuned(label, rate, seed))
        for label in self.config.tuned if self.config.matched else ():
            for seed in self.config.seeds:
                if cell.name == steps_cell(label, seed):
                    return self._steps(cell, label, seed, results)
                if cell.name == matched_cell(label, seed):
                    return self._matched(cell, label, seed, results)
                if cell.name in [matched_cell(label, seed, number) for number in range(self.config.grpo_seeds)]:
                    return self._matched_run(cell, label, seed, results)
        for label, start in self.config.starts.items():
            for seed in self.config.seeds:
                if cell.name == start_cell(label, seed, self.config):
                    return self._start(cell, label, seed, results)
            for rate in start.learning_rates:
                if cell.name == rate_cell(label, rate):
                    return {"validation": self._perplexity(self._tuned(label, rate, self.config.seeds[0]))}
        msg = f"There is no cell `{cell.name}` in this study."
        raise InputError(msg)

    def _start(self, cell: Cell, label: str, seed: int, results: Mapping[str, Any]) -> dict[str, Any]:
        rates = self.config.starts[label].learning_rates
        rate = rates[0]
        if len(rates) > 1:
            rate = min(rates, key=lambda one: (results[rate_cell(label, one)]["validation"], one))
        model = self._tuned(label, rate, seed)
        examiner = self._examiner(model, cell.name)
        measured = self._measure(examiner)
        return measured | {"predictors": examiner.predictors(self._asked), "learning_rate": rate}

    @property
    def _asked(self) -> list[Item]:
        """Training questions that starts are measured on before any reinforcement."""
        return self.exam.train[: self.config.questions.n_predict]

    @property
    def _parts(self) -> int:
        """Into how many parts a tuning is divided whose models are kept; 0 for none."""
        return self.config.matched.checkpoints if self.config.matched else 0

    def _steps(self, cell: Cell, label: str, seed: int, results: Mapping[str, Any]) -> dict[str, Any]:
        """How many answers to training questions are right along the tuning of a start."""
        right, steps = [], []
        for model in self._along(label, seed, results):
            step = int(model.name.rpartition("-")[2])
            right.append(self._examiner(model, f"{cell.name}/{step}").predictors(self._asked)["right"])
            steps.append(step)
            free_memory()
        return {"steps": steps, "right": right}

    def _matched(self, cell: Cell, label: str, seed: int, results: Mapping[str, Any]) -> dict[str, Any]:
        taken = choose(counts(self.config, results)).taken[label]
        steps = results[steps_cell(label, seed)]["steps"]
        if taken == len(steps):
            return {"same_as": start_cell(label, seed, self.config)}
        model = self._along(label, seed, results)[taken]
        return self._measure(self._examiner(model, cell.name)) | {"step": steps[taken], "number": taken}

    def _matched_run(self, cell: Cell, label: str, seed: int, results: Mapping[str, Any]) -> dict[str, Any]:
        begin = results[matched_cell(label, seed)]
        number = int(cell.name.rpartition("-g")[2])
        if "same_as" in begin:
            return {"same_as": grpo_cell(label, seed, number)}
        changes = {"seed": grpo_seed(self.config, seed, number)}
        return self._grpo(cell, changes, self._along(label, seed, results)[begin["number"]])

    def _grpo(self, cell: Cell, changes: Mapping[str, Any], before: Path | None) -> dict[str, Any]:
        config, place = self.config, self.place(cell.name)
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
                "grpo": {**config.grpo.model_dump(), **changes},
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

    def _tuned(self, label: str, rate: float, seed: int, *, suffix: str = "") -> Path | None:
        """The directory of a start; None for the untuned model. A finished run is left as it is."""
        start = self.config.starts[label]
        if start.objective is None:
            return None if start.model is None else Path(start.model).expanduser()
        place = self.place(f"tuned-{label}-{rate:g}-s{seed}{suffix}")
        options: dict[str, Any] = {"objective": start.objective, "learning_rate": rate, "seed": seed}
        return train(self.config.recipe, data=self.files["train"], place=place, keep=self._parts, **options)

    def _along(self, label: str, seed: int, results: Mapping[str, Any]) -> list[Path]:
        """Models along the tuning of a start, tuned once more where that had ended before they were asked for."""
        rate = results[start_cell(label, seed, self.config)]["learning_rate"]
        for suffix in ("", f"-in-{self._parts}"):
            place = self._tuned(label, rate, seed, suffix=suffix)
            if place and (found := kept(place, self._parts)) is not None:
                return found
        msg = (
            f"The checkpoints in `{place}` hold no whole models, as where accelerate writes them in shards "
            "(`fsdp_state_dict_type: SHARDED_STATE_DICT`). Have them written whole, or leave out `matched`."
        )
        raise TuneError(msg)

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
