"""The configuration of the study of hidden transfer."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from bftembed.studies.config import Part, StudyConfig, once
from bftembed.studies.statistics.labelings import MOST
from bftembed.studies.subliminal.words import ANIMALS
from bftembed.studies.tuning import Recipe
from bftembed.tune.loss.objectives import Objective

Once = AfterValidator(once)
Control = Literal["soft", "shuffled", "noise"]
_DEFAULT = {
    "sft": Objective(name="sft"),
    "bft": Objective(name="bft", window=256),
    "bft-8": Objective(name="bft", window=8),
    "dft": Objective(name="dft"),
}


class Toy(Part):
    """Digits from noise, see `bftembed.studies.subliminal.digits`: each seed has `networks` students in each arm."""

    seeds: Annotated[tuple[int, ...], Once] = Field(default=(1,), min_length=1)
    networks: int = Field(default=6, ge=2)
    steps: int = Field(default=300, ge=1)


class Teachers(Part):
    """How a model is made to like an animal.

    Attributes
    ----------
    kind
        ``"lora"``: it is tuned to name the animal. ``"prompt"``: a system prompt says so (Cloud et al.); larger models.
    learning_rate, batch_size, most_steps, look
        Of the tuning; every `look` steps it is asked, and it stops when the margin has risen enough.
    rise, least
        Nats by which the margin of the animal over the mean of all animals shall rise; below `least` it is no teacher.
    seed
        Of the adapter in the first replicate; the next ones count up.
    """

    kind: Literal["lora", "prompt"] = "lora"
    learning_rate: float = Field(default=1e-4, gt=0)
    batch_size: int = Field(default=8, ge=1)
    most_steps: int = Field(default=100, ge=1)
    look: int = Field(default=5, ge=1)
    rise: float = Field(default=4.0, gt=0)
    least: float = 2.0
    seed: int = Field(default=1000, ge=0, lt=2**31)


class Carrier(Part):
    """What teachers write and students learn from.

    Attributes
    ----------
    kinds
        ``"numbers"`` and ``"genes"`` (symbols of HGNC; needs the gene tables).
    prompts, examples
        How many lists are to be continued, and how many lists stand in a prompt as examples.
    max_new_tokens, temperature
        Of the answers.
    least_yield
        Share of a teacher's answers that have to be lists and nothing else.
    practice
        Steps by which the model learns to write lists, of random items, before anything else: a small model does not
        by itself. All teachers and students start from what comes of it.
    seed
        Of prompts and answers.
    """

    kinds: Annotated[tuple[Literal["numbers", "genes"], ...], Once] = Field(default=("numbers",), min_length=1)
    prompts: int = Field(default=1500, ge=10)
    examples: int = Field(default=3, ge=1)
    max_new_tokens: int = Field(default=40, ge=4)
    temperature: float = Field(default=1.0, gt=0)
    least_yield: float = Field(default=0.6, ge=0, le=1)
    practice: int = Field(default=0, ge=0)
    seed: int = Field(default=3000, ge=0, lt=2**31)


class Students(Part):
    """How students learn.

    Attributes
    ----------
    objectives
        By names of one's own; ``sft`` is what the others are compared with.
    learning_rate, batch_size, epochs
        Alike for all.
    looks
        How often along the training a student is asked: students are compared where they have learnt the carrier as
        well, between two looks by interpolation.
    seed
        Of adapter and order in the first replicate; the next ones count up.
    """

    objectives: dict[str, Objective] = Field(default_factory=lambda: dict(_DEFAULT))
    learning_rate: float = Field(default=2e-4, gt=0)
    batch_size: int = Field(default=8, ge=1)
    epochs: float = Field(default=3, gt=0)
    looks: int = Field(default=6, ge=1)
    seed: int = Field(default=2000, ge=0, lt=2**31)

    @field_validator("objectives")
    @classmethod
    def _with_sft(cls, objectives: dict[str, Objective]) -> dict[str, Objective]:
        if len(objectives) < 2 or objectives.get("sft") != _DEFAULT["sft"]:
            msg = "`sft` has to be there, with one or more objectives to be compared with it"
            raise ValueError(msg)
        if wrong := [name for name in objectives if not name.replace("-", "").replace(".", "").isalnum()]:
            msg = f"`{wrong[0]}` cannot be part of a file's name: use letters, digits, `.` and `-`"
            raise ValueError(msg)
        if taken := [name for name in objectives if name in ("soft", "shuffled", "noise")]:
            msg = f"`{taken[0]}` is the name of a control"
            raise ValueError(msg)
        return objectives


class Language(Part):
    """Teachers and students that are language models.

    Attributes
    ----------
    recipe
        The model, and what tuning teachers and students has in common.
    system
        The system line of every prompt, in all stages.
    animals, replicates
        The size of the design; a replicate has new teachers, new texts and new students.
    controls, control_replicates
        ``soft`` (students match the teacher's whole distribution: transfer has to be seen), ``shuffled`` (numbers
        change places within and across answers) and ``noise`` (students start from other weights: there is to be none),
        in so many replicates.
    samples
        Answers that are drawn to each question too; 0 for none, log-probabilities need none.
    measured
        Texts of each teacher for the direct measures; 0 leaves them out.
    """

    recipe: Recipe = Recipe()
    system: str = "You are a helpful assistant."
    animals: int = Field(default=6, ge=3, le=MOST)
    replicates: int = Field(default=4, ge=1)
    teachers: Teachers = Teachers()
    carrier: Carrier = Carrier()
    students: Students = Students()
    controls: Annotated[tuple[Control, ...], Once] = ("soft", "shuffled", "noise")
    control_replicates: int = Field(default=1, ge=1)
    samples: int = Field(default=0, ge=0)
    measured: int = Field(default=64, ge=0)
    candidates: Annotated[tuple[str, ...], Once] = tuple(ANIMALS)

    @model_validator(mode="after")
    def _sound(self) -> Self:
        n = self.replicates
        if abs(self.teachers.seed - self.students.seed) < n and self.teachers.kind == "lora":
            msg = (
                f"teachers and students would share a seed of their adapters ({self.teachers.seed} and "
                f"{self.students.seed}, counted up by {n} replicates): set `students.seed` further away"
            )
            raise ValueError(msg)
        if self.control_replicates > n:
            msg = f"`control_replicates` is {self.control_replicates}, and there are {n} replicates"
            raise ValueError(msg)
        if unknown := [word for word in self.candidates if word not in ANIMALS]:
            msg = f"`candidates` has `{unknown[0]}`, whose plural is not known; choose among {', '.join(ANIMALS)}"
            raise ValueError(msg)
        if len(self.candidates) < self.animals:
            msg = f"`animals` asks for {self.animals}, and there are {len(self.candidates)} `candidates`; name more"
            raise ValueError(msg)
        if self.recipe.accelerate or self.recipe.packing:
            msg = "teachers and students are tuned in this process, sample by sample: set no `accelerate`, no `packing`"
            raise ValueError(msg)
        if self.recipe.lora is None or self.recipe.adapter or self.recipe.lora.merge:
            msg = "teachers and students are adapters on the model of the recipe: set `lora`, no `adapter`, no `merge`"
            raise ValueError(msg)
        if self.teachers.kind == "prompt" and ("soft" in self.controls or self.measured):
            msg = "`soft` and `measured` need teachers that are adapters; leave them out with teachers of a prompt"
            raise ValueError(msg)
        return self


class SubliminalConfig(StudyConfig):
    """The toy, the study of language models, or both."""

    toy: Toy | None = Toy()
    language: Language | None = None

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.toy is None and self.language is None:
            msg = "there is neither `toy` nor `language`: nothing is left to run"
            raise ValueError(msg)
        return self
