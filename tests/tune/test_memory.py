"""The memory plan against what torch's allocator gives out in a real run, and against arithmetic."""

import gc
import json

import numpy as np
import pytest
import yaml
from torch.profiler import ProfilerActivity, profile
from transformers import LlamaConfig, LlamaForCausalLM, Mamba2Config

from bftembed.errors import InputError, ModelError
from bftembed.models.files import resolve_model
from bftembed.tune import plan
from bftembed.tune.config import load_config, parse_config
from bftembed.tune.data.dataset import Collator, TokenDataset
from bftembed.tune.devices import layout_of
from bftembed.tune.supervised import training_arguments
from bftembed.tune.trainable import Start, load_trainable
from bftembed.tune.trainer import Tuner

ALONE = ["bft", "eaft"]
ALL = [*ALONE, "asft"]

LENGTH = 96
SHAPE = {"vocab_size": 8000, "hidden_size": 64, "intermediate_size": 192, "num_hidden_layers": 3}
SHAPE |= {"num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 128}


@pytest.fixture(scope="module")
def shaped(tmp_path_factory):
    """A small model with weights, and a directory that holds its config.json alone."""
    folder = tmp_path_factory.mktemp("models")
    LlamaForCausalLM(LlamaConfig(**SHAPE)).save_pretrained(folder / "whole")
    (folder / "shape").mkdir()
    (folder / "shape" / "config.json").write_text((folder / "whole" / "config.json").read_text())
    return folder


def config(shaped, **changes):
    values = {"model": str(shaped / "shape"), "data": {"train": "-", "max_length": LENGTH}, "output": "-"}
    return parse_config({**values, "lora": None, **changes})


def training(**changes):
    return {"max_steps": 2, "batch_size": 3, "dtype": "float32", **changes}


def most_allocated(run):
    """Bytes that torch's allocator had given out at once, by the events of its profiler."""
    gc.collect()
    gc.freeze()  # what other tests left would count as given back
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as found:
        run()
    gc.unfreeze()
    events = [event for event in found.profiler.kineto_results.events() if event.name() == "[memory]"]
    sizes = [event.nbytes() for event in sorted(events, key=lambda event: event.start_ns())]
    return int(np.cumsum(sizes).max())


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize(
    ("lora", "dtype", "accumulation", "objective"),
    [(False, "float32", 2, "bft"), (True, "bfloat16", 1, "bft"), (True, "bfloat16", 1, "asft")],
)
def test_the_plan_is_what_a_run_allocates(shaped, tmp_path, lora, dtype, accumulation, objective, checkpointing):
    how = training(dtype=dtype, gradient_checkpointing=checkpointing, accumulation_steps=accumulation)
    how["trainer"] = {"save_strategy": "no", "disable_tqdm": True, "logging_strategy": "no"}
    settings = config(shaped, training=how, lora={"r": 4} if lora else None, objective=objective)
    planned = plan(settings)
    rng = np.random.default_rng(0)
    rows = [rng.integers(1, 8000, LENGTH - index % 2) for index in range(2 * 3 * accumulation)]
    data = TokenDataset([(row, [True] * len(row)) for row in rows], max_length=LENGTH)
    model = load_trainable(settings, Start(resolve_model(str(shaped / "whole")), None, None))
    arguments = training_arguments(settings.training, tmp_path, evaluate=False)
    tuner = Tuner(model, arguments, objective=settings.objective, train_dataset=data, data_collator=Collator(0))
    weights = sum(parameter.nbytes for parameter in tuner.model.parameters())
    assert planned.weights == weights
    assert planned.trained == sum(value.numel() for value in model.parameters() if value.requires_grad)
    measured = most_allocated(tuner.train) + weights
    assert planned.total == pytest.approx(measured, rel=0.2)
    state = sum(value.nbytes for values in tuner.optimizer.state.values() for value in values.values())
    assert planned.optimizer == pytest.approx(state, rel=0.01)


def test_objectives_that_need_more(shaped):
    """Statistics take next to nothing beside log-probabilities, a divergence the logits of the reference."""
    lora = {"r": 4}
    totals = {name: plan(config(shaped, training=training(), objective=name, lora=lora)).total for name in ALL}
    chunk = 256 * 8000 * 4
    for name, total in totals.items():
        more = (total - totals["bft"]) / chunk
        assert more < 0.5 if name in ALONE else 1 < more < 3, (name, more)
    with pytest.raises(InputError, match="`asft` needs the frozen model"):
        plan(config(shaped, training=training(), objective="asft"))


def test_checkpointing_and_packing(shaped):
    assert "total, GiB" in plan(config(shaped, training=training()))._repr_html_()
    plain, less = (plan(config(shaped, training=training(gradient_checkpointing=on))) for on in (False, True))
    assert less.activations < plain.activations / 2
    assert (less.weights, less.optimizer, less.logits) == (plain.weights, plain.optimizer, plain.logits)
    packed = plan(config(shaped, data={"train": "-", "max_length": LENGTH, "packing": True}, training=training()))
    assert packed.activations > 0


@pytest.mark.parametrize("lora", [None, {"r": 4}])
def test_what_is_split_over_devices(shaped, tmp_path, lora):
    def planned(name, **values):
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.safe_dump({"num_processes": 8, **values}))
        return plan(config(shaped, lora=lora, accelerate=str(path), training=training(accumulation_steps=2)))

    alone = plan(config(shaped, lora=lora, training=training(accumulation_steps=2)))
    ddp = planned("ddp", distributed_type="MULTI_GPU")
    assert (ddp.weights, ddp.optimizer, ddp.gradients) == (alone.weights, alone.optimizer, 2 * alone.gradients)
    assert ddp.total == alone.total + alone.gradients
    fsdp = planned("fsdp", distributed_type="FSDP", fsdp_config={"fsdp_version": 2})
    for name in ("weights", "gradients", "optimizer"):
        assert getattr(fsdp, name) == pytest.approx(getattr(alone, name) / 8, rel=0.01)
    block, head = (alone.parameters - 2 * 8000 * 64 - 64) / 3, 8000 * 64
    sent = fsdp.trained / 3 if lora else block
    assert fsdp.gathered == pytest.approx((2 * block + head + sent) * 4, rel=0.01)
    assert fsdp.layout.name == "FSDP2"
    offloaded = planned("off", distributed_type="FSDP", fsdp_config={"fsdp_offload_params": True})
    assert (offloaded.weights, offloaded.gradients, offloaded.optimizer) == (0, 0, 0)
    zero2 = planned("zero2", distributed_type="DEEPSPEED", deepspeed_config={"zero_stage": 2})
    assert (zero2.layout.name, zero2.gathered) == ("ZeRO-2", 0)
    assert zero2.weights == alone.weights
    assert zero2.optimizer == pytest.approx(alone.optimizer / 8, rel=0.01)


