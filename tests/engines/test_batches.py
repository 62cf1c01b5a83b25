from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import (
    AutoModelForCausalLM,
    DeepseekV3Config,
    DynamicCache,
    GemmaConfig,
    GPT2Config,
    LlamaConfig,
    MambaConfig,
    MistralConfig,
)

from bftembed.engines.batches import BatchSize, cache_bytes, free_memory, in_batches, sequence_bytes
from bftembed.errors import EngineError

SMALL = {"vocab_size": 32, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
MLA = {"q_lora_rank": 8, "kv_lora_rank": 8, "qk_rope_head_dim": 8, "qk_nope_head_dim": 16, "v_head_dim": 16}
CONFIGS = [
    LlamaConfig(**SMALL),
    LlamaConfig(**SMALL, num_key_value_heads=2),
    GemmaConfig(**SMALL, num_key_value_heads=1, head_dim=16),
    MistralConfig(**SMALL, num_key_value_heads=2, sliding_window=8),
    GPT2Config(vocab_size=32, n_embd=32, n_layer=2, n_head=4, bos_token_id=0, eos_token_id=0),
    DeepseekV3Config(**SMALL, **MLA, num_key_value_heads=4, n_routed_experts=4, n_group=1, topk_group=1),
]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.model_type)
def test_the_cache_is_not_larger_than_estimated(config):
    model = AutoModelForCausalLM.from_config(config).eval()
    cache = DynamicCache()
    with torch.no_grad():
        model(torch.zeros(3, 5, dtype=torch.long), past_key_values=cache, use_cache=True)
    used = sum(layer.keys.nbytes + layer.values.nbytes for layer in cache.layers)
    bound = 3 * 5 * cache_bytes(config, 4)
    assert used <= bound
    assert used == bound or isinstance(config, DeepseekV3Config)


def test_models_without_heads_are_taken_for_others():
    assert cache_bytes(MambaConfig(hidden_size=32, num_hidden_layers=2), 4) == 2 * 2 * 32 * 4


def test_a_sequence_needs_more_than_its_cache_and_grows_with_its_tokens():
    model = SimpleNamespace(config=CONFIGS[0], dtype=torch.bfloat16)
    assert sequence_bytes(model, 10, 20) > 30 * cache_bytes(CONFIGS[0], 2)
    assert sequence_bytes(model, 20, 20) > sequence_bytes(model, 10, 20)
    assert free_memory(AutoModelForCausalLM.from_config(CONFIGS[0])) is None


def test_memory_of_the_gpus_that_hold_the_model(monkeypatch):
    free = {0: (300, 1000), 1: (200, 1000)}
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: free[device.index])
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 50)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 40)
    tensors = [SimpleNamespace(device=torch.device("cuda", index)) for index in (0, 1, 1)]
    assert free_memory(SimpleNamespace(parameters=lambda: tensors)) == 2 * 210


@given(free=st.integers(0, 10**12), each=st.integers(0, 10**10), cap=st.integers(1, 512))
def test_a_batch_fits_into_the_free_memory(free, each, cap):
    size = BatchSize(cap).allowed(free, each)
    assert size == 1 or size * each <= 0.8 * free
    assert 1 <= size <= cap
    assert size == cap or size.bit_count() == 1
    assert size == cap or 2 * size > cap or 2 * size * max(1, each) > 0.79 * free


def test_without_a_number_for_the_memory_the_cap_decides():
    assert BatchSize(48).allowed(None, 10**12) == 48


def test_a_size_that_fails_again_is_tried_less_often():
    sizes, waits = BatchSize(8), []
    for _ in range(3):
        assert sizes.failed(8) == 4
        fitted = 0
        while sizes.allowed(None, 1) < 8:
            sizes.fitted()
            fitted += 1
        waits.append(fitted)
    assert waits == [8, 16, 32]


@given(n=st.integers(0, 40), cap=st.integers(1, 16), room=st.integers(1, 16))
def test_everything_is_run_once_and_in_order_whatever_fits(n, cap, room):
    def run(batch):
        if len(batch) > room:
            raise MemoryError
        return batch

    sizes = BatchSize(cap)
    batches = list(in_batches(list(range(n)), run, sizes=sizes, allowed=lambda _: sizes.allowed(None, 1)))
    assert [item for batch in batches for item in batch] == list(range(n))
    assert max(map(len, batches), default=0) <= min(room, cap)


def test_what_does_not_fit_alone_is_an_error():
    sizes = BatchSize(2)

    def full(_):
        raise MemoryError

    with pytest.raises(EngineError, match="Out of memory with a batch of one"):
        list(in_batches([1, 2], full, sizes=sizes, allowed=lambda _: sizes.allowed(None, 1)))
