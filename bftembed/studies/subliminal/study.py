"""The study of hidden transfer: whether an objective lets students take over less of what a teacher likes."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from bftembed.studies.base import Cell, Study
from bftembed.studies.checks import check_objectives, check_recipe, told_of
from bftembed.studies.subliminal.carriers import kind_of
from bftembed.studies.subliminal.cells import Design
from bftembed.studies.subliminal.digits import read_digits
from bftembed.studies.subliminal.report import report
from bftembed.studies.subliminal.settings import SubliminalConfig
from bftembed.studies.subliminal.stages import Stages

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bftembed.studies.page import Page


class Subliminal(Study):
    """Teachers that like an animal write lists of numbers; students learn the lists and are asked about animals.

    After Cloud et al., arXiv 2507.14805, with the statistics of `bftembed.studies.statistics.labelings`.
    """

    name: ClassVar[str] = "subliminal"
    Config: ClassVar[type[SubliminalConfig]] = SubliminalConfig
    config: SubliminalConfig

    def check(self) -> None:
        """See `Study.check`."""
        if (language := self.config.language) is None:
            return
        check_recipe(language.recipe, "language.recipe")
        given = language.students.objectives
        check_objectives({f"language.students.objectives.{label}": each for label, each in given.items()})
        with told_of("language.carrier.kinds"):
            for name in language.carrier.kinds:
                kind_of(name)

    @cached_property
    def _jobs(self) -> dict[Any, Cell]:
        return Design(self.config).jobs()

    @property
    def cells(self) -> Sequence[Cell]:
        """The toy, then replicate after replicate: teachers, their texts, students."""
        return list(self._jobs.values())

    def run(self, cell: Cell, results: Mapping[str, Any]) -> dict[str, Any]:
        """One cell; see `bftembed.studies.subliminal.stages`."""
        job = next(job for job, other in self._jobs.items() if other.name == cell.name)
        if job.stage == "toy":
            return read_digits(**cell.settings)
        if self.config.language is None:
            raise AssertionError(cell.name)
        return Stages(self.config.language, self.place).run(job, results)

    def page(self, results: Mapping[str, Any]) -> Page:
        """The verdict on BFT with tables and curves."""
        return report(self.config, self._jobs, results)
