"""A whole study of a tiny model: two starts, three steps, two questions a step, two answers each."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import yaml

from bftembed.errors import DataError, InputError, TuneError
from bftembed.models.files import resolve_model
from bftembed.studies.grpo.config import GRPOStudyConfig
from bftembed.studies.grpo.study import GRPOStudy
from bftembed.studies.run import plan_study, run_study

pytest.importorskip("trl", reason="pip install 'bftembed[tune]'")
pytest.importorskip("peft", reason="pip install 'bftembed[tune]'")


def written(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Directory with samples and questions."""
    place = tmp_path_factory.mktemp("files")
    texts = [{"prompt": f"Tell me about gene {n}.", "response": f"Gene {n} binds DNA in cells."} for n in range(4)]
    for name in ("train", "validation", "general"):
        written(place / f"{name}.jsonl", texts[: 4 if name == "train" else 2])
    questions = [
        {
            "prompt": f"Does MYC rise in {n}? End with a line: increase or decrease.",
            "answer": ("increase", "decrease")[n % 2],
            "group": "MYC" if n < 2 else "TP53",
        }
        for n in range(4)
    ]
    for name in ("questions", "test"):
        written(place / f"{name}.jsonl", questions)
    return place


def values(files, model, output, **changes):
    return {
        "output": str(output),
        "recipe": {
            "model": str(model),
            "lora": {"r": 2, "lora_alpha": 4},
            "training": {"max_steps": 2, "batch_size": 2},
        },
        "corpus": {name: str(files / f"{name}.jsonl") for name in ("train", "validation", "general")},
        "starts": {"sft": {"objective": "sft", "learning_rates": [0.01]}, "base": {}},
        "seeds": [0],
        "grpo_seeds": 1,
        "grpo": {
            "steps": 3,
            "prompts_per_step": 2,
            "num_generations": 2,
            "batch_size": 4,
            "max_new_tokens": 16,
            "save_steps": 1,
        },
        "questions": {"source": str(files / "questions.jsonl"), "test": str(files / "test.jsonl"), "n_predict": 2},
        "n_samples": 2,
        "passes": [1, 2],
        "random_reward": ["base"],
        "positive_control": "base",
        **changes,
    }


def study(*given, **changes):
    made = values(*given, **changes)
    return GRPOStudy(GRPOStudyConfig.model_validate(made), given[2])


@pytest.fixture(scope="module")
def finished(files, tiny_model, tmp_path_factory):
    output = tmp_path_factory.mktemp("study") / "whole"
    run_study(study(files, tiny_model, output))
    return output


def test_the_whole_matrix_is_run_and_reported(finished, files, tiny_model):
    cells = {path.stem for path in (finished / "cells").glob("*.json")}
    assert cells == {"start-sft-s0", "start-base", "grpo-sft-s0-g0", "grpo-base-s0-g0", "random-base", "positive"}
    report = (finished / "report.md").read_text()
    # A model of random weights gives no answer: nothing was learned from its wrong ones.
    assert report.split("\n\n")[1].startswith("**uninformative: answered. Answered of `sft` 0.000, needed 0.9.")
    assert "| sft | groups with signal | 0.000 | 0.2 | NO |" in report
    assert "| base | accuracy by rank | " in report
    assert "| test | 4 | 0.500 (decrease) |" in report
    assert (finished / "report.html").read_text().count("<svg") == 5
    plan = plan_study(study(files, tiny_model, finished))
    assert (plan.runs, plan.finished) == (0, 6)


def test_each_result_names_the_one_file_of_settings(finished):
    cells = [json.loads(path.read_text()) for path in (finished / "cells").glob("*.json")]
    assert len({cell["settings"]["grpo"] for cell in cells}) == 1
    trained = json.loads((finished / "cells" / "grpo-sft-s0-g0.json").read_text())["result"]
    assert all(len(curve) == 3 for curve in trained["trajectory"].values())
    assert abs(trained["kl"]) < 1e-3  # no signal, no step: what is sampled is likely as before
    coin = json.loads((finished / "cells" / "random-base.json").read_text())["result"]
    assert max(coin["trajectory"]["reward"]) > 0


TUNED = {"sft": {"objective": "sft", "learning_rates": [0.01]}, "bft": {"objective": "bft", "learning_rates": [0.01]}}
ARM = {"starts": TUNED, "random_reward": ["sft"], "positive_control": "sft", "matched": {"checkpoints": 2}}


