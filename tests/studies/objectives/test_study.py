"""The study on a tiny matrix: what it leaves, what it survives, what it refuses."""

import json
import shutil
import signal
import subprocess
import sys
import time

import pytest
import yaml

from bftembed.errors import DataError, InputError
from bftembed.studies.objectives.config import ObjectivesConfig
from bftembed.studies.objectives.study import Objectives
from bftembed.studies.run import plan_study, run_study

RUN = (
    "import sys, yaml; from pathlib import Path\n"
    "from bftembed.studies.objectives.config import ObjectivesConfig\n"
    "from bftembed.studies.objectives.study import Objectives\n"
    "from bftembed.studies.run import run_study\n"
    "config = ObjectivesConfig.model_validate(yaml.safe_load(Path(sys.argv[1]).read_text()))\n"
    "run_study(Objectives(config, Path(sys.argv[2])))\n"
)


def made(tiny, folder, **changes):
    return Objectives(ObjectivesConfig.model_validate(tiny | changes), folder)


def results(folder):
    """What cells found; how long they took is another time each time."""
    found = {path.name: json.loads(path.read_text()) for path in sorted((folder / "cells").glob("*.json"))}
    return {name: (each["digest"], json.dumps(each["result"])) for name, each in found.items()}


def reports(folder):
    return {name: (folder / name).read_bytes() for name in ("report.html", "report.md")}


def test_what_a_study_leaves(finished):
    found = {
        path.stem: json.loads(path.read_text())["result"] for path in (finished.directory / "cells").glob("*.json")
    }
    assert len(found) == 1 + 2 * 2
    run = found["sft_lr0.01_seed0"]
    assert len(run["training"]["supervised_tokens"]) == 2
    assert run["training"]["mean_token_weight"] == 1
    assert found["bft_lr0.01_seed0"]["training"]["mean_token_weight"] < 1
    assert set(run["sets"]) == {"validation", "unseen", "text"}
    assert [len(run["sets"][name]["nll"]) for name in ("validation", "unseen", "text")] == [3, 4, 2]
    assert sum(run["sets"]["unseen"]["nll"]) < sum(found["base"]["sets"]["unseen"]["nll"])
    text = (finished.directory / "report.md").read_text()
    assert "Objectives of fine-tuning" in text
    assert str(finished.directory) not in text


def test_cells_of_one_seed_saw_the_same_tokens(finished):
    found = [json.loads(path.read_text())["result"] for path in (finished.directory / "cells").glob("*_seed0.json")]
    assert len({tuple(run["training"]["supervised_tokens"]) for run in found}) == 1


def test_a_finished_study_computes_nothing(finished):
    written = {path: path.stat().st_mtime_ns for path in (finished.directory / "cells").rglob("*.json")}
    before = reports(finished.directory)
    run_study(finished)
    assert {path: path.stat().st_mtime_ns for path in (finished.directory / "cells").rglob("*.json")} == written
    assert reports(finished.directory) == before
    assert plan_study(finished).runs == 0


def start_and_kill(tiny, folder, is_there):
    (folder / "study.yaml").write_text(yaml.safe_dump(tiny))
    command = [sys.executable, "-c", RUN, str(folder / "study.yaml"), str(folder / "out")]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    while process.poll() is None and not is_there():
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()


def test_killed_within_a_cell(finished, tiny, tmp_path):
    """The last two cells once more, the first of them killed after a checkpoint."""
    out = shutil.copytree(finished.directory, tmp_path / "out")
    for name in ("bft_lr0.001_seed0", "bft_lr0.01_seed0"):
        (out / f"cells/{name}.json").unlink()
        shutil.rmtree(out / "work" / name)
    for path in out.glob("report.*"):
        path.unlink()
    start_and_kill(tiny, tmp_path, (out / "work/bft_lr0.001_seed0/run/checkpoint-1/complete").exists)
    assert not (out / "cells/bft_lr0.001_seed0.json").exists()
    run_study(made(tiny, out))
    assert results(out) == results(finished.directory)
    assert reports(out) == reports(finished.directory)


@pytest.mark.slow
def test_killed_again_and_again_within_measures_and_within_the_report(finished, tiny, tmp_path):
    out = tmp_path / "out"
    start_and_kill(tiny, tmp_path, (out / "work/sft_lr0.001_seed0/answers.sqlite").exists)
    start_and_kill(tiny, tmp_path, (out / "work/bft_lr0.01_seed0/run").exists)
    start_and_kill(tiny, tmp_path, lambda: any(out.glob("*report*")))
    run_study(made(tiny, out))
    assert results(out) == results(finished.directory)
    assert reports(out) == reports(finished.directory)


def test_more_objectives_rates_and_seeds_leave_finished_cells(finished, tiny, tmp_path):
    wider = made(
        tiny,
        finished.directory,
        objectives=tiny["objectives"] | {"dft": "dft"},
        learning_rates=[1e-3, 1e-2, 3e-3],
        seeds=[0, 1],
    )
    plan = plan_study(wider)
    assert (plan.finished, plan.runs) == (5, 2 * 3 * 3 - 4)
    assert plan.cost.trained > 0


def test_another_recipe_is_refused(finished, tiny):
    other = tiny["recipe"] | {"training": tiny["recipe"]["training"] | {"max_steps": 3}}
    with pytest.raises(DataError, match="other settings"):
        run_study(made(tiny, finished.directory, recipe=other))


def test_the_file_of_an_objective_is_a_part_of_its_settings(tiny, tmp_path):
    (tmp_path / "mine.py").write_text("def f(logprobs, lengths):\n    return logprobs.exp()\n")
    mine = {"name": f"{tmp_path / 'mine.py'}:f"}
    config = ObjectivesConfig.model_validate(tiny | {"objectives": {"sft": "sft", "mine": mine}, "paths": {}})
    cells = {cell.name: cell.settings for cell in Objectives(config, tmp_path).cells}
    assert cells["mine_lr0.001_seed0"]["objective"]["source"].startswith("sha256:")
    assert cells["sft_lr0.001_seed0"]["objective"] == {"name": "sft"}


def test_a_rate_that_diverges_is_a_result(tiny, tmp_path):
    recipe = tiny["recipe"] | {"training": tiny["recipe"]["training"] | {"max_grad_norm": 1e30}}
    study = made(
        tiny, tmp_path, recipe=recipe, learning_rates=[1e-3, 1e30], seeds=[0], objectives={"sft": "sft"}, paths={}
    )
    run_study(study)
    assert json.loads((tmp_path / "cells/sft_lr1e30_seed0.json").read_text())["result"] == {"diverged": True}
    text = (tmp_path / "report.md").read_text()
    assert "diverged (1 of 1)" in text
    assert "Uninformative: there is one seed" in text


def test_data_that_cannot_be_used(tiny, tmp_path):
    empty = tmp_path / "empty.jsonl"
    empty.write_text("")
    with pytest.raises(DataError, match=r"empty\.jsonl` holds no samples"):
        run_study(made(tiny, tmp_path, data=tiny["data"] | {"evaluation": {"unseen": str(empty)}}))
    with pytest.raises(DataError, match="no training data at"):
        run_study(made(tiny, tmp_path, data=tiny["data"] | {"validation": str(tmp_path / "absent.jsonl")}))
    with pytest.raises(InputError, match=r"Profiles of 16 genes are wanted, and .*train\.jsonl` has rows of 0"):
        run_study(made(tiny, tmp_path, profiles={}))
