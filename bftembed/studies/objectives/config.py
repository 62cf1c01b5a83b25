"""The configuration of the study of objectives."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, Field, field_validator, model_validator

from bftembed.studies.config import Part, StudyConfig, check_names, once
from bftembed.studies.medical import Medical  # noqa: TC001 - pydantic reads the annotation
from bftembed.studies.tuning import Recipe
from bftembed.tune.config import Name  # noqa: TC001 - pydantic reads the annotation
from bftembed.tune.loss.objectives import Objective  # noqa: TC001 - pydantic reads the annotation
from bftembed.tune.loss.reference import check_reference

Count = Annotated[int, Field(ge=1)]
Once = AfterValidator(once)


class Samples(Part):
    """How many samples are taken of the package's own corpora.

    Attributes
    ----------
    train, validation, unseen
        Genes of the three splits of ``bftembed corpus build genes``; families stay together.
    recall
        Genes of `train` that are read again after it.
    medical_qa, general_qa, general_text
        Questions of PubMedQA's official test (without abstracts), instructions of Alpaca, articles of Wikipedia.
    """

    train: Count = 32
    validation: Count = 16
    unseen: Annotated[int, Field(ge=2)] = 24
    recall: Annotated[int, Field(ge=2)] = 24
    medical_qa: Annotated[int, Field(ge=2)] = 24
    general_qa: Annotated[int, Field(ge=2)] = 16
    general_text: Annotated[int, Field(ge=2)] = 6


class Files(Part):
    """Samples of the user, see `bftembed.tune.data.samples.read_samples`.

    Attributes
    ----------
    train, validation
        To learn from, and to choose learning rates by.
    evaluation
        Files by the name under which the report has them; the first is what `ObjectivesConfig.explained` is by default.
    """

    train: Name
    validation: Name
    evaluation: dict[Name, Name] = Field(min_length=1)

    @field_validator("evaluation")
    @classmethod
    def _free(cls, files: dict[str, str]) -> dict[str, str]:
        check_names(files, ("train", "validation"))
        return files


class Profiles(Part):
    """Profiles that the tuned model writes of genes of the corpus, and of genes of the first evaluation set.

    Attributes
    ----------
    genes
        Of each.
    max_new_tokens
        Of a text.
    """

    genes: Annotated[int, Field(ge=2)] = 16
    max_new_tokens: Count = 64


class GeneTasks(Part):
    """Gene-level benchmarks of embeddings of profiles that the tuned model writes of all of their genes.

    Attributes
    ----------
    tasks
        Of `bftembed.bench`.
    max_new_tokens
        Of a text.
    """

    tasks: Annotated[tuple[str, ...], Once] = Field(
        default=("gene_property.dosage", "gene_property.bivalent_no_methyl", "gene_property.bivalent_lys4"),
        min_length=1,
    )
    max_new_tokens: Count = 128


class ObjectivesConfig(StudyConfig):
    """A study of objectives.

    Attributes
    ----------
    recipe
        What all runs have in common.
    objectives
        By the name under which the report has them: the name of an objective, or its fields.
    learning_rates, seeds
        The other two axes. A seed is one order of the samples and one fresh adapter.
    reference
        The objective that others are compared with.
    explained
        The evaluation set whose perplexity is taken apart; the first one by default.
    paths
        By a title, a chain of objectives each of which changes one thing: the steps of which a difference is made up.
    data
        Numbers of samples of the package's own corpora, or files.
    medical, profiles, gene_tasks
        Further measures; None leaves one out.
    """

    recipe: Recipe = Recipe()
    objectives: dict[str, Objective] = Field(min_length=1)
    learning_rates: Annotated[tuple[Annotated[float, Field(gt=0)], ...], Once] = Field(min_length=1)
    seeds: Annotated[tuple[Annotated[int, Field(ge=0, lt=2**32)], ...], Once] = Field(default=(0, 1, 2), min_length=1)
    reference: str = "sft"
    explained: str | None = None
    paths: dict[str, Annotated[tuple[str, ...], Field(min_length=2), Once]] = Field(default_factory=dict)
    data: Samples | Files = Samples()
    medical: Medical | None = None
    profiles: Profiles | None = None
    gene_tasks: GeneTasks | None = None

    @field_validator("objectives", mode="before")
    @classmethod
    def _short(cls, values: Any) -> Any:
        """Names stand for objectives without options."""
        if not isinstance(values, dict):
            return values
        return {label: {"name": value} if isinstance(value, str) else value for label, value in values.items()}

    @model_validator(mode="after")
    def _known(self) -> ObjectivesConfig:
        slugs = [slug(label) for label in self.objectives]
        if len(set(slugs)) < len(slugs) or "base" in slugs:
            msg = "objectives need names that differ in letters or digits, and none of them may be `base`"
            raise ValueError(msg)
        named = {"reference": (self.reference,)} | {f"paths.{title}": path for title, path in self.paths.items()}
        for where, labels in named.items():
            if absent := [label for label in labels if label not in self.objectives]:
                msg = (
                    f"`{where}` names `{absent[0]}`, and there is no such objective here: {', '.join(self.objectives)}"
                )
                raise ValueError(msg)
        for objective in self.objectives.values():
            check_reference(objective, has_adapter=self.recipe.lora is not None)
        if self.explained is not None and self.explained not in self.sets:
            msg = f"`explained` is `{self.explained}`, and the evaluation sets are {', '.join(self.sets)}"
            raise ValueError(msg)
        return self

    @property
    def sets(self) -> tuple[str, ...]:
        """Names of the evaluation sets."""
        return SETS if isinstance(self.data, Samples) else tuple(self.data.evaluation)


#: Evaluation sets of the package's own corpora.
SETS = ("unseen genes", "genes in the corpus", "medical QA", "general QA", "general text")


def slug(label: str) -> str:
    """A name as part of a file name.

    Examples
    --------
    >>> from bftembed.studies.objectives.config import slug
    >>> slug("sft, mean per sample"), slug("power(.5)")
    ('sft-mean-per-sample', 'power-.5')
    """
    return re.sub(r"[^A-Za-z0-9.]+", "-", label).strip("-")
