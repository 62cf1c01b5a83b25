"""The output directory of a run."""

import json
from pathlib import Path

import pytest

from bftembed.errors import TuneError
from bftembed.models.files import resolve_model
from bftembed.tune.config import parse_config
from bftembed.tune.data.dataset import TokenDataset
from bftembed.tune.loss import kinds
from bftembed.tune.output import claim, finished_report, held, run_settings

FILES = type("Files", (), {"revision": "sha256:0"})()
DATA = TokenDataset([(range(5), [False, True, True, True, True])], max_length=8)


def settings(processes=1, dataset=DATA, **changes):
    config = parse_config({"data": {"train": "a.jsonl"}, "output": "out", **changes})
    return run_settings(config, processes, FILES, None, dataset)


def whole_checkpoint(folder):
    (folder / "checkpoint-2").mkdir()
    (folder / "checkpoint-2" / "complete").touch()


def test_one_run_at_a_time(tmp_path):
    with held(tmp_path / "a" / "out"):
        with pytest.raises(TuneError, match="Another run is writing into"), held(tmp_path / "a" / "out"):
            pass
        with held(tmp_path / "b"):
            pass
    with held(tmp_path / "a" / "out"):
        pass


def test_only_the_first_process_holds_it(tmp_path, monkeypatch):
    with held(tmp_path):
        monkeypatch.setenv("RANK", "1")
        with held(tmp_path):
            pass


def test_a_file_in_its_place(tmp_path):
    (tmp_path / "out").touch()
    for output in (tmp_path / "out", tmp_path / "out" / "under", tmp_path / "a\0b"):
        with pytest.raises(TuneError, match="cannot be made or written to"), held(output):
            pass


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"objective": "sft"}, "`objective.name` was 'bft' and is 'sft'"),
        ({"objective": {"window": 8}}, "`objective.window` was 256 and is 8"),
        ({"training": {"learning_rate": 1e-5}}, "`training.learning_rate` was 0.0002 and is 1e-05"),
        ({"training": {"trainer": {"adam_beta2": 0.9}}}, "`training.trainer` was {} and is {'adam_beta2': 0.9}"),
        ({"training": {"batch_size": 8}}, "accumulation_steps x processes` was 4 and is 8"),
        ({"lora": {"r": 4}}, "`lora.r` was 16 and is 4"),
        ({"lora": None}, "`lora.r` was 16 and is None"),
        ({"data": {"train": "a.jsonl", "packing": True}}, "`data.packing` was False and is True"),
    ],
)
def test_another_set_up_does_not_go_on_from_a_checkpoint(tmp_path, changes, message):
    claim(tmp_path, settings())
    claim(tmp_path, settings(**changes))  # nothing of the first is left that could be mixed
    claim(tmp_path, settings())
    whole_checkpoint(tmp_path)
    with pytest.raises(TuneError, match="holds a run that was set up otherwise") as caught:
        claim(tmp_path, settings(**changes))
    assert message in str(caught.value)
    assert json.loads((tmp_path / "bft_run.json").read_text()) == settings()


def test_other_data_do_not_go_on(tmp_path):
    claim(tmp_path, settings())
    whole_checkpoint(tmp_path)
    other = TokenDataset([(range(5), [False, False, True, True, True])], max_length=8)
    with pytest.raises(TuneError, match=r"`data.train` was"):
        claim(tmp_path, settings(dataset=other))


def test_what_changes_no_loss_curve_may_change(tmp_path):
    claim(tmp_path, settings(training={"batch_size": 4, "accumulation_steps": 2}))
    whole_checkpoint(tmp_path)
    claim(tmp_path, settings(2, training={"batch_size": 1, "accumulation_steps": 4}))
    rest = {"save_steps": 3, "eval_steps": 3, "log_steps": 3, "keep_checkpoints": 1, "gradient_checkpointing": True}
    claim(tmp_path, settings(training={"batch_size": 2, "accumulation_steps": 4, **rest}))


def test_a_file_that_was_changed_does_not_go_on(tmp_path, monkeypatch):
    monkeypatch.setattr(kinds, "_KINDS", dict(kinds._KINDS))
    path = tmp_path / "mine.py"
    found = []
    for factor in (1, 2):
        path.write_text(f"def weigh(logprobs, lengths): return {factor} * logprobs.exp()")
        kinds._KINDS.pop(f"{path}:weigh", None)  # as in another process
        found.append(settings(objective=f"{path}:weigh"))
    assert found[0]["objective.name"] == found[1]["objective.name"]
    whole_checkpoint(tmp_path)
    (tmp_path / "bft_run.json").write_text(json.dumps(found[0]))
    claim(tmp_path, found[0])
    with pytest.raises(TuneError, match=r"`objective.source` was 'sha256:.*' and is 'sha256:"):
        claim(tmp_path, found[1])


def test_a_run_from_before_a_setting_goes_on_and_is_known_as_ended(tmp_path):
    whole_checkpoint(tmp_path)
    before = settings()
    assert before.pop("objective.weights_from") == "model"
    (tmp_path / "bft_run.json").write_text(json.dumps(before))
    (tmp_path / "bft_report.json").write_text(json.dumps({"steps": 3}))
    claim(tmp_path, settings())
    assert finished_report(tmp_path, settings()) == {"steps": 3}
    other = settings(objective={"name": "bft", "weights_from": "reference"})
    assert finished_report(tmp_path, other) is None
    with pytest.raises(TuneError, match=r"`objective.weights_from` was 'model' and is 'reference'"):
        claim(tmp_path, other)


def test_a_run_that_version_0_1_began_goes_on(tmp_path):
    directory = Path(__file__).parents[1] / "profiles" / "store_250848a" / "model"
    files = resolve_model(str(directory))
    before = settings() | {"model": "sha256:64d80d3179fa3189cfc3da4ba6e133c05f4565a5aeb05830094f31a50fb8ec6a"}
    (tmp_path / "bft_run.json").write_text(json.dumps(before))
    whole_checkpoint(tmp_path)
    claim(tmp_path, settings() | {"model": files.revision}, model=files, adapter=None)
    with pytest.raises(TuneError, match="`model` was 'sha256:64d8"):
        claim(tmp_path, settings() | {"model": "sha256:1"}, adapter=None)


@pytest.mark.parametrize("text", ["{", "[]", "", "3"])
def test_damaged_files(tmp_path, text):
    """Without its report a run has not ended; without its settings nothing can be compared."""
    claim(tmp_path, settings())
    (tmp_path / "bft_report.json").write_text(text)
    assert finished_report(tmp_path, settings()) is None
    (tmp_path / "bft_run.json").write_text(text)
    for look in (finished_report, claim):
        with pytest.raises(TuneError, match=r"bft_run.json` is damaged.*remove .* to train anew"):
            look(tmp_path, settings())


def test_an_installed_objective_that_was_changed_does_not_go_on(tmp_path, installed, monkeypatch):
    monkeypatch.setattr(kinds, "_KINDS", dict(kinds._KINDS))
    code = "def weigh(logprobs, lengths): return {} * logprobs.exp()"
    installed("plug_one", code.format(1), "[bftembed.objectives]\nplugged = plug_one:weigh\n")
    before = settings(objective="plugged")
    (tmp_path / "plug_one.py").write_text(code.format(2))
    kinds._KINDS.pop("plugged")  # as in another process
    whole_checkpoint(tmp_path)
    (tmp_path / "bft_run.json").write_text(json.dumps(before))
    with pytest.raises(TuneError, match=r"`objective.source` was 'sha256:.*' and is 'sha256:"):
        claim(tmp_path, settings(objective="plugged"))