@pytest.mark.parametrize("name", ["14b-lora-8gpu", "32b-lora-8gpu", "70b-lora-8gpu"])
def test_the_shipped_configurations_from_a_shape(shaped, name):
    """Their layouts and settings on a small shape; the models' own need but their config.json."""
    shipped = load_config(name, model=str(shaped / "shape"))
    found = plan(shipped)
    assert found.layout.processes == 8
    assert found.layout.split == {"weights", "gradients", "optimizer"}
    frozen = found.parameters - found.trained
    assert found.weights == -(-(2 * frozen + 4 * found.trained) // 8)
    assert found.optimizer == found.trained
    assert f"{found.trained:,} trained; {found.layout.name}, 8 devices" in str(found)


def test_the_sizes_of_a_14b_model(tmp_path):
    """One block of Qwen2.5-14B: 48 of them with embedding and head are the 14.77 billion weights that are published."""
    shape = {"model_type": "qwen2", "hidden_size": 5120, "intermediate_size": 13824, "num_hidden_layers": 1}
    shape |= {"num_attention_heads": 40, "num_key_value_heads": 8, "vocab_size": 152064, "tie_word_embeddings": False}
    (tmp_path / "config.json").write_text(json.dumps(shape))
    found = plan(load_config("14b-lora-8gpu", model=str(tmp_path), accelerate="fsdp2-8gpu"))
    block = 2 * 5120 * (5120 + 1024) + 5120 + 2 * 1024 + 3 * 5120 * 13824 + 2 * 5120
    assert found.parameters - found.trained == block + 2 * 152064 * 5120 + 5120
    assert 48 * block + 2 * 152064 * 5120 + 5120 == pytest.approx(14.77e9, rel=1e-3)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"model": "/nowhere/at/all"}, ModelError, "There is no model directory `/nowhere/at/all`"),
        ({"model": "no/model-of-this-name"}, ModelError, r"no `config.json` of .* Nothing else of the model is needed"),
        ({"objective": "grpo"}, InputError, "memory plan for supervised objectives alone"),
        ({"training": {"trainer": {"optim": "lomo"}}}, InputError, "The memory of the optimizer `lomo` is not known"),
        ({"accelerate": "fsdp2"}, InputError, "no accelerate configuration `fsdp2`"),
    ],
)
def test_bad_input(shaped, changes, error, message):
    with pytest.raises(error, match=message):
        plan(config(shaped, **changes))


