import subprocess
import sys

import pytest
import torch

from bftembed.errors import EngineError, ModelError
from bftembed.models.causal import (
    adapted,
    add_lora,
    check_vocabulary,
    context_window,
    is_out_of_memory,
    load_model,
    load_tokenizer,
    on_device,
)
from bftembed.models.files import resolve_model


@pytest.fixture
def model(tiny_model):
    return load_model(tiny_model, "float32")


def test_weights_have_the_dtype_that_is_asked_for(tiny_model):
    assert {weight.dtype for weight in load_model(tiny_model, "bfloat16").parameters()} == {torch.bfloat16}


def test_the_window_is_that_of_the_positions(model):
    from transformers import BloomConfig

    assert context_window(model) == 512
    model.config = BloomConfig()  # positions by ALiBi: no limit
    assert context_window(model) is None


def test_a_window_that_is_said_to_be_longer_than_the_table_of_positions():
    from transformers import GPT2Config, GPT2LMHeadModel, OPTConfig, OPTForCausalLM

    gpt = GPT2LMHeadModel(GPT2Config(n_positions=64, n_embd=8, n_layer=1, n_head=1, vocab_size=16))
    gpt.config.n_positions = 1024
    assert context_window(gpt) == 64
    sizes = {"hidden_size": 8, "ffn_dim": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "vocab_size": 16}
    opt = OPTForCausalLM(OPTConfig(max_position_embeddings=64, word_embed_proj_dim=8, **sizes))
    assert context_window(opt) == 64


def test_the_window_goes_by_several_names():
    from transformers import MptConfig, MptForCausalLM

    assert (
        context_window(MptForCausalLM(MptConfig(d_model=8, n_heads=1, n_layers=1, vocab_size=16, max_seq_len=96))) == 96
    )


def test_the_tokenizer_of_an_adapter_comes_first(tiny_model, tmp_path):
    from transformers import AutoTokenizer

    files = resolve_model(str(tiny_model))
    own = AutoTokenizer.from_pretrained(tiny_model)
    own.add_tokens(["<gene>"])
    own.save_pretrained(tmp_path)
    adapter = type(files)(tmp_path, "adapter", "")
    assert "<gene>" in load_tokenizer(files, adapter).get_vocab()
    assert "<gene>" not in load_tokenizer(files).get_vocab()
    (tmp_path / "tokenizer_config.json").unlink()
    assert "<gene>" not in load_tokenizer(files, adapter).get_vocab()


def test_a_fresh_adapter_names_its_base(model, tiny_model):
    made = add_lora(model, resolve_model(str(tiny_model)), r=2, target_modules=["q_proj"])
    assert made.peft_config["default"].base_model_name_or_path == str(tiny_model)
    assert made.peft_config["default"].r == 2


def test_layers_that_are_not_there(model, tiny_model):
    with pytest.raises(ModelError, match=r"LoRA cannot be put on this model.*none_proj"):
        add_lora(model, resolve_model(str(tiny_model)), target_modules=["none_proj"])


def test_tokens_beyond_the_vocabulary(model):
    rows = model.get_input_embeddings().weight.shape[0]
    check_vocabulary("The data holds", rows - 1, model)
    with pytest.raises(ModelError, match=rf"The data holds token {rows}, and the model's vocabulary has {rows} tokens"):
        check_vocabulary("The data holds", rows, model)


@pytest.mark.parametrize("change", [3, -3])
def test_an_adapter_that_was_trained_with_another_vocabulary_brings_its_rows(model, tiny_model, tmp_path, change):
    rows = model.get_input_embeddings().weight.shape[0] + change
    enlarged = load_model(tiny_model, "float32")
    enlarged.resize_token_embeddings(rows, mean_resizing=False)
    trained = add_lora(enlarged, resolve_model(str(tiny_model)), r=2, target_modules=["q_proj"])
    trained.save_pretrained(tmp_path, save_embedding_layers=True)
    found = adapted(model, tmp_path)
    for layer in ("get_input_embeddings", "get_output_embeddings"):
        assert torch.equal(getattr(found, layer)().weight, getattr(enlarged, layer)().weight)
    assert found.get_input_embeddings().weight.shape[0] == rows


FULL = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
    RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
    RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes"),
    RuntimeError("MPS backend out of memory"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    OSError(12, "Cannot allocate memory"),
    MemoryError(),
]


@pytest.mark.parametrize("error", FULL, ids=lambda error: str(error)[:20])
def test_a_full_memory_is_known_by_all_its_names(error):
    assert is_out_of_memory(error)
    assert not is_out_of_memory(RuntimeError("shapes do not match"))


@pytest.mark.parametrize("error", FULL[:2], ids=lambda error: str(error)[:20])
def test_a_model_larger_than_the_device_is_an_error_of_the_engine(model, monkeypatch, error):
    def full(*_):
        raise error

    monkeypatch.setattr(model, "to", full)
    with pytest.raises(EngineError, match=r"Out of memory while loading: use a smaller model"):
        on_device(model, "cuda")


def test_a_full_memory_while_an_adapter_is_merged(model, tiny_model, tmp_path, monkeypatch):
    import peft

    add_lora(model, resolve_model(str(tiny_model)), r=2, target_modules=["q_proj"]).save_pretrained(tmp_path)

    def full(*_):
        raise FULL[0]

    monkeypatch.setattr(peft.PeftModel, "merge_and_unload", full, raising=False)
    with pytest.raises(EngineError, match="Out of memory"):
        adapted(load_model(tiny_model, "float32"), tmp_path)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
@pytest.mark.parametrize("device", ["cuda", "gpu"])
def test_a_device_that_is_not_there(model, device):
    with pytest.raises(EngineError, match=f"cannot be moved to the device `{device}`") as caught:
        on_device(model, device)
    assert "\n" not in str(caught.value)


CRAMPED = """
import resource, sys
from pathlib import Path
from transformers import LlamaForCausalLM
from bftembed.engines import TransformersEngine
from bftembed.errors import EngineError

made = [TransformersEngine(sys.argv[1], device_map=layout) for layout in (None, "auto")]
for engine in made:
    engine.count_tokens([])
    engine._load_tokenizer()
size = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmSize"))
limit = int(size.split()[1]) * 1024 + 2**20
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
for engine in made:
    try:
        engine.load()
    except EngineError as error:
        print(error)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the limit of a process's memory is one of Linux")
def test_a_full_memory_while_loading_is_an_error_of_the_engine(tiny_model):
    command = [sys.executable, "-c", CRAMPED, str(tiny_model)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    said = "Out of memory while loading: use a smaller model, or half precision (`dtype`)."
    assert done.stdout.splitlines() == [said, said]
