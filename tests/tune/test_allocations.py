"""What is counted as allocated: against tensors whose sizes are known."""

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from bftembed.tune.allocations import Allocations, head_allocations, without_values

KIB = 1024


def test_the_most_at_once():
    with Allocations() as found:
        first = torch.zeros(KIB, dtype=torch.float32)
        second = first + 1
        del first
        third = second.view(32, 32)  # no storage of its own
        fourth = third.double()
        del second, third
    assert found.peak == (4 + 4 + 8) * KIB - 4 * KIB
    assert found.now == 8 * KIB
    del fourth
    assert found.now == 0


def test_what_was_there_before_is_left_out():
    before = torch.zeros(KIB)
    with Allocations() as found:
        found.leave_out([before])
        assert before.view(2, -1).T.shape == (KIB // 2, 2)
    assert found.peak == 0


@pytest.mark.parametrize(("share", "there"), [(1.0, 4 * KIB), (0.25, KIB), (0.0, 0)])
def test_gradients_are_told_apart(share, there):
    weight = torch.nn.Parameter(torch.zeros(KIB))
    with Allocations(share) as found:
        found.leave_out([weight])
        found.watch([weight])
        (weight * 2).sum().backward()
        later = torch.zeros(10 * KIB)
    assert found.gradients == 4 * KIB
    assert found.gradients_at_peak == there
    assert found.peak == later.nbytes + there
    weight.grad = None
    assert found.gradients == 0


def test_a_model_without_values_has_its_shapes_types_and_ties():
    size = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2}
    with torch.device("meta"):
        model = LlamaForCausalLM(LlamaConfig(vocab_size=32, tie_word_embeddings=True, **size)).bfloat16()
    model.model.norm.weight.requires_grad_(False)
    with without_values(model):
        assert model.lm_head.weight is model.model.embed_tokens.weight
        assert {value.device.type for value in (*model.parameters(), *model.buffers())} == {"cpu"}
        assert model.lm_head.weight.dtype == torch.bfloat16
        assert not model.model.norm.weight.requires_grad
        assert model(torch.zeros(1, 3, dtype=torch.int64)).logits.shape == (1, 3, 32)
        few, many = (head_allocations(model, n, torch.float32) for n in (256, 1024))
    # Logits of a chunk of 256 tokens and what is made beside them; more tokens add hidden states and numbers only.
    assert few > 256 * 32 * 4
    assert many - few < 768 * (3 * 16 * 4 + 64)