def test_a_broken_directory_or_file(shaped, tmp_path):
    with pytest.raises(ModelError, match=r"has no config\.json, from which a memory plan is made"):
        plan(config(shaped, model=str(tmp_path)))
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "vit"}))
    with pytest.raises(ModelError, match="transformers cannot make a model"):
        plan(config(shaped, model=str(tmp_path)))
    (tmp_path / "a.yaml").write_text("distributed_type: FSDP\n")
    with pytest.raises(InputError, match=r"`.*a\.yaml` is no configuration of accelerate"):
        plan(config(shaped, accelerate=str(tmp_path / "a.yaml")))


@pytest.mark.parametrize("changes", [{"hidden_size": -1}, {"hidden_size": "x"}, {"num_attention_heads": 7}])
def test_a_shape_that_cannot_be(shaped, tmp_path, changes):
    values = json.loads((shaped / "shape" / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(values | changes))
    with pytest.raises(ModelError, match="transformers cannot make a model"):
        plan(config(shaped, model=str(tmp_path)))


def test_a_model_whose_step_needs_values(shaped, tmp_path):
    shape = {"vocab_size": 800, "hidden_size": 64, "num_hidden_layers": 2, "state_size": 8}
    Mamba2Config(**shape, num_heads=8, head_dim=16, n_groups=1).save_pretrained(tmp_path)
    with pytest.raises(ModelError, match=r"There is no memory plan of .*cannot be followed without values"):
        plan(config(shaped, model=str(tmp_path)))


@pytest.mark.parametrize(
    "values",
    [
        {"num_processes": 0},
        {"num_processes": "eight"},
        {"distributed_type": "FSDP", "fsdp_config": "x"},
        {"distributed_type": "DEEPSPEED", "deepspeed_config": "x"},
        {"distributed_type": "DEEPSPEED", "deepspeed_config": {"zero_stage": "auto"}},
        {"distributed_type": "DEEPSPEED", "deepspeed_config": {"zero_stage": 4}},
        {"distributed_type": "DEEPSPEED", "deepspeed_config": {"deepspeed_config_file": "/nowhere.json"}},
    ],
)
def test_configurations_of_accelerate_that_make_no_sense(tmp_path, values):
    (tmp_path / "a.yaml").write_text(yaml.safe_dump({"num_processes": 8} | values))
    with pytest.raises(InputError, match=r"`.*a\.yaml` is no configuration of accelerate"):
        layout_of(str(tmp_path / "a.yaml"))


def test_the_file_that_deepspeed_reads_decides(tmp_path):
    zero = {"stage": 3, "offload_param": {"device": "cpu"}}
    (tmp_path / "ds.json").write_text(json.dumps({"zero_optimization": zero}))
    settings = {"deepspeed_config_file": str(tmp_path / "ds.json"), "zero3_init_flag": True}
    values = {"num_processes": 8, "distributed_type": "DEEPSPEED", "deepspeed_config": settings}
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(values))
    found = layout_of(str(tmp_path / "a.yaml"))
    assert (found.name, found.split) == ("ZeRO-3", {"weights", "gradients", "optimizer"})
    assert found.elsewhere == {"weights"}