def test_the_matched_arm_leaves_the_other_cells_as_they_are_and_is_counted(files, tiny_model, tmp_path):
    plain, both = (study(files, tiny_model, tmp_path, **{**ARM, "matched": arm}) for arm in (None, {"checkpoints": 4}))
    digests = {cell.name: cell.digest for cell in plain.cells}
    more = [cell for cell in both.cells if cell.name not in digests]
    assert {cell.name: cell.digest for cell in both.cells if cell.name in digests} == digests
    assert [cell.name for cell in more if "sft" in cell.name] == ["steps-sft-s0", "matched-sft-s0", "matched-sft-s0-g0"]
    assert set(more[2].needs) == {"start-sft-s0", "steps-sft-s0", "start-bft-s0", "steps-bft-s0"}
    exam, asked, run = 4 * (2 + 1) * 16, 2 * 2 * 16, 3 * 2 * 2 * 16  # tokens that are written
    assert [cell.cost.generated for cell in more if "sft" in cell.name] == [3 * asked, exam, run + exam]
    assert plan_study(both).cost.generated - plan_study(plain).cost.generated == 2 * (3 * asked + 2 * exam + run)


def test_reinforcement_goes_out_from_a_step_of_a_tuning_that_had_ended(finished, files, tiny_model, tmp_path):
    output = tmp_path / "more"
    shutil.copytree(finished, output)
    made = study(files, tiny_model, output, **ARM)
    cells = {cell.name: cell for cell in made.cells}
    results = {"start-sft-s0": json.loads((output / "cells" / "start-sft-s0.json").read_text())["result"]}
    along = made.run(cells["steps-sft-s0"], results)
    assert (along["steps"], np.shape(along["right"])) == ([1], (1, 2))
    checkpoint = output / "work" / "tuned-sft-0.01-s0-in-2" / "checkpoint-1"
    assert sorted(path.name for path in checkpoint.parent.glob("checkpoint-*")) == ["checkpoint-1"]
    results |= {
        "steps-sft-s0": along | {"right": [[0, 0]]},
        "steps-bft-s0": along | {"right": [[0, 0]]},
        "start-sft-s0": results["start-sft-s0"] | {"predictors": {"right": [1, 1]}},
        "start-bft-s0": {"predictors": {"right": [0, 0]}},
    }
    assert made.run(cells["matched-bft-s0"], results) == {"same_as": "start-bft-s0"}
    results["matched-bft-s0"] = {"same_as": "start-bft-s0"}
    assert made.run(cells["matched-bft-s0-g0"], results) == {"same_as": "grpo-bft-s0-g0"}
    results["matched-sft-s0"] = found = made.run(cells["matched-sft-s0"], results)
    assert (found["step"], found["number"]) == (1, 0)
    assert found["files"] != results["start-sft-s0"]["files"]
    trained = made.run(cells["matched-sft-s0-g0"], results)
    assert len(trained["trajectory"]["reward"]) == 3
    report = json.loads((output / "work" / "matched-sft-s0-g0" / "run" / "bft_grpo.json").read_text())
    assert report["adapter"] == resolve_model(str(checkpoint)).revision


def test_checkpoints_without_whole_models_are_refused(finished, files, tiny_model, tmp_path, monkeypatch):
    monkeypatch.setattr("bftembed.studies.grpo.study.kept", lambda place, parts: None)
    monkeypatch.setattr("bftembed.studies.grpo.study.train", lambda recipe, *, place, **options: place)
    made = study(files, tiny_model, tmp_path, **ARM)
    cell = next(cell for cell in made.cells if cell.name == "steps-sft-s0")
    with pytest.raises(TuneError, match="hold no whole models, as where accelerate writes them in shards"):
        made.run(cell, {"start-sft-s0": {"learning_rate": 0.01}})


def killed_when(reached, config):
    """Run a study from a file as a process of its own, which is killed as soon as `reached` says so."""
    command = [sys.executable, "-m", "bftembed", "study", "grpo", str(config)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ)
    while not reached():
        assert process.poll() is None
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()


