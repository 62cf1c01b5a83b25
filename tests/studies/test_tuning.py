"""A recipe as it tunes a model, and the log-probabilities that come of it."""

import json

import numpy as np
import pytest
import torch
import yaml
from pydantic import ValidationError

from bftembed.errors import DataError, DivergedError, InputError, TuneError
from bftembed.studies.runs import kept
from bftembed.studies.tuning import Logprobs, Recipe, per_sample, read_logprobs, train
from bftembed.tune.logs import read_log

WORDS = ["kinase", "receptor", "membrane", "nucleus", "binds", "activates", "cell", "growth", "signal", "domain"]


def recipe(model, **training):
    return Recipe(
        model=str(model), max_length=96, training={"batch_size": 2, "save_steps": 2, "max_steps": 3} | training
    )


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    rng = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("samples") / "train.jsonl"
    rows = [{"prompt": f"What is G{n}?", "response": " ".join(rng.choice(WORDS, 3 + 4 * (n % 3)))} for n in range(8)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="module")
def tuned(tiny_model, samples, tmp_path_factory):
    place = tmp_path_factory.mktemp("tuned") / "run"
    return train(recipe(tiny_model), objective="sft", learning_rate=1e-2, seed=1, data=samples, place=place)


def test_a_seed_gives_all_objectives_and_rates_the_same_tokens_in_the_same_order(tiny_model, samples, tuned, tmp_path):
    other = train(recipe(tiny_model), objective="dft", learning_rate=1e-3, seed=1, data=samples, place=tmp_path / "run")
    seen = [
        [entry["supervised_tokens"] for entry in read_log(path / "log.jsonl") if "loss" in entry]
        for path in (tuned, other)
    ]
    assert seen[0] == seen[1]
    assert len(set(seen[0])) > 1
    first = [next(e for e in read_log(path / "log.jsonl") if "loss" in e)["mean_confidence"] for path in (tuned, other)]
    assert first[0] == first[1]  # the same model, which a fresh adapter leaves as it is, on the same tokens
    third = train(
        recipe(tiny_model), objective="sft", learning_rate=1e-2, seed=2, data=samples, place=tmp_path / "third"
    )
    assert [e["supervised_tokens"] for e in read_log(third / "log.jsonl") if "loss" in e] != seen[0]


def test_a_finished_run_is_left_as_it_is_without_checkpoints(tiny_model, samples, tuned):
    assert not list(tuned.glob("checkpoint-*"))
    written = {path: path.stat().st_mtime_ns for path in tuned.rglob("*") if path.is_file()}
    again = train(recipe(tiny_model), objective="sft", learning_rate=1e-2, seed=1, data=samples, place=tuned)
    assert again == tuned
    assert {path: path.stat().st_mtime_ns for path in tuned.rglob("*") if path.is_file()} == written


def test_models_along_a_run_are_those_of_shorter_ones(tiny_model, samples, tuned, tmp_path):
    made = recipe(tiny_model, schedule="constant", warmup=0)
    options = {"objective": "sft", "learning_rate": 1e-2, "seed": 1, "data": samples}
    place = train(made, place=tmp_path / "run", keep=3, **options)
    found = kept(place, 3)
    assert [path.name for path in found] == ["checkpoint-1", "checkpoint-2"]
    assert {path.name for path in found[0].iterdir()} <= {path.name for path in place.iterdir()}
    short = made.model_copy(update={"training": made.training.model_copy(update={"max_steps": 2})})
    shorter = train(short, place=tmp_path / "short", **options)
    expected, along = (read_logprobs(path, samples).logprobs for path in (shorter, found[1]))
    np.testing.assert_array_equal(along, expected)


