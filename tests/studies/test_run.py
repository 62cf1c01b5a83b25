"""Cells are run once, killed runs go on, and results of other settings are refused."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import filelock
import pytest
from typer.testing import CliRunner

from bftembed.cli import main
from bftembed.errors import DataError, InputError
from bftembed.studies.base import Cell, Cost
from bftembed.studies.run import plan_study, run_study

#: Sleeps in every cell, so that it can be killed in any of them.
SLOW = """
import importlib.util, sys, time
from pathlib import Path

spec = importlib.util.spec_from_file_location("made", sys.argv[1])
made = importlib.util.module_from_spec(spec)
spec.loader.exec_module(made)


class Slow(made.Squares):
    def run(self, cell, results):
        time.sleep(float(sys.argv[3]))
        return super().run(cell, results)


from bftembed.studies.run import run_study
run_study(Slow(made.Config(output="out", values=[1, 2, 3, 4]), Path(sys.argv[2])))
"""


def runs(study):
    return {path.parent.name: path.read_text() for path in study.directory.glob("work/*/runs")}


def test_every_cell_is_run_once_and_the_report_is_the_same(squares):
    study = squares(2, 3)
    page = run_study(study)
    first = page.read_bytes(), page.with_suffix(".md").read_bytes()
    assert b"The sum is 13" in first[0]
    assert run_study(squares(2, 3)) == page
    assert (page.read_bytes(), page.with_suffix(".md").read_bytes()) == first
    assert runs(study) == {"square-2": "x", "square-3": "x", "sum": "x"}


def test_another_value_runs_its_cell_alone(squares):
    run_study(squares(2, 3))
    with pytest.raises(DataError, match=r"square-2.json` is of a run with other settings \(factor\)"):
        run_study(squares(2, 3, factor=2.0))
    (squares().directory / "cells" / "sum.json").unlink()
    assert b"The sum is 29" in run_study(squares(2, 3, 4)).read_bytes()
    assert runs(squares())["square-2"] == "x"


def test_a_result_is_read_as_it_was_written(squares, Squares_):
    """What a cell gives in one run is what a later run reads of it."""
    seen = []

    class Noting(Squares_):
        def page(self, results):
            seen.append(json.dumps(results, sort_keys=True))
            assert results["sum"]["pair"] == [1, 2]
            return super().page(results)

    for _ in range(2):
        run_study(squares(1, kind=Noting))
    assert seen[0] == seen[1]


@pytest.mark.parametrize("seconds", [0.2, 0.9, 1.6])
def test_killed_at_any_moment_it_goes_on(squares, Squares_, tmp_path, seconds):
    command = [
        sys.executable,
        "-c",
        SLOW,
        str(Path(__file__).with_name("conftest.py")),
        str(tmp_path / "killed"),
        "0.3",
    ]
    process = subprocess.Popen(command)
    while process.poll() is None and not (tmp_path / "killed" / "cells").exists():
        time.sleep(0.02)
    time.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    process.wait()
    whole = run_study(squares(1, 2, 3, 4))
    run_study(Squares_(squares(1, 2, 3, 4).config, tmp_path / "killed"))
    for name in ("report.html", "report.md"):
        assert (tmp_path / "killed" / name).read_bytes() == whole.with_name(name).read_bytes()
    assert not list((tmp_path / "killed").rglob(".*.json"))


def test_a_cell_that_another_process_is_at_is_left_to_it(squares, caplog):
    study = squares(1, 2)
    (study.directory / "cells").mkdir(parents=True)
    message = "2 of 3 cells are left to other processes, the first is `square-1`"
    held = filelock.FileLock(study.directory / "cells" / "square-1.lock")
    with pytest.raises(DataError, match=message), held:
        run_study(study)
    assert "Another process is at the cell `square-1`" in caplog.text
    assert runs(study) == {"square-2": "x"}
    assert b"The sum is 5" in run_study(study).read_bytes()


def test_the_plan(squares):
    study = squares(1, 2)
    plan = plan_study(study)
    assert (plan.runs, plan.finished, plan.cost) == (3, 0, Cost(300, 80, 60))
    assert plan.hours == pytest.approx((300 / 150 + 80 / 400 + 60 / 60) / 3600)
    assert str(plan).startswith("3 runs to do, 0 finished; tokens: 300 trained on, 80 read, 60 generated; about 0.00")
    assert "by the speeds" in str(plan)
    assert not study.directory.exists()
    run_study(study)
    path = study.directory / "cells" / "square-1.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"seconds": 3600}))
    (study.directory / "cells" / "square-2.json").unlink()
    plan = plan_study(study)
    # Cells of 2.1 seconds by the speeds took an hour.
    assert plan.hours == pytest.approx(1.1 / 2.1, rel=0.01)
    assert "finished cells" in str(plan)


def test_what_cannot_be_run(squares, Squares_):
    class Broken(Squares_):
        wrong = ()

        @property
        def cells(self):
            return self.wrong

    for cells in ([], [Cell("a", {}), Cell("a", {})], [Cell("a/b", {})], [Cell("a", {}, needs=("b",)), Cell("b", {})]):
        Broken.wrong = cells
        with pytest.raises(InputError, match=r"no cells|there twice"):
            run_study(squares(kind=Broken))


def test_a_damaged_result_and_a_full_disk(squares, small_files):
    study = squares(1)
    run_study(study)
    path = study.directory / "cells" / "square-1.json"
    path.write_text(path.read_text()[:20])
    with pytest.raises(DataError, match=r"cannot be read .*Remove it to run this cell again"):
        run_study(study)
    path.unlink()
    with pytest.raises(DataError, match=r"square-1.json` cannot be written.*Free some space"), small_files(20):
        run_study(study)
    assert not path.exists()
    with pytest.raises(DataError, match=r"report .*cannot be written.*Free some space"), small_files(500):
        run_study(study)


@pytest.mark.parametrize(
    "changes", [{"settings": 3}, {"result": [1]}, {"seconds": "long"}, {"seconds": float("nan")}, {"seconds": -1}]
)
def test_a_result_that_is_none(squares, changes):
    study = squares(1)
    run_study(study)
    path = study.directory / "cells" / "square-1.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"digest": "another"} | changes))
    for run in (run_study, plan_study):
        with pytest.raises(DataError, match=r"square-1.json` cannot be read .*Remove it to run this cell again"):
            run(study)


def test_an_output_that_is_a_file(squares):
    study = squares(1)
    study.directory.write_text("")
    for run in (run_study, plan_study):
        with pytest.raises(DataError, match=r"study` cannot be the directory of the results.*Choose another output"):
            run(study)


def test_a_file_where_cells_keep_theirs(squares):
    study = squares(1)
    study.directory.mkdir()
    (study.directory / "work").write_text("")
    with pytest.raises(DataError, match=r"cell `square-1` cannot be run: .*Mend that, and run again"):
        run_study(study)


def test_by_the_command(squares, monkeypatch):
    offered = squares(2, 3)
    monkeypatch.setattr("bftembed.studies.open_study", lambda *_, **__: offered)
    invoke = CliRunner().invoke
    planned = invoke(main.app, ["study", "squares", "any", "--dry-run"], catch_exceptions=False)
    assert planned.output.startswith("3 runs to do, 0 finished")
    assert not offered.directory.exists()
    run = invoke(main.app, ["study", "squares", "any"], catch_exceptions=False)
    assert run.output.splitlines()[-2:] == ["The sum is 13", f"The report: {offered.directory / 'report.html'}"]


def test_an_output_that_cannot_be(squares, Squares_):
    study = squares(1)
    for run in (run_study, plan_study):
        with pytest.raises(DataError, match="NUL byte"):
            run(Squares_(study.config, study.directory / "a\0b"))
