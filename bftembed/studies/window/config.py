"""The configuration of the study of the window."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, field_validator, model_validator

from bftembed.studies.config import Part, StudyConfig, check_names, once
from bftembed.studies.medical import Medical  # noqa: TC001 - pydantic reads the annotation
from bftembed.studies.tuning import Recipe
from bftembed.studies.window.weighing import WHOLE, parse_window
from bftembed.tune.config import Name  # noqa: TC001 - pydantic reads the annotation

Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0)]


class Companion(Part):
    """Where the gradient goes by the window, found without training.

    Attributes
    ----------
    corpora
        Names in `bftembed.tune.diagnosis.corpora.CORPORA`, and files.
    limit
        Texts of each, drawn at random; all by default.
    max_length
        Tokens read of a text; what is beyond is left out, as in training.
    resamples
        Of the bootstrap over texts.
    """

    corpora: tuple[Name, ...] = Field(default=("huatuogpt_o1", "refseq"), min_length=1)
    limit: Count | None = None
    max_length: Annotated[int, Field(ge=2)] = 1024
    resamples: Annotated[int, Field(ge=2)] = 2000

    @field_validator("corpora")
    @classmethod
    def _apart(cls, corpora: tuple[str, ...]) -> tuple[str, ...]:
        names = [corpus_name(corpus) for corpus in corpora]
        if len(set(names)) < len(names):
            msg = "two corpora have the same name; name each once, or rename a file"
            raise ValueError(msg)
        return corpora


class Traces(Part):
    """How many samples are taken of the package's own corpora.

    Attributes
    ----------
    train, validation
        Of ``bftembed corpus build medical``: medical questions answered by reasoning.
    general
        Instructions of Alpaca with their answers.
    """

    train: Count = 96
    validation: Count = 24
    general: Count = 24


class Files(Part):
    """Samples of the user, see `bftembed.tune.data.samples.read_samples`.

    Attributes
    ----------
    train
        To learn from.
    validation
        Files by the name under which the report has them; the verdict is on the first one.
    """

    train: Name
    validation: dict[Name, Name]

    @field_validator("validation")
    @classmethod
    def _some(cls, files: dict[str, str]) -> dict[str, str]:
        if not files:
            msg = "there is no validation data, so runs cannot be compared; name a file, e.g. {biomedical: FILE.jsonl}"
            raise ValueError(msg)
        check_names(files, ("train",))
        return files


class Margin(Part):
    """Within what the windows count as alike, stated before anything is run.

    Attributes
    ----------
    perplexity
        Relative: 0.01 is one per cent.
    accuracy
        Share of questions: 0.01 is one point.
    gold
        Of the log-probability of the right letter, nats.
    seed_deviations
        In place of all: so many standard deviations over seeds, of which the lower confidence limit is taken (see
        `bftembed.studies.statistics.equivalence.seed_deviation`).
    """

    perplexity: Positive = 0.01
    accuracy: Positive = 0.01
    gold: Positive = 0.05
    seed_deviations: Positive | None = None


class WindowConfig(StudyConfig):
    """A study of the window.

    Attributes
    ----------
    windows
        Tokens; ``inf`` is the whole sample.
    range_from
        Least window that the verdict is about.
    recipe
        What all runs have in common.
    v1, controls
        See `bftembed.studies.window.weighing.grid`.
    learning_rate
        Of all runs.
    seeds
        A seed is one order of the samples and one fresh adapter.
    data
        Numbers of samples of the package's own corpora, or files; None trains nothing.
    companion, medical
        None leaves it out.
    margin
        See `Margin`.
    """

    windows: tuple[int, ...] = Field(default=(1, 8, 32, 64, 128, 256, 512, 1024, WHOLE), min_length=1)
    range_from: Count = 32
    recipe: Recipe = Recipe(max_length=1024)
    v1: bool = False
    controls: bool = True
    learning_rate: Positive = 5e-4
    seeds: tuple[Annotated[int, Field(ge=0, lt=2**32)], ...] = Field(default=(0, 1, 2), min_length=1)
    data: Traces | Files | None = Traces()
    companion: Companion | None = Companion()
    medical: Medical | None = None
    margin: Margin = Margin()

    @field_validator("windows", mode="before")
    @classmethod
    def _parsed(cls, values: Any) -> Any:
        return [parse_window(value) for value in values] if isinstance(values, list | tuple) else values

    @field_validator("windows", "seeds")
    @classmethod
    def _once(cls, values: tuple[int, ...]) -> tuple[int, ...]:
        return once(values)

    @model_validator(mode="after")
    def _something(self) -> WindowConfig:
        if self.data is None and self.companion is None:
            msg = "there is nothing to do: both `data` and `companion` are null"
            raise ValueError(msg)
        if self.data is not None and not any(window >= self.range_from for window in self.windows):
            msg = f"no window has at least `range_from` ({self.range_from}) tokens, so there is nothing to judge"
            raise ValueError(msg)
        return self


def corpus_name(source: str) -> str:
    """Of a built-in corpus its name, of a file that without ending, as a part of file names.

    Examples
    --------
    >>> from bftembed.studies.window.config import corpus_name
    >>> corpus_name("refseq"), corpus_name("texts/my notes.txt")
    ('refseq', 'my-notes')
    """
    return re.sub(r"[^\w.-]+", "-", Path(source).stem)
