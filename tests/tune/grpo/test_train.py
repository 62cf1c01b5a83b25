import json
import logging
import math
import shutil
import sys

import numpy as np
import pytest
from pydantic import ValidationError
from safetensors.numpy import load_file

from bftembed.errors import InputError, MissingExtraError, ModelError, TuneError
from bftembed.models import causal
from bftembed.models.files import resolve_adapted
from bftembed.tune.config import GRPOSettings, Lora, parse_config
from bftembed.tune.grpo import train
from bftembed.tune.grpo.train import run_grpo, train_grpo

pytest.importorskip("trl", reason="pip install 'bftembed[tune]'")
pytest.importorskip("peft", reason="pip install 'bftembed[tune]'")

LORA = Lora(r=2, lora_alpha=4)
QUESTIONS = [
    {"prompt": f"Is {n} even? Answer with yes or no.", "answer": ("yes", "no")[n % 2], "choices": ["yes", "no"]}
    for n in range(8)
]


def settings(**changes):
    values = {"steps": 2, "prompts_per_step": 2, "num_generations": 2, "batch_size": 2, "max_new_tokens": 3}
    return GRPOSettings(**values | {"learning_rate": 0.01} | changes)


class OneOfTwo(train.BinaryReward):
    """Every second completion is right: each group has a gradient, whatever a random model writes."""

    completions = 0

    def __call__(self, completions, answer, choices, **options):
        OneOfTwo.completions += len(completions)
        super().__call__(completions, answer, choices, **options)
        return [float(index % 2) for index in range(len(completions))]


class NeverRight(train.BinaryReward):
    """As if the model never gave an answer."""

    def __call__(self, completions, answer, choices, **options):
        return super().__call__(["what?"] * len(completions), answer, choices, **options)


@pytest.fixture
def varied(monkeypatch):
    monkeypatch.setattr(train, "BinaryReward", OneOfTwo)


def entries(directory):
    return [json.loads(line) for line in (directory / "log.jsonl").read_text().splitlines()]


def adapter(directory):
    return load_file(directory / "adapter_model.safetensors")


@pytest.fixture(scope="module")
def trained(tiny_model, tmp_path_factory):
    """Directory and result of a run with a fresh adapter, two groups a step in two micro-batches each."""
    output = tmp_path_factory.mktemp("grpo") / "adapter"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train, "BinaryReward", OneOfTwo)
        patch.setattr(OneOfTwo, "completions", 0)
        result = train_grpo(str(tiny_model), QUESTIONS, output, settings=settings(steps=3, beta=0.1), lora=LORA)
        assert OneOfTwo.completions == 3 * 2 * 2
    return output, result


def test_every_step_is_logged_with_reward_shares_and_divergence(trained):
    output, result = trained
    steps = [entry for entry in entries(output) if "reward" in entry]
    assert [entry["step"] for entry in steps] == [1, 2, 3]
    for entry in steps:
        assert entry["reward"] == 0.5
        assert entry["answered"] + entry["unparsed"] == pytest.approx(1)
        assert entry["frac_reward_zero_std"] == 0
        assert math.isfinite(entry["kl"])
    assert steps[0]["kl"] == pytest.approx(0, abs=1e-6)  # measured before the first update
    assert steps[2]["kl"] > 0
    assert result.rewards == (0.5, 0.5, 0.5)
    assert result.unparsed == pytest.approx(np.mean([entry["unparsed"] for entry in steps]))
    assert (result.answered, result.without_signal) == (pytest.approx(1 - result.unparsed), 0)


def test_the_report_says_what_was_done(trained, tiny_model):
    output, result = trained
    report = json.loads((output / "bft_grpo.json").read_text())
    assert report["revision"] == resolve_adapted(str(tiny_model))[0].revision
    assert report["adapter"] == ""
    assert GRPOSettings(**report["settings"]) == settings(steps=3, beta=0.1)
    assert tuple(report["rewards"]) == result.rewards
    assert f"answered={result.answered:.3f} unparsed={result.unparsed:.3f}" in str(result)


def test_the_adapter_changed_and_can_be_found(trained, tiny_model):
    output, _ = trained
    base, found = resolve_adapted(str(output))
    assert (base.path, found.path) == (tiny_model, output)
    weights = adapter(output)
    assert all(np.abs(values).max() > 0 for name, values in weights.items() if "lora_B" in name)
    assert not (output / "ref").exists()


