"""A study of numbers, whose cells note that they were run."""

import pytest

from bftembed.studies.base import Cell, Cost, Study
from bftembed.studies.config import StudyConfig
from bftembed.studies.page import Figure, Page, Section, Table


class Config(StudyConfig):
    values: list[int]
    factor: float = 1.0


class Squares(Study):
    name = "squares"
    Config = Config

    @property
    def cells(self):
        each = [
            Cell(f"square-{value}", {"value": value, "factor": self.config.factor}, Cost(trained=150, read=40))
            for value in self.config.values
        ]
        return [*each, Cell("sum", {"of": "squares"}, Cost(generated=60), needs=tuple(cell.name for cell in each))]

    def run(self, cell, results):
        place = self.place(cell.name)
        place.mkdir(parents=True, exist_ok=True)
        with (place / "runs").open("a") as file:
            file.write("x")
        if cell.name == "sum":
            return {"sum": sum(result["square"] for result in results.values()), "pair": (1, 2)}
        return {"square": cell.settings["value"] ** 2 * cell.settings["factor"]}

    def page(self, results):
        rows = [[name, str(result)] for name, result in results.items()]
        curve = Figure("A <curve>", lambda axes: axes.plot([0, 1, 4]), note="It rises.")
        parts = [Table("All", ["cell", "a|b"], rows, note="Exact."), curve]
        return Page("Squares", f"The sum is {results['sum']['sum']:g}", [Section("Results", ["1 < 2."], parts)])


@pytest.fixture
def squares(tmp_path):
    def make(*values, kind=Squares, **options):
        return kind(Config(output="out", values=list(values), **options), tmp_path / "study")

    return make


@pytest.fixture
def Squares_():  # noqa: N802
    return Squares