def test_log_probabilities_are_those_of_plain_transformers(tiny_model, samples, tuned):
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(tiny_model), tuned).eval()
    read = read_logprobs(tuned, samples, max_length=96, batch_size=3)
    expected = []
    for row in map(json.loads, samples.read_text().splitlines()):
        chat = [{"role": "user", "content": row["prompt"]}]
        prompt = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=True)["input_ids"]
        answer = [*tokenizer(row["response"], add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
        ids = torch.tensor([*prompt, *answer])
        with torch.no_grad():
            found = model(ids[None]).logits[0, :-1].log_softmax(-1).gather(1, ids[1:, None])[:, 0]
        expected.append(found[-len(answer) :].numpy())
    assert read.lengths.tolist() == list(map(len, expected))
    np.testing.assert_allclose(read.logprobs, np.concatenate(expected), atol=2e-4)
    sums = per_sample(read)
    np.testing.assert_allclose(sums["nll"], [-part.sum() for part in expected], rtol=1e-4)
    np.testing.assert_allclose(sums["probability"], [np.exp(part).sum() for part in expected], rtol=1e-3)


def test_the_untuned_model_is_read_by_its_engine(tiny_model, samples, tuned):
    before = read_logprobs(recipe(tiny_model).engine(), samples)
    after = read_logprobs(recipe(tiny_model).engine(tuned), samples)
    assert before.lengths.tolist() == after.lengths.tolist()
    assert after.logprobs.mean() > before.logprobs.mean()


def test_a_sure_token_has_no_negative_surprise():
    sums = per_sample(Logprobs(np.zeros(2, dtype=np.float32), np.array([2])))
    assert str(sums["nll"][0]) == "0.0"


def test_the_axes_of_a_study_are_no_part_of_its_recipe():
    for name in ("learning_rate", "seed"):
        with pytest.raises(ValidationError, match=f"`{name}` is an axis of the study"):
            Recipe(training={name: 1})
    assert Recipe.model_validate(Recipe().model_dump()) == Recipe()


def test_what_cannot_be_trained(tiny_model, samples, tmp_path):
    options = {"seed": 0, "place": tmp_path / "run"}
    with pytest.raises(InputError, match="no such objective"):
        train(recipe(tiny_model), objective="grpo", learning_rate=1e-3, data=samples, **options)
    with pytest.raises(DataError, match="no training data at"):
        train(recipe(tiny_model), objective="sft", learning_rate=1e-3, data=tmp_path / "absent.jsonl", **options)
    with pytest.raises(DivergedError, match="Lower the learning rate"):
        train(recipe(tiny_model, max_grad_norm=1e30), objective="sft", learning_rate=1e30, data=samples, **options)


def test_a_run_of_its_own_process_says_what_failed(tiny_model, tmp_path):
    launched = recipe(tiny_model).model_copy(update={"accelerate": "no-such-file"})
    with pytest.raises(
        TuneError, match=r"run\.yaml` failed \(1\): There is no accelerate configuration `no-such-file`"
    ):
        train(launched, objective="sft", learning_rate=1e-3, seed=0, data="none.jsonl", place=tmp_path / "run")
    written = yaml.safe_load((tmp_path / "run.yaml").read_text())
    assert (written["training"]["learning_rate"], written["accelerate"]) == (1e-3, "no-such-file")


@pytest.mark.slow
def test_runs_on_several_devices_are_started_by_accelerate(tiny_model, samples, tuned, tmp_path):
    launch = {"compute_environment": "LOCAL_MACHINE", "distributed_type": "MULTI_CPU", "num_processes": 1}
    launch |= {"num_machines": 1, "machine_rank": 0, "use_cpu": True, "mixed_precision": "no", "main_process_port": 0}
    (tmp_path / "accelerate.yaml").write_text(yaml.safe_dump(launch))
    launched = recipe(tiny_model).model_copy(update={"accelerate": str(tmp_path / "accelerate.yaml")})
    options = {"objective": "sft", "seed": 1, "data": samples}
    place = train(launched, learning_rate=1e-2, place=tmp_path / "run", **options)
    here, there = (read_logprobs(path, samples).logprobs for path in (tuned, place))
    np.testing.assert_allclose(here, there, atol=1e-4)
    assert not list(place.glob("checkpoint-*"))
    loose = recipe(tiny_model, max_grad_norm=1e30).model_copy(update={"accelerate": launched.accelerate})
    with pytest.raises(DivergedError, match=r"diverged\.yaml` failed"):
        train(loose, learning_rate=1e30, place=tmp_path / "diverged", **options)