def test_an_adapter_on_a_model_of_the_hub_is_saved_without_a_warning(tiny_model, tmp_path, monkeypatch):
    original = causal.add_lora

    def add_lora(*arguments, **settings):
        model = original(*arguments, **settings)
        model.peft_config["default"].base_model_name_or_path = "nobody/nothing"
        return model

    monkeypatch.setattr(causal, "add_lora", add_lora)
    train_grpo(str(tiny_model), QUESTIONS, tmp_path / "out", settings=settings(steps=1), lora=LORA)
    config = json.loads((tmp_path / "out" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "nobody/nothing"


def test_the_engine_takes_the_result(trained):
    from bftembed.engines import Request, Sampling, TransformersEngine

    engine = TransformersEngine(str(trained[0]), device="cpu")
    [[done]] = engine.generate([Request("a", "Is it?")], sampling=Sampling(max_new_tokens=2))
    assert done.finish_reason in {"stop", "length"}
    assert engine.describe()["adapter"]


@pytest.mark.usefixtures("varied")
def test_an_adapter_is_trained_further_from_where_it_is(trained, tiny_model, tmp_path):
    first, _ = trained
    output = tmp_path / "second"
    train_grpo(str(first), QUESTIONS, output, settings=settings(learning_rate=1e-4, beta=0.1), lora=Lora(r=7))
    before, after = adapter(first), adapter(output)
    assert before.keys() == after.keys()
    changes = [np.abs(after[name] - before[name]).max() for name in before]
    assert 0 < max(changes) < 1e-3  # two steps of 1e-4: had it begun afresh, all would differ by their size
    assert resolve_adapted(str(output))[0].path == tiny_model
    assert [path.name for path in output.iterdir() if path.is_dir()] == ["checkpoint-2"]
    assert json.loads((output / "bft_grpo.json").read_text())["adapter"].startswith("sha256:")


@pytest.mark.usefixtures("varied")
def test_a_run_is_repeatable(trained, tiny_model, tmp_path):
    again = tmp_path / "again"
    train_grpo(str(tiny_model), QUESTIONS, again, settings=settings(steps=3, beta=0.1), lora=LORA)
    one, two = adapter(trained[0]), adapter(again)
    assert all(np.array_equal(one[name], two[name]) for name in one)


@pytest.mark.usefixtures("varied")
def test_an_adapter_names_the_model_that_it_was_put_on(trained, tiny_model, tmp_path):
    moved, output = tmp_path / "moved", tmp_path / "out"
    shutil.copytree(tiny_model, moved)
    train_grpo(str(moved), QUESTIONS, output, settings=settings(steps=1), adapter=str(trained[0]))
    assert resolve_adapted(str(output))[0].path == moved
    before, after = adapter(trained[0]), adapter(output)
    assert any(not np.array_equal(before[name], after[name]) for name in before)


@pytest.mark.usefixtures("varied")
def test_all_weights_are_trained_without_lora(tiny_model, tmp_path):
    output = tmp_path / "full"
    train_grpo(str(tiny_model), QUESTIONS, output, settings=settings(steps=1, beta=0.1))
    files, found = resolve_adapted(str(output))
    assert (files.path, found) == (output, None)
    before, after = load_file(tiny_model / "model.safetensors"), load_file(output / "model.safetensors")
    assert before.keys() == after.keys()
    assert any(not np.array_equal(before[name], after[name]) for name in before)


@pytest.mark.usefixtures("varied")
def test_a_merged_model_stands_alone(tiny_model, tmp_path):
    lora = Lora(r=2, lora_alpha=4, merge=True)
    train_grpo(str(tiny_model), QUESTIONS, tmp_path / "merged", settings=settings(steps=1), lora=lora)
    assert resolve_adapted(str(tmp_path / "merged"))[1] is None
    assert not (tmp_path / "merged" / "adapter_config.json").exists()


def test_groups_without_signal_change_nothing_and_are_told(tiny_model, tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(train, "BinaryReward", NeverRight)
    with caplog.at_level(logging.INFO, "bftembed"):
        result = train_grpo(str(tiny_model), QUESTIONS, tmp_path / "out", settings=settings(steps=1), lora=LORA)
    assert (result.rewards, result.unparsed, result.without_signal) == ((0.0,), 1.0, 1.0)
    told = [record for record in caplog.records if "100 % of the groups" in record.message]
    assert [record.levelno for record in told] == [logging.WARNING]
    assert "unparsed=1.000" in caplog.text
    weights = adapter(tmp_path / "out")
    assert all(np.abs(values).max() == 0 for name, values in weights.items() if "lora_B" in name)


def test_answers_that_are_all_cut_and_left_out_change_nothing(tiny_model, tmp_path):
    masked = settings(steps=1, reward="random", trainer={"mask_truncated_completions": True})
    train_grpo(str(tiny_model), QUESTIONS, tmp_path / "out", settings=masked, lora=LORA)
    [step, _] = entries(tmp_path / "out")
    assert step["completions/clipped_ratio"] == 1
    assert all(np.isfinite(values).all() for values in adapter(tmp_path / "out").values())
    assert all(np.abs(values).max() == 0 for name, values in adapter(tmp_path / "out").items() if "lora_B" in name)


def test_a_configuration_file_runs(tiny_model, tmp_path):
    data = tmp_path / "questions.jsonl"
    data.write_text("".join(json.dumps(question) + "\n" for question in QUESTIONS))
    config = {
        "model": str(tiny_model),
        "data": {"train": str(data)},
        "output": str(tmp_path / "out"),
        "objective": "grpo",
        "lora": {"r": 2},
        "grpo": settings(steps=1).model_dump(),
    }
    result = run_grpo(parse_config(config))
    assert (result.path, result.steps) == (tmp_path / "out", 1)
    assert result.metrics["answered"] + result.metrics["unparsed"] == pytest.approx(1)
    with pytest.raises(InputError, match="takes its settings from `grpo`"):
        run_grpo(parse_config({**config, "training": {"learning_rate": 1.0}}))
    with pytest.raises(InputError, match=r"takes .* its questions from `data.train`"):
        run_grpo(parse_config({**config, "data": {"train": str(data), "max_length": 64}}))


@pytest.mark.parametrize(
    "wrong", [{"num_generations": 1}, {"steps": 0}, {"temperature": 0}, {"beta": -1}, {"learning_rat": 1}]
)
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(ValidationError):
        settings(**wrong)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_generations": 3, "batch_size": 4}, "2 questions x 3 answers are not a whole number of batches of 4"),
        ({"prompts_per_step": 9}, "asks 9 questions, and there are 8"),
        ({"trainer": {"learning_rat": 1}}, "settings of GRPO are refused.*learning_rat"),
        ({"trainer": {"generation_batch_size": 5}}, "settings of GRPO are refused.*divisible"),
    ],
)
def test_settings_that_do_not_fit_are_refused(tiny_model, tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        train_grpo(str(tiny_model), QUESTIONS, tmp_path / "out", settings=settings(**changes), lora=LORA)


def test_an_adapter_on_the_output_head_is_refused(tiny_model, tmp_path):
    lora = Lora(r=2, target_modules=["lm_head"])
    with pytest.raises(InputError, match=r"TRL refuses.*lm_head"):
        train_grpo(str(tiny_model), QUESTIONS, tmp_path / "out", settings=settings(), lora=lora)


def test_a_directory_with_a_model_is_not_written_over(trained, tiny_model):
    with pytest.raises(TuneError, match=r"set up otherwise: .*`grpo.steps` was 3 and is 2"):
        train_grpo(str(tiny_model), QUESTIONS, trained[0], settings=settings(), lora=LORA)
    with pytest.raises(InputError, match="holds a model already"):
        train_grpo(str(tiny_model), QUESTIONS, tiny_model, settings=settings(), lora=LORA)


def test_an_output_that_is_a_file_is_refused(tiny_model, tmp_path):
    (tmp_path / "out").touch()
    with pytest.raises(TuneError, match="cannot be made or written to"):
        train_grpo(str(tiny_model), QUESTIONS, tmp_path / "out", settings=settings(), lora=LORA)


def test_an_adapter_of_another_model_is_refused(trained, tiny_model, tmp_path):
    from transformers import LlamaConfig, LlamaForCausalLM

    other = tmp_path / "other"
    shutil.copytree(tiny_model, other)
    config = LlamaConfig.from_pretrained(tiny_model, hidden_size=16)
    LlamaForCausalLM(config).save_pretrained(other)
    with pytest.raises(ModelError, match="does not fit the model"):
        train_grpo(str(other), QUESTIONS, tmp_path / "out", settings=settings(), adapter=str(trained[0]))


def test_a_full_disk_is_told(tiny_model, tmp_path, monkeypatch):
    from transformers import Trainer

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Trainer, "_save", full)
    with pytest.raises(TuneError, match=r"could not be saved.*No space left"):
        train_grpo(str(tiny_model), QUESTIONS, tmp_path / "out", settings=settings(steps=1), lora=LORA)


def test_without_trl_the_extra_is_named(tiny_model, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "trl", None)
    with pytest.raises(MissingExtraError, match=r"bftembed\[tune\]"):
        train_grpo(str(tiny_model), QUESTIONS, tmp_path / "out", settings=settings())
