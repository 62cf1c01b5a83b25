"""What a study is: cells of a design, how one is run, and what is made of their results."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from bftembed.studies.config import StudyConfig
    from bftembed.studies.page import Page


@dataclass(frozen=True, slots=True)
class Cost:
    """What a cell takes, in tokens: trained on (each pass counts), read by a forward pass alone, and generated."""

    trained: int = 0
    read: int = 0
    generated: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.trained + other.trained, self.read + other.read, self.generated + other.generated)


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of a design, with one file for its result.

    Attributes
    ----------
    name
        Letters, digits, ``.``, ``_``, ``-``: the name of its file.
    settings
        JSON values: all that decides its result, such as digests of the model and of the data.
    cost
        For the estimate before a run.
    needs
        Names of cells that have to be finished before; they stand before this one.
    """

    name: str
    settings: Mapping[str, Any]
    cost: Cost = Cost()
    needs: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """Sixteen hexadecimal digits of the settings."""
        return hashlib.sha256(json.dumps(self.settings, sort_keys=True).encode()).hexdigest()[:16]


class Study(ABC):
    """A design whose cells are run one by one, each with a file for its result, and a report of them all.

    Parameters
    ----------
    config
        Of the class `Config`.
    directory
        Of results and report; a cell has a directory for its own files below it.
    """

    #: As the command line calls it.
    name: ClassVar[str]
    #: The pydantic model of its configuration.
    Config: ClassVar[type[StudyConfig]]

    def __init__(self, config: Any, directory: Path) -> None:
        self.config = config
        self.directory = directory

    @property
    @abstractmethod
    def cells(self) -> Sequence[Cell]:
        """All cells, in the order in which they are run; the same on every call."""

    def check(self) -> None:  # noqa: B027 - a study may have nothing of the kind
        """Refuse what can be known to be wrong before any cell is run; called before `cells`, by an estimate too.

        Raises
        ------
        InputError
            That names the key of the configuration.
        """

    @abstractmethod
    def run(self, cell: Cell, results: Mapping[str, Any]) -> dict[str, Any]:
        """The result of a cell, JSON values, from the results of the cells that it needs.

        A run that was killed comes here again: what lies in `place` of the cell may be gone on from, and the result has
        to be that of a run that was not interrupted.
        """

    @abstractmethod
    def page(self, results: Mapping[str, Any]) -> Page:
        """What all results say; the same results give the same page, so no times and no places."""

    def place(self, cell: str) -> Path:
        """The directory of a cell's own files (checkpoints, adapters, texts); it need not be there yet."""
        return self.directory / "work" / cell
