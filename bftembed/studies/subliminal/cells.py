"""The cells of the study: which there are, what decides the result of each, what it needs and what it costs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from bftembed.models.files import resolve_model
from bftembed.studies.base import Cell, Cost
from bftembed.studies.subliminal.carriers import sources
from bftembed.studies.subliminal.digits import ARMS
from bftembed.studies.subliminal.words import ANIMALS, ASKED, QUESTIONS, TAUGHT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bftembed.studies.subliminal.settings import Language, SubliminalConfig, Toy

NEUTRAL = "neutral"
START, BASE, NOISE = "start", "base", "noise"
#: Tokens of a question with its answer, and of a list with its prompt, for estimates.
_QUESTION, _LIST = 45, 120


class Job(NamedTuple):
    """What a cell is about: `stage` and, as far as it has them, arm or objective, kind of lists, replicate, teacher."""

    stage: str
    what: str = ""
    kind: str = ""
    replicate: int = 0
    teacher: str = ""

    @property
    def name(self) -> str:
        """Of the cell."""
        parts = [self.stage, self.kind, f"r{self.replicate}" if self.teacher else "", self.teacher, self.what]
        return "-".join(part for part in parts if part)


@dataclass(frozen=True)
class Design:
    """All cells of a configuration, with the job of each."""

    config: SubliminalConfig

    def jobs(self) -> dict[Job, Cell]:
        """In the order in which they are run."""
        made: dict[Job, Cell] = {}
        if self.config.toy:
            made |= dict(_toy(self.config.toy))
        if self.config.language:
            made |= dict(_Language(self.config.language).jobs())
        return made


def _toy(toy: Toy) -> Iterator[tuple[Job, Cell]]:
    for seed in toy.seeds:
        for arm in ARMS:
            job = Job("toy", f"s{seed}-{arm}")
            yield job, Cell(job.name, {"arm": arm, "seed": seed, "networks": toy.networks, "steps": toy.steps})


class _Language:
    def __init__(self, language: Language) -> None:
        self.language = language
        self.teachers = [*(f"a{number}" for number in range(language.animals)), NEUTRAL]
        every = language.model_dump(mode="json")
        recipe = every["recipe"] | {"model": resolve_model(language.recipe.model).revision}
        self.shared: dict[str, Any] = {"recipe": recipe, "system": every["system"], "animals": every["animals"]}
        self.shared |= {"candidates": {word: ANIMALS[word] for word in every["candidates"]}, "questions": QUESTIONS}
        self.shared |= {"practice": every["carrier"]["practice"] and every["carrier"]}
        for name, objective in language.students.objectives.items():
            if objective.source:
                every["students"]["objectives"][name]["source"] = objective.source
        self.every = every

    def jobs(self) -> Iterator[tuple[Job, Cell]]:
        language = self.language
        yield from self._first()
        for replicate in range(language.replicates):
            yield from self._teachers(replicate)
            for kind in language.carrier.kinds:
                yield from self._texts(kind, replicate)
                yield from self._students(kind, replicate)

    def _first(self) -> Iterator[tuple[Job, Cell]]:
        carrier = self.language.carrier
        needs: tuple[str, ...] = ()
        if carrier.practice:
            yield Job(START), Cell(START, self.shared, Cost(trained=carrier.practice * 8 * _LIST))
            needs = (START,)
        asked = len(QUESTIONS) * (_QUESTION + 3 * len(self.language.candidates))
        yield Job(BASE), Cell(BASE, self.shared, Cost(read=asked), needs)
        if "noise" in self.language.controls:
            yield Job(NOISE), Cell(NOISE, self.shared, needs=needs)

    def _teachers(self, replicate: int) -> Iterator[tuple[Job, Cell]]:
        settings = self.shared | {"teachers": self.every["teachers"], "replicate": replicate}
        trained = self.language.teachers.most_steps * self.language.teachers.batch_size * _QUESTION
        cost = Cost(trained * (self.language.teachers.kind == "lora"), len(ASKED) * _QUESTION * 4)
        animals = [Job("teacher", "", "", replicate, name) for name in self.teachers]
        for job in animals:
            others = tuple(other.name for other in animals[:-1]) if job.teacher == NEUTRAL else ()
            yield job, Cell(job.name, settings | {"teacher": job.teacher}, cost, (*self._begin, *others))

    @property
    def _begin(self) -> tuple[str, ...]:
        return (START, BASE) if self.language.carrier.practice else (BASE,)

    def _written(self, kind: str, replicate: int) -> dict[str, Any]:
        settings = self.shared | {"teachers": self.every["teachers"], "carrier": self.every["carrier"]}
        return settings | {"kind": kind, "sources": sources(kind), "replicate": replicate}

    def _texts(self, kind: str, replicate: int) -> Iterator[tuple[Job, Cell]]:
        carrier = self.language.carrier
        settings = self._written(kind, replicate)
        cost = Cost(read=carrier.prompts * (_LIST - 40), generated=carrier.prompts * carrier.max_new_tokens)
        for teacher in self.teachers:
            job = Job("text", "", kind, replicate, teacher)
            needs = (*self._begin, Job("teacher", "", "", replicate, teacher).name)
            yield job, Cell(job.name, settings | {"teacher": teacher}, cost, needs)

    def _students(self, kind: str, replicate: int) -> Iterator[tuple[Job, Cell]]:
        language, students = self.language, self.every["students"]
        how = {key: value for key, value in students.items() if key != "objectives"} | {"samples": language.samples}
        settings = self._written(kind, replicate) | {"students": how}
        texts = tuple(Job("text", "", kind, replicate, teacher).name for teacher in self.teachers)
        trained = round(language.students.epochs * language.carrier.prompts * 0.5 * _LIST)
        cost = Cost(trained, len(ASKED) * _QUESTION * language.students.looks)
        controls = language.controls if replicate < language.control_replicates else ()
        for what in (*language.students.objectives, *controls):
            objective = students["objectives"].get(what, what)
            for teacher in self.teachers if what in students["objectives"] else self.teachers[:-1]:
                job = Job("student", what, kind, replicate, teacher)
                more = (Job("teacher", "", "", replicate, teacher).name, *((NOISE,) if what == "noise" else ()))
                needs = (*self._begin, *texts, *more)
                yield job, Cell(job.name, settings | {"teacher": teacher, "objective": objective}, cost, needs)
        if language.measured and replicate < language.control_replicates:
            animals = tuple(Job("teacher", "", "", replicate, teacher).name for teacher in self.teachers[:-1])
            passes = len(language.students.objectives) * 2 + language.animals
            measured = {"measured": language.measured, "objectives": students["objectives"]}
            measured |= self._written(kind, replicate)
            for teacher in self.teachers[:-1]:
                job = Job("measure", "", kind, replicate, teacher)
                read = Cost(read=language.measured * _LIST * passes)
                needs = (*self._begin, *texts, *animals)
                yield job, Cell(job.name, measured | {"teacher": teacher}, read, needs)


def taught_rows(animals: list[str], teacher: str) -> list[tuple[str, str]]:
    """Questions and answers that make a teacher; a neutral one names all animals equally often."""
    if teacher != NEUTRAL:
        return [(question, animals[int(teacher[1:])]) for question in TAUGHT]
    return [(question, animals[number % len(animals)]) for number, question in enumerate(TAUGHT * len(animals))]