@pytest.fixture
def learning(files, tmp_path):
    """Changes by which one start learns one answer to the questions, and the other next to nothing."""
    rows = [json.loads(line) for line in (files / "questions.jsonl").read_text().splitlines()]
    answers = [{"prompt": row["prompt"], "response": "Answer: increase"} for row in rows]
    train = written(tmp_path / "train.jsonl", answers)
    training = {"max_steps": 24, "batch_size": 4, "schedule": "constant", "warmup": 0, "save_steps": 6}
    rates = {"bft": [1e-6], "sft": [0.005]}
    return ARM | {
        "starts": {label: {"objective": label, "learning_rates": each} for label, each in rates.items()},
        "corpus": values(files, "", "")["corpus"] | {"train": train},
        "recipe": {"lora": None, "training": training},
        "matched": {"checkpoints": 4},
    }


@pytest.mark.slow
def test_killed_at_three_moments_the_report_is_the_same(files, tiny_model, learning, tmp_path):
    learning["recipe"]["model"] = str(tiny_model)
    finished = tmp_path / "whole"
    run_study(study(files, tiny_model, finished, **learning))
    # One start was stopped where it knew as little as the other one, and GRPO went out from there.
    begin = json.loads((finished / "cells" / "matched-sft-s0.json").read_text())["result"]
    assert begin["step"] < 24
    assert "trajectory" in json.loads((finished / "cells" / "matched-sft-s0-g0.json").read_text())["result"]
    output, config = tmp_path / "killed", tmp_path / "study.yaml"
    config.write_text(yaml.safe_dump(values(files, tiny_model, output, **learning)))
    seen = sorted(path.relative_to(finished) for path in finished.rglob("*") if path.is_file())
    moments = random.Random(int(time.time())).sample(range(1, len(seen) - 4), 3)
    for number in sorted(moments):  # as many files as that
        killed_when(lambda number=number: sum(path.is_file() for path in output.rglob("*")) >= number, config)
        assert not (output / "report.md").exists(), moments
    run_study(study(files, tiny_model, output, **learning))
    for name in ("report.md", "report.html"):
        assert (output / name).read_bytes() == (finished / name).read_bytes(), moments


def test_results_of_other_settings_are_refused(finished, files, tiny_model):
    other = values(files, tiny_model, finished)["grpo"] | {"learning_rate": 1e-3}
    with pytest.raises(DataError, match=r"other settings \(grpo\)"):
        run_study(study(files, tiny_model, finished, grpo=other))


def test_the_file_of_an_objective_is_a_part_of_its_settings(files, tiny_model, tmp_path):
    (tmp_path / "mine.py").write_text("def f(logprobs, lengths):\n    return logprobs.exp()\n")
    mine = {"name": f"{tmp_path / 'mine.py'}:f"}
    starts = {"sft": {"objective": "sft"}, "mine": {"objective": mine}}
    made = study(files, tiny_model, tmp_path, starts=starts, random_reward=[], positive_control=None)
    cells = {cell.name: cell.settings["start"] for cell in made.cells}
    assert cells["start-mine-s0"]["source"] == cells["grpo-mine-s0-g0"]["source"]
    assert "source" not in cells["start-sft-s0"]


def test_starts_from_another_model_are_refused(files, tiny_model, tmp_path):
    from transformers import LlamaConfig, LlamaForCausalLM

    other = tmp_path / "other"
    shutil.copytree(tiny_model, other)
    LlamaForCausalLM(LlamaConfig.from_pretrained(tiny_model, hidden_size=16)).save_pretrained(other)
    starts = {"sft": {"objective": "sft"}, "mine": {"model": str(other)}}
    with pytest.raises(InputError, match="start `mine` is of another model"):
        plan_study(study(files, tiny_model, tmp_path / "out", starts=starts, random_reward=[], positive_control=None))


def test_fewer_questions_than_a_step_are_refused(files, tiny_model, tmp_path):
    grpo = {"prompts_per_step": 5, "num_generations": 2, "batch_size": 2}
    with pytest.raises(InputError, match="asks 5 questions, and there are 4"):
        plan_study(study(files, tiny_model, tmp_path / "out", grpo=grpo))


def test_learning_rates_are_chosen_by_validation_with_the_first_seed(files, tiny_model, tmp_path):
    starts = {"sft": {"objective": "sft", "learning_rates": [0.1, 0.01]}, "base": {}}
    made = study(files, tiny_model, tmp_path / "out", starts=starts, seeds=[3, 4])
    cells = {cell.name: cell for cell in made.cells}
    assert cells["start-sft-s4"].needs == ("rate-sft-0.1", "rate-sft-0.01")
    assert list(cells)[:2] == ["rate-sft-0.1", "rate-sft-0.01"]
    assert plan_study(made).cost.trained > 0
