"""A tuning run as a user starts it: what it leaves, what it survives, what it refuses."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file

import bftembed as bft
from bftembed.engines import Request, Sampling, TransformersEngine
from bftembed.errors import DataError, InputError, ModelError, TuneError
from bftembed.tune import tune
from bftembed.tune.checkpoints import last_checkpoint
from bftembed.tune.config import parse_config
from bftembed.tune.logs import read_log

WORDS = ["kinase", "receptor", "membrane", "nucleus", "binds", "activates", "cell", "growth", "signal", "domain"]


def config(folder, model, **changes):
    """Sixteen samples, two epochs of four steps."""
    rng = np.random.default_rng(0)
    data = folder / "train.jsonl"
    rows = [
        {"prompt": f"Describe gene G{index}.", "response": " ".join(rng.choice(WORDS, rng.integers(5, 25)))}
        for index in range(16)
    ]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    training = {"epochs": 2, "batch_size": 2, "accumulation_steps": 2, "learning_rate": 1e-2, "save_steps": 2}
    values = {
        "model": str(model),
        "data": {"train": str(data), "max_length": 128},
        "objective": {"name": "bft", "window": 8},
        "output": str(folder / "out"),
        "training": training | {"seed": 3},
    }
    for key, value in changes.items():
        values[key] = values[key] | value if isinstance(values.get(key), dict) and isinstance(value, dict) else value
    return values


def weights(path):
    return load_file(
        path / ("adapter_model.safetensors" if (path / "adapter_config.json").exists() else "model.safetensors")
    )


def losses(path):
    return [(entry["step"], entry["loss"]) for entry in read_log(path / "log.jsonl") if "loss" in entry]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory, tiny_model):
    folder = tmp_path_factory.mktemp("uninterrupted")
    values = config(folder, tiny_model, data={"validation": str(folder / "train.jsonl")})
    return folder, tune(parse_config(values))


@pytest.fixture
def offline(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def test_what_a_run_leaves(uninterrupted, tiny_model):
    folder, result = uninterrupted
    assert result.path == folder / "out"
    assert result.steps == 8
    log = read_log(result.path / "log.jsonl")
    steps = [entry for entry in log if "loss" in entry]
    assert [entry["step"] for entry in steps] == list(range(1, 9))
    assert {"loss", "grad_norm", "mean_confidence", "mean_token_weight", "clipped_share"} <= steps[0].keys()
    assert steps[-1]["loss"] < steps[0]["loss"]
    assert result.metrics["eval_perplexity"] == pytest.approx(np.exp(result.metrics["eval_loss"]), rel=1e-5)
    report = json.loads((result.path / "bft_report.json").read_text())
    assert report["data"]["samples"] == 16
    assert report["config"]["objective"]["window"] == 8
    assert report["metrics"]["eval_loss"] == result.metrics["eval_loss"]
    assert json.loads((result.path / "bft_objective.json").read_text())["name"] == "bft"
    adapter = json.loads((result.path / "adapter_config.json").read_text())
    assert adapter["base_model_name_or_path"] == str(tiny_model.resolve())
    kept = sorted(path.name for path in result.path.glob("checkpoint-*"))
    assert kept == ["checkpoint-6", "checkpoint-8"]


def test_the_engine_and_the_embedding_take_the_result(uninterrupted, tmp_path, offline):
    _, result = uninterrupted
    engine = TransformersEngine(str(result.path))
    (batch,) = engine.generate([Request("1", user="Describe gene G1.")], sampling=Sampling(max_new_tokens=5))
    assert batch[0].finish_reason in {"stop", "length"}
    adata = bft.embed(
        ["TP53", "MYC"],
        engine=f"transformers:{result.path}",
        sampling=Sampling(max_new_tokens=5),
        store=tmp_path / "store.sqlite",
        facts="none",
        progress=False,
    )
    assert adata.n_obs == 2


def test_a_merged_model_is_the_model_with_its_adapter(uninterrupted, tmp_path, tiny_model, offline):
    values = config(tmp_path, tiny_model, lora={"merge": True})
    merged = tune(parse_config(values)).path
    assert not (merged / "adapter_config.json").exists()
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(tiny_model)
    adapted = PeftModel.from_pretrained(base, uninterrupted[1].path).merge_and_unload().state_dict()
    for name, value in weights(merged).items():
        torch.testing.assert_close(value, adapted[name], rtol=1e-4, atol=1e-5)


def test_a_finished_run_is_neither_trained_nor_written_again(uninterrupted, tiny_model, caplog):
    folder, result = uninterrupted
    written = {path: path.stat().st_mtime_ns for path in (folder / "out").rglob("*")}
    values = config(folder, tiny_model, data={"validation": str(folder / "train.jsonl")})
    with caplog.at_level("INFO", "bftembed"):
        assert tune(parse_config(values)) == result
    assert "This run has ended after 8 steps: nothing is trained or written. Choose another output" in caplog.text
    assert {path: path.stat().st_mtime_ns for path in (folder / "out").rglob("*")} == written


def test_a_finished_run_without_its_checkpoints_is_kept(tmp_path, tiny_model):
    values = config(tmp_path, tiny_model, training={"max_steps": 1})
    result = tune(parse_config(values))
    for checkpoint in result.path.glob("checkpoint-*"):
        shutil.rmtree(checkpoint)
    assert tune(parse_config(values)).steps == 1
    assert not list(result.path.glob("checkpoint-*"))
    with pytest.raises(TuneError, match=r"`objective.window` was 8 and is 4"):
        tune(parse_config(values | {"objective": {"name": "bft", "window": 4}}))


def test_the_evaluation_before_the_first_step(uninterrupted, tiny_model):
    """That of the model as it was, which one without training has too."""
    folder, result = uninterrupted
    entry = read_log(folder / "out" / "log.jsonl")[0]
    assert entry["step"] == 0
    assert entry["eval_perplexity"] == result.initial_metrics["eval_perplexity"] > result.metrics["eval_perplexity"]
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    model = AutoModelForCausalLM.from_pretrained(tiny_model)
    logprobs, total = 0.0, 0
    for row in map(json.loads, (folder / "train.jsonl").read_text().splitlines()):
        chat = [{"role": "user", "content": row["prompt"]}]
        prompt = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=True)["input_ids"]
        answer = [*tokenizer(row["response"], add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
        ids = torch.tensor([*prompt, *answer])
        with torch.no_grad():
            found = model(ids[None]).logits[0, :-1].log_softmax(-1).gather(1, ids[1:, None])[:, 0]
        logprobs, total = logprobs + float(found[-len(answer) :].sum()), total + len(answer)
    assert result.initial_metrics["eval_loss"] == pytest.approx(-logprobs / total, rel=1e-4)
    report = json.loads((folder / "out" / "bft_report.json").read_text())
    assert report["initial_metrics"]["eval_loss"] == result.initial_metrics["eval_loss"]


def test_no_step_has_a_learning_rate_of_zero(uninterrupted):
    """The default warm-up of 3 % is one step of these eight."""
    rates = [entry["learning_rate"] for entry in read_log(uninterrupted[1].path / "log.jsonl") if "loss" in entry]
    assert rates[0] == max(rates) == pytest.approx(1e-2)
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] > 0


def test_the_model_card(uninterrupted, tiny_model):
    card = (uninterrupted[1].path / "README.md").read_text()
    head, _, body = card.removeprefix("---\n").partition("---\n")
    metadata = yaml.safe_load(head)
    assert metadata["library_name"] == "peft"
    assert metadata["tags"] == ["bftembed", "bft", "lora"]
    assert "base_model" not in metadata  # a directory, whose path means nothing elsewhere
    assert str(tiny_model.parent) not in card
    assert "[More Information Needed]" not in card
    assert "# out\n" in body
    assert "A LoRA adapter of `tiny`, tuned with the objective `bft` by bftembed." in body
    assert "| Objective | name bft, window 8, " in body
    before, after = (each["eval_perplexity"] for each in (uninterrupted[1].initial_metrics, uninterrupted[1].metrics))
    assert f"| Validation | perplexity {before:.4g} -> {after:.4g} |" in body


def test_full_tuning(tmp_path, tiny_model, offline):
    values = config(tmp_path, tiny_model, lora=None, training={"max_steps": 2, "learning_rate": 1e-3})
    result = tune(parse_config(values))
    before = load_file(tiny_model / "model.safetensors")
    changed = [name for name, value in weights(result.path).items() if not torch.equal(value, before[name])]
    assert len(changed) == len(before)
    assert TransformersEngine(str(result.path)).count_tokens([Request("1", user="x")]) > 0


def test_killed_again_and_again_the_loss_curve_is_the_same(uninterrupted, tmp_path, tiny_model):
    values = config(tmp_path, tiny_model, data={"validation": str(tmp_path / "train.jsonl")})
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(values))
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    log = tmp_path / "out" / "log.jsonl"
    for step in (3, 5):  # killed between two checkpoints, so that steps have to be done again
        process = subprocess.Popen(
            [sys.executable, "-m", "bftembed", "tune", str(path)],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 200
        while not any(entry["step"] >= step for entry in read_log(log)):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not (tmp_path / "out" / "bft_report.json").exists()
    with torch.random.fork_rng():
        result = tune(parse_config(values))
    expected = losses(uninterrupted[0] / "out")
    assert [step for step, _ in losses(result.path)] == [step for step, _ in expected]
    for (_, ours), (_, theirs) in zip(losses(result.path), expected, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-4)
    for name, value in weights(result.path).items():
        torch.testing.assert_close(value, weights(uninterrupted[0] / "out")[name], rtol=1e-3, atol=1e-4)


@pytest.fixture
def small_disk(tmp_path):
    target = tmp_path / "disk"
    target.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=9m", "tmpfs", str(target)], capture_output=True, text=True
    )
    if made.returncode:
        pytest.skip(f"a small file system cannot be mounted here: {made.stderr.strip()}")
    yield target
    subprocess.run(["umount", str(target)], check=True)


def test_a_full_disk_leaves_the_last_good_checkpoint(uninterrupted, tmp_path, tiny_model, small_disk):
    values = config(tmp_path, tiny_model, output=str(small_disk / "out"))
    # The tokenizer alone takes 3.4 MB of every checkpoint: the second fits, the third does not.
    with pytest.raises(TuneError, match=r"checkpoint-\d` could not be saved: .*(space|writ).*is untouched"):
        tune(parse_config(values))
    kept = last_checkpoint(small_disk / "out")
    assert kept is not None
    assert {path.name for path in (small_disk / "out").glob("checkpoint-*")} >= {kept.name}
    load_file(kept / "adapter_model.safetensors")
    subprocess.run(["mount", "-o", "remount,size=200m", str(small_disk)], check=True)
    result = tune(parse_config(values))
    for (_, ours), (_, theirs) in zip(losses(result.path), losses(uninterrupted[0] / "out"), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-4)


def test_a_vocabulary_that_does_not_fit(tmp_path, tiny_model):
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    small = tmp_path / "small"
    size = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    LlamaForCausalLM(
        LlamaConfig(vocab_size=60, pad_token_id=0, eos_token_id=2, bos_token_id=1, **size)
    ).save_pretrained(small)
    AutoTokenizer.from_pretrained(tiny_model).save_pretrained(small)
    with pytest.raises(ModelError, match=r"vocabulary has 60 tokens"):
        tune(parse_config(config(tmp_path, small)))


def test_an_adapter_of_another_model(uninterrupted, tmp_path, tiny_model):
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    other = tmp_path / "other"
    size = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), pad_token_id=0, **size)).save_pretrained(other)
    tokenizer.save_pretrained(other)
    with pytest.raises(ModelError, match="does not fit the model"):
        tune(parse_config(config(tmp_path, other, adapter=str(uninterrupted[1].path))))


def test_starting_from_an_adapter(uninterrupted, tmp_path):
    """A second run on a tuned directory starts where the first ended."""
    values = config(tmp_path, uninterrupted[1].path, training={"max_steps": 1})
    result = tune(parse_config(values))
    assert losses(result.path)[0][1] < losses(uninterrupted[0] / "out")[0][1]
    # Its adapter stands on merged weights, which no longer exist as a directory: so the result is a merged model.
    assert (result.path / "config.json").exists()


def test_an_empty_file(tmp_path, tiny_model):
    values = config(tmp_path, tiny_model)
    (tmp_path / "train.jsonl").write_text("")
    with pytest.raises(DataError, match="holds no samples"):
        tune(parse_config(values))


def test_a_window_longer_than_the_samples_is_said(tmp_path, tiny_model, caplog):
    values = config(tmp_path, tiny_model, objective={"name": "bft", "window": 256}, training={"max_steps": 1})
    with caplog.at_level("WARNING", "bftembed"):
        tune(parse_config(values))
    assert "fewer than the window of 256" in caplog.text


def test_a_run_that_ended_within_an_epoch_is_trained_no_further(tmp_path, tiny_model):
    values = config(tmp_path, tiny_model, training={"max_steps": 2, "schedule": "constant"})
    before = weights(tune(parse_config(values)).path)
    again = tune(parse_config(values))
    assert again.steps == 2
    assert [step for step, _ in losses(again.path)] == [1, 2]
    for name, value in weights(again.path).items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)
    with pytest.raises(TuneError, match=r"`objective.name` was 'bft' and is 'sft'"):
        tune(parse_config(values | {"objective": "sft"}))


def test_batches_may_be_split_otherwise_when_a_run_goes_on(uninterrupted, tmp_path, tiny_model):
    values = config(tmp_path, tiny_model)
    tune(parse_config(values))
    shutil.rmtree(tmp_path / "out" / "checkpoint-8")  # as if it had been killed before
    (tmp_path / "out" / "bft_report.json").unlink()
    split = config(tmp_path, tiny_model, training={"batch_size": 1, "accumulation_steps": 4})
    result = tune(parse_config(split))
    for (_, ours), (_, theirs) in zip(losses(result.path), losses(uninterrupted[0] / "out"), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-4)


def test_a_full_disk_at_the_end_is_told(tmp_path, tiny_model, monkeypatch):
    from peft import PeftModel

    save = PeftModel.save_pretrained

    def full(model, path, *args, **kwargs):
        if "checkpoint" not in str(path):
            raise OSError(28, "No space left on device")
        return save(model, path, *args, **kwargs)

    monkeypatch.setattr(PeftModel, "save_pretrained", full)
    values = config(tmp_path, tiny_model, training={"max_steps": 1})
    with pytest.raises(TuneError, match=r"The model in .* could not be saved: .*No space.*checkpoint-1`, is untouched"):
        tune(parse_config(values))


def test_the_models_own_directory_is_no_output(tmp_path, tiny_model):
    model = shutil.copytree(tiny_model, tmp_path / "model")  # the tests share the other
    with pytest.raises(InputError, match="where the model to be tuned lies"):
        tune(parse_config(config(tmp_path, model, output=str(tmp_path / "x" / ".." / "model"))))
    assert sorted(path.name for path in model.iterdir()) == sorted(path.name for path in tiny_model.iterdir())


def test_an_objective_that_compares_with_the_start_needs_an_adapter(tmp_path, tiny_model):
    with pytest.raises(InputError, match="`asft` needs the frozen model that was started from"):
        tune(parse_config(config(tmp_path, tiny_model, objective="asft", lora=None)))
    assert not (tmp_path / "out").exists()


def test_samples_longer_than_the_models_context(tmp_path, tiny_model):
    values = config(tmp_path, tiny_model, data={"max_length": 2000})
    (tmp_path / "train.jsonl").write_text(json.dumps({"text": "kinase " * 900}) + "\n")
    with pytest.raises(InputError, match=r"longest sample has 90\d tokens, and the model reads 512 at once"):
        tune(parse_config(values))


def test_a_tokenizer_that_is_missing(tmp_path, tiny_model):
    shutil.copytree(tiny_model, tmp_path / "model", ignore=shutil.ignore_patterns("token*"))
    with pytest.raises(ModelError, match="cannot load a tokenizer from") as caught:
        tune(parse_config(config(tmp_path, tmp_path / "model")))
    assert "\n" not in str(caught.value)


def test_a_tokenizer_without_pad_and_end(tmp_path, tiny_model):
    from transformers import AutoTokenizer

    shutil.copytree(tiny_model, tmp_path / "model")
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    tokenizer.pad_token = tokenizer.eos_token = None
    tokenizer.save_pretrained(tmp_path / "model")
    assert tune(parse_config(config(tmp_path, tmp_path / "model", training={"max_steps": 1}))).steps == 1


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"lora": {"target_modules": "(("}}, ModelError, r"LoRA cannot be put on this model: missing \)"),
        ({"training": {"trainer": {"report_to": "comet_ml"}}}, InputError, "trainer cannot be set up.*comet"),
    ],
)
def test_what_libraries_refuse_is_a_sentence(tmp_path, tiny_model, changes, error, message):
    with pytest.raises(error, match=message):
        tune(parse_config(config(tmp_path, tiny_model, **changes)))
