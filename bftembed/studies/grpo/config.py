"""The configuration of the study of GRPO."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from bftembed._near import did_you_mean
from bftembed.studies.config import Part, StudyConfig, once
from bftembed.studies.tuning import Recipe
from bftembed.tune.config import GRPOSettings, Name
from bftembed.tune.loss.objectives import Objective  # noqa: TC001 - pydantic reads the annotation
from bftembed.tune.loss.reference import check_reference

Count = Annotated[int, Field(ge=1)]
Once = AfterValidator(once)
#: Questions that the package brings: direction and change in PerturbQA, and PubMedQA.
SOURCES = ("dir", "de", "pubmedqa")


class Start(Part):
    """What GRPO starts from.

    Attributes
    ----------
    objective
        Name or fields of the objective that the recipe is run with; None for the untuned model.
    learning_rates
        Where there are several, that of the lowest perplexity on the validation samples with the first seed is taken.
    model
        A model or adapter of yours in place of tuning; it has to be of the recipe's model.
    """

    objective: Objective | None = None
    learning_rates: Annotated[tuple[Annotated[float, Field(gt=0)], ...], Once] = Field(default=(2e-4,), min_length=1)
    model: Name | None = None

    @model_validator(mode="before")
    @classmethod
    def _short(cls, values: Any) -> Any:
        if isinstance(values, dict) and isinstance(values.get("objective"), str):
            return values | {"objective": {"name": values["objective"]}}
        return values

    @model_validator(mode="after")
    def _one(self) -> Start:
        if self.objective is not None and self.model is not None:
            msg = "`objective` and `model` both say what is started from; leave out one of them"
            raise ValueError(msg)
        if self.objective is None and "learning_rates" in self.model_fields_set:
            msg = "there are `learning_rates` and no `objective` to tune with; name one, or leave them out"
            raise ValueError(msg)
        return self


class Corpus(Part):
    """Samples that the starts are tuned on.

    Attributes
    ----------
    train, validation, general
        Files of samples; without them so many genes of the package's own corpus, and general texts.
    """

    train: Count | Name = 256
    validation: Count | Name = 32
    general: Count | Name = 16


class Questions(Part):
    """Questions of the reinforcement and of the test.

    Attributes
    ----------
    source
        ``"dir"``, ``"de"`` or ``"pubmedqa"``; or a file of training questions, with `test`.
    test
        A file of test questions. Rows may have a ``group`` (e.g. the gene), within which answers are compared.
    n_train, n_test, n_predict
        How many are used at most; the last is of training questions that the starts are measured on.
    described
        Put the RefSeq summaries of both genes into the prompt (PerturbQA).
    unbalanced
        ``"allow"`` lets a constant answer earn more than 0.6 of the rewards.
    """

    source: Name = "dir"
    test: Name | None = None
    n_train: Count = 2048
    n_test: Count = 256
    n_predict: Count = 64
    described: bool = True
    unbalanced: Literal["refuse", "allow"] = "refuse"

    @model_validator(mode="after")
    def _both(self) -> Questions:
        if self.test is None and (near := did_you_mean(self.source, SOURCES)) and self.source not in SOURCES:
            msg = f"there is no source `{self.source}`.{near} A file of your own needs a `test` beside it"
            raise ValueError(msg)
        if (self.source in SOURCES) == (self.test is not None):
            msg = f"`test` is a file beside a file of your own as `source`; {', '.join(SOURCES)} bring their own test"
            raise ValueError(msg)
        return self


class Matched(Part):
    """A second arm, of starts that were stopped in their tuning where they answer as well as the others.

    See `bftembed.studies.grpo.matching.choose` for the rule.

    Attributes
    ----------
    checkpoints
        Into how many parts of one length tuning is divided; starts are the models at their ends.
    margin
        Of pass@1 before GRPO: starts whose difference lies within it (90 % interval) count as matched.
    """

    checkpoints: Annotated[int, Field(ge=2)] = 4
    margin: Annotated[float, Field(gt=0, lt=1)] = 0.05


class GRPOStudyConfig(StudyConfig):
    """A study of starts for GRPO.

    Attributes
    ----------
    recipe, corpus
        How the starts are tuned: all alike but for objective and learning rate.
    starts
        By the name under which the report has them.
    reference
        The start that others are compared with.
    seeds, grpo_seeds
        Of the tuning, and how many runs of GRPO go out from each tuned model.
    grpo
        The same for all; its ``seed``, ``reward`` and the like are the study's.
    questions
        See `Questions`.
    n_samples
        Answers to each test question at temperature 1, of which pass@k is estimated for the `passes` up to it.
    random_reward
        Starts that are also trained with a coin as reward, with the first seed: the control.
    positive_control
        The start that is trained to give one answer to all questions, to show that the training works; None for none.
    matched
        See `Matched`; None for no such arm.
    """

    recipe: Recipe = Recipe()
    corpus: Corpus = Corpus()
    starts: dict[str, Start] = Field(min_length=2)
    reference: str = "sft"
    seeds: tuple[Annotated[int, Field(ge=0, lt=2**20)], ...] = Field(default=(0, 1, 2), min_length=1)
    grpo_seeds: Count = 2
    grpo: GRPOSettings = GRPOSettings()
    questions: Questions = Questions()
    n_samples: Annotated[int, Field(ge=2)] = 16
    passes: Annotated[tuple[Count, ...], Once] = (1, 4, 16)
    random_reward: Annotated[tuple[str, ...], Once] = ()
    positive_control: str | None = None
    matched: Matched | None = None

    @model_validator(mode="after")
    def _known(self) -> GRPOStudyConfig:
        for label in self.starts:
            if not re.fullmatch(r"[\w.]+(-[\w.]+)*", label):
                msg = f"the start `{label}` has to be named by letters, digits, `.`, `_` and `-`"
                raise ValueError(msg)
        named = (self.reference, *self.random_reward, *filter(None, [self.positive_control]))
        if absent := [label for label in named if label not in self.starts]:
            msg = f"`{absent[0]}` is named, and there is no such start; there are {', '.join(self.starts)}"
            raise ValueError(msg)
        if len(set(self.seeds)) < len(self.seeds):
            msg = "a value of `seeds` is there twice"
            raise ValueError(msg)
        if said := {"seed", "reward"} & (self.grpo.model_fields_set | self.grpo.trainer.keys()):
            msg = f"`grpo.{min(said)}` is the study's own; leave it out"
            raise ValueError(msg)
        for start in self.starts.values():
            if start.objective is not None:
                check_reference(start.objective, has_adapter=self.recipe.lora is not None)
        if self.matched:
            self._check_matched()
        return self

    @property
    def tuned(self) -> list[str]:
        """Starts that the study tunes itself."""
        return [label for label, start in self.starts.items() if start.objective]

    def _check_matched(self) -> None:
        recipe = self.recipe
        if self.reference not in self.tuned or len(self.tuned) < 2:
            msg = "`matched` compares starts along their tuning: `reference` and another one have to have an objective"
            raise ValueError(msg)
        if recipe.adapter or (recipe.lora and recipe.lora.merge):
            msg = "`matched` needs adapters along the tuning; leave out `recipe.adapter` and `lora.merge`"
            raise ValueError(msg)
        if said := {"save_steps", "save_strategy", "save_total_limit"} & recipe.training.trainer.keys():
            msg = f"`matched` says when models are kept; leave `{min(said)}` out of `recipe.training.trainer`"
            raise ValueError(msg)
