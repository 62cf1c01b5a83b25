"""Several GPUs in one process, and weights that are split over processes."""

import pytest
import torch

from bftembed.errors import BftembedWarning, InputError
from bftembed.tune.config import GRPOSettings, Lora, parse_config
from bftembed.tune.devices import refuse_split_weights, use_one_device
from bftembed.tune.trainable import find_start
from bftembed.tune.trainer import Tuner


def arguments(tmp_path, n_gpu):
    from transformers import TrainingArguments

    made = TrainingArguments(str(tmp_path), use_cpu=True, report_to="none")
    assert made.n_gpu == 0
    made._n_gpu = n_gpu  # as the property finds on a machine that has so many
    return made


def tiny():
    from transformers import LlamaConfig, LlamaForCausalLM

    size = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    return LlamaForCausalLM(LlamaConfig(vocab_size=20, pad_token_id=0, eos_token_id=2, bos_token_id=1, **size))


def test_one_process_trains_on_one_of_several_gpus(tmp_path):
    """Else transformers wraps the model in `torch.nn.DataParallel`."""
    made = arguments(tmp_path, 2)
    with pytest.warns(BftembedWarning, match=r"There are 2 GPUs.*`accelerate: FILE`"):
        tuner = Tuner(tiny(), made)
    assert tuner.args.n_gpu == 1
    assert tuner.args.train_batch_size == tuner.args.per_device_train_batch_size
    assert not isinstance(tuner._wrap_model(tuner.model), torch.nn.DataParallel)


@pytest.mark.parametrize("n_gpu", [0, 1])
def test_one_gpu_or_none_is_nothing_to_warn_of(tmp_path, n_gpu):
    made = arguments(tmp_path, n_gpu)
    use_one_device(made)
    assert made.n_gpu == n_gpu


@pytest.fixture(params=["launched", "argument"])
def sharded(request, monkeypatch):
    """Further arguments of the trainer under FSDP, started by accelerate or by the trainer."""
    if request.param == "argument":
        return {"fsdp": True}
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    return {}


def test_whole_weights_may_be_merged():
    refuse_split_weights("`lora.merge`", {})


def test_split_weights_are_not_merged_into(tmp_path, tiny_model, sharded):
    values = {"model": str(tiny_model), "data": {"train": "x.jsonl"}, "output": str(tmp_path / "out")}
    values |= {"training": {"trainer": sharded}}
    with pytest.raises(InputError, match=r"^`lora.merge` merges an adapter, for which a process needs all weights"):
        find_start(parse_config({**values, "lora": {"merge": True}}))


def test_no_adapter_to_start_from_where_weights_are_split(tmp_path, tiny_model, sharded):
    peft = pytest.importorskip("peft", reason="needs the package `peft` (extra tune)")
    from transformers import AutoModelForCausalLM

    settings = peft.LoraConfig(task_type="CAUSAL_LM", target_modules=["q_proj"])
    peft.get_peft_model(AutoModelForCausalLM.from_pretrained(tiny_model), settings).save_pretrained(
        tmp_path / "adapter"
    )
    values = {"model": str(tiny_model), "data": {"train": "x.jsonl"}, "output": str(tmp_path / "out")}
    values |= {"adapter": str(tmp_path / "adapter"), "training": {"trainer": sharded}}
    with pytest.raises(InputError, match=r"Starting from the adapter `.*adapter` merges an adapter"):
        find_start(parse_config(values))


def test_grpo_merges_no_split_weights(tmp_path, tiny_model, monkeypatch):
    pytest.importorskip("trl", reason="needs the package `trl` (extra tune)")
    from bftembed.tune.grpo.train import train_grpo

    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    question = {"prompt": "Is it?", "answer": "yes", "choices": ["yes", "no"]}
    settings = GRPOSettings(steps=1, prompts_per_step=1, num_generations=2)
    with pytest.raises(InputError, match=r"`lora.merge` merges an adapter"):
        train_grpo(str(tiny_model), [question], tmp_path / "out", settings=settings, lora=Lora(merge=True))
