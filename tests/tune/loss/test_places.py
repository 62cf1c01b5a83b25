"""Where supervised tokens are: found on the CPU, so that a micro-batch asks nothing of the device."""

import copy

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import LlamaConfig, LlamaForCausalLM

from bftembed.errors import InputError
from bftembed.tune.loss.head import add_logprob_head
from bftembed.tune.loss.objectives import OBJECTIVES, Objective
from bftembed.tune.loss.places import Locating, located, supervised_places
from bftembed.tune.loss.reference import objective_logprobs
from bftembed.tune.loss.weights import sample_of

PADDED = {
    "input_ids": torch.arange(12).reshape(2, 6),
    "labels": torch.tensor([[-100, -100, 3, 4, 5, -100], [1, 2, 3, -100, -100, -100]]),
    "attention_mask": torch.ones(2, 6, dtype=torch.int64),
}
PACKED = {
    "input_ids": torch.arange(9)[None],
    "labels": torch.tensor([[-100, 3, 4, -100, -100, -100, -100, 7, 8]]),
    "position_ids": torch.tensor([[0, 1, 2, 3, 0, 1, 0, 1, 2]]),
}


@pytest.mark.parametrize("batch", [PADDED, PACKED], ids=["padded", "packed"])
def test_places_are_those_of_the_labels(batch):
    found = located(batch)
    labels = batch["labels"].clone()
    labels[:, 0] = -100
    assert torch.equal(labels.flatten()[found["supervised"]], labels[labels != -100])
    assert found["lengths"].tolist() == ([3, 2] if batch is PADDED else [2, 0, 2])
    assert located(found) == found
    assert Locating(lambda _: batch)([]).keys() == found.keys()


def test_labels_are_left_as_they_are():
    before = PADDED["labels"].clone()
    supervised_places(PADDED["labels"])
    assert torch.equal(PADDED["labels"], before)
    with pytest.raises(InputError, match="no `labels`, only 'input_ids'"):
        located({"input_ids": before})


class Copies(TorchDispatchMode):
    """Copies between the CPU and the device, for which a GPU is waited for."""

    def __init__(self):
        super().__init__()
        self.found = []

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        result = function(*arguments, **(options or {}))
        tensors = [value for value in (*arguments, result) if isinstance(value, torch.Tensor)]
        if function._schema.name in {"aten::copy_", "aten::_to_copy"} and len({one.device.type for one in tensors}) > 1:
            self.found.append(str(function))
        return result


def to_meta(batch):
    return {name: value.to("meta") for name, value in batch.items()}


def whole_micro_batch(batch, name):
    """Forward, objective and backward on tensors that have a shape and no values: any look at a value raises."""
    size = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=32, pad_token_id=0, **size)).train()
    add_logprob_head(model, chunk_size=2)
    objective, reference = Objective(name=name, window=2), copy.deepcopy(model).requires_grad_(False).to("meta")
    length = batch["input_ids"].shape[1]
    # The mask that transformers would make: it looks at values of the one it is given, once in every forward.
    batch = {**batch, "attention_mask": torch.ones(len(batch["input_ids"]), 1, length, length).tril().bool()}
    inputs, model = to_meta(batch), model.to("meta")
    totals = {"n_tokens": torch.tensor(40, device="meta"), "n_samples": torch.tensor(8, device="meta")}
    with Copies() as copies:
        values, lengths = objective_logprobs(model, inputs, objective, reference)
        loss, weights = objective.loss(values, lengths, **totals)
        loss.backward()
    assert weights.sample.shape == lengths.shape
    assert model.lm_head.weight.grad.shape == model.lm_head.weight.shape
    return copies.found


@pytest.mark.parametrize("name", OBJECTIVES)
@pytest.mark.parametrize("batch", [PADDED, PACKED], ids=["padded", "packed"])
def test_a_micro_batch_needs_no_value_from_the_device(batch, name):
    assert whole_micro_batch(located(batch), name) == []


def test_what_needed_values_is_seen():
    """The oracle of the test above: what was done before raises, and a copy is noticed."""
    with pytest.raises((NotImplementedError, RuntimeError), match="meta"):
        whole_micro_batch(PADDED, "bft")
    lengths = torch.zeros(3, dtype=torch.int64, device="meta")
    for look in (lambda: lengths[lengths > 0], lambda: int(lengths.sum()), lambda: torch.repeat_interleave(lengths)):
        with pytest.raises((NotImplementedError, RuntimeError), match="meta"):
            look()
    assert sample_of(lengths, 5).shape == (5,)
    with Copies() as copies:
        torch.ones(2).to("meta")
    assert copies.found
