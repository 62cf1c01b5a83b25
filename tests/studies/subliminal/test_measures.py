import pytest
import torch

from bftembed.models.causal import load_model
from bftembed.studies.subliminal.measures import _gradients
from bftembed.tune.data.dataset import Collator
from bftembed.tune.loss.head import add_logprob_head
from bftembed.tune.loss.objectives import Objective
from bftembed.tune.loss.places import located

NAME = "model.layers.0.self_attn.q_proj.weight"


@pytest.fixture
def batches():
    draws = torch.Generator().manual_seed(1)
    rows = [torch.randint(3, 70, (length,), generator=draws) for length in (9, 14, 7)]
    samples = [{"input_ids": row, "labels": torch.where(torch.arange(len(row)) > 3, row, -100)} for row in rows]
    return [located(Collator(0)(samples[:2])), located(Collator(0)(samples[2:]))]


@pytest.mark.parametrize("objective", [Objective(name="sft"), Objective(name="dft"), Objective(name="bft", window=4)])
def test_weights_and_gradients_are_those_of_the_loss_of_all_texts(letters_model, batches, objective):
    network = load_model(letters_model, "float32")
    add_logprob_head(network)
    weights, gradients = _gradients(network, batches, objective, {NAME})
    logits = [network(input_ids=each["input_ids"], attention_mask=each["attention_mask"]).logits for each in batches]
    logprobs = torch.cat(
        [
            made.flatten(0, 1)[each["supervised"] - 1].log_softmax(-1)[
                torch.arange(len(each["supervised"])), each["labels"].flatten()[each["supervised"]]
            ]
            for made, each in zip(logits, batches, strict=True)
        ]
    )
    lengths = torch.cat([each["lengths"] for each in batches])
    loss, found = objective.loss(logprobs, lengths)
    (expected,) = torch.autograd.grad(loss, [dict(network.named_parameters())[NAME]])
    torch.testing.assert_close(gradients[NAME], expected, rtol=1e-3, atol=1e-6)
    if objective.per_sample:
        share = (found.sample / lengths).repeat_interleave(lengths) / len(lengths)
    else:
        share = torch.full_like(found.token, 1 / len(logprobs))
    torch.testing.assert_close(weights, found.token * share, rtol=1e-4, atol=1e-8)
