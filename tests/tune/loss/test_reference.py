"""What objectives get of a model and of the one it started from, against its own logits with and without adapter."""

import copy

import pytest
import torch

from bftembed.tune.loss.head import add_logprob_head
from bftembed.tune.loss.objectives import named
from bftembed.tune.loss.reference import objective_logprobs
from tests.tune.loss.test_head import FAMILIES, LORA, tiny

peft = pytest.importorskip("peft", reason="needs the package `peft` (extra tune)")


def adapted(family="llama", **options):
    """A model with an adapter that has moved it, and with dropout in its attention."""
    name, shape = FAMILIES[family]
    model = tiny(name, attention_dropout=0.5, tie_word_embeddings=False, **shape)
    model = peft.get_peft_model(model, peft.LoraConfig(**LORA | options))
    add_logprob_head(model, chunk_size=4)
    return model.eval()


@pytest.fixture
def batch():
    ids = torch.randint(3, 37, (2, 9), generator=torch.Generator().manual_seed(1))
    labels = ids.clone()
    labels[0, :3] = labels[1, 6:] = -100
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": labels}


def logits_of(model, batch):
    """Logits of the supervised tokens, (n_tokens, vocabulary), and these tokens."""
    mask = batch["labels"][:, 1:] != -100
    logits = model(batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    return logits[:, :-1][mask], batch["labels"][:, 1:][mask]


def start_of(model, batch):
    with torch.no_grad(), model.disable_adapter():
        return logits_of(model, batch)[0]


@pytest.mark.parametrize("family", ["llama", "soft cap", "logits_scaling"])
@pytest.mark.parametrize("head", ["frozen", "trained"])
def test_asft_with_its_weights_from_the_reference(batch, family, head):
    model = adapted(family, **({"modules_to_save": ["lm_head"]} if head == "trained" else {}))
    if head == "trained":
        with torch.no_grad():
            model.base_model.model.lm_head.modules_to_save["default"].weight.mul_(1.5)
    objective = named("asft", weights_from="reference", **{"lambda": 0.7})
    others = start_of(model, batch).log_softmax(-1)
    logits, targets = logits_of(model, batch)
    ours, rows = logits.log_softmax(-1), torch.arange(len(targets))
    expected = -(others[rows, targets].exp() * ours[rows, targets]).mean()
    divergence = (others.exp() * (others - ours)).sum(1)
    expected = expected + 0.7 * divergence.mean()
    parameters = [value for value in model.parameters() if value.requires_grad]
    slopes = torch.autograd.grad(expected, parameters)
    values, lengths = objective_logprobs(model, batch, objective)
    torch.testing.assert_close(values.frozen, others[rows, targets], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(values.divergence, divergence, rtol=1e-3, atol=1e-5)
    assert divergence.mean() > 0.01
    loss, _ = objective.loss(values, lengths)
    torch.testing.assert_close(loss, expected, rtol=1e-4, atol=1e-5)
    for gradient, slope in zip(torch.autograd.grad(loss, parameters), slopes, strict=True):
        torch.testing.assert_close(gradient, slope, rtol=1e-3, atol=1e-5)
    assert all(slope.any() for slope in slopes)


@pytest.mark.parametrize("name", ["power", "profit", "eaft", "deft", "bft"])
def test_statistics_are_those_of_the_reference(batch, name):
    model = adapted()
    values, lengths = objective_logprobs(model, batch, objective := named(name, weights_from="reference"))
    with model.disable_adapter():
        start, _ = objective_logprobs(model, batch, named(name))
    expected = named(name).weights(start, lengths)
    for one, other in zip(objective.weights(values, lengths), expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-7)
    assert not torch.allclose(values.logprobs, start.logprobs, rtol=1e-2)


def test_what_is_not_asked_for_is_not_computed(batch):
    model = adapted()
    calls = []
    model.base_model.model.model.register_forward_hook(lambda *_: calls.append(1))
    found = {}
    for name, options in (("bft", {}), ("asft", {}), ("dft", {"weights_from": "reference"}), ("asft", {"lambda": 0})):
        calls.clear()
        values, _ = objective_logprobs(model, batch, named(name, **options))
        given = [field for field, value in values._asdict().items() if value is not None]
        found[name, *options] = (given, len(calls))
    assert found == {
        ("bft",): (["logprobs"], 1),
        ("asft",): (["logprobs", "divergence"], 2),
        ("dft", "weights_from"): (["logprobs", "frozen"], 2),
        ("asft", "lambda"): (["logprobs"], 1),
    }


def test_the_model_is_left_as_it_was(batch):
    """In training, its adapter on, and what of the adapter was frozen still frozen; the reference has no dropout."""
    model = adapted(init_lora_weights=True).train()
    model.base_model.model.model.layers[0].eval()
    modes = [module.training for module in model.modules()]
    frozen = next(value for name, value in model.named_parameters() if "lora_A" in name)
    frozen.requires_grad_(False)
    before = {name: value.requires_grad for name, value in model.named_parameters()}
    values, _ = objective_logprobs(model, batch, named("dft", weights_from="reference"))
    again, _ = objective_logprobs(model, batch, named("dft", weights_from="reference"))
    assert {name: value.requires_grad for name, value in model.named_parameters()} == before
    assert [module.training for module in model.modules()] == modes
    assert torch.equal(values.frozen, again.frozen)
    assert not torch.equal(values.logprobs, again.logprobs)
    assert not values.frozen.requires_grad
    torch.testing.assert_close(values.frozen, objective_logprobs(model.eval(), batch, named("sft"))[0].logprobs)


def test_samples_laid_end_to_end(batch):
    model = adapted()
    rows = [row[row != -100] for row in batch["labels"]]
    whole = [batch["input_ids"][0], batch["input_ids"][1, :6]]
    packed = {
        "input_ids": torch.cat(whole)[None],
        "labels": torch.cat([batch["labels"][0], batch["labels"][1, :6]])[None].clone(),
        "position_ids": torch.cat([torch.arange(9), torch.arange(6)])[None],
    }
    packed["labels"][0, [0, 9]] = -100
    objective = named("asft", weights_from="reference")
    (ours, n), (expected, lengths) = (objective_logprobs(model, each, objective) for each in (packed, batch))
    assert n.tolist() == lengths.tolist() == [len(rows[0]), len(rows[1]) - 1]
    for name in ("logprobs", "frozen", "divergence"):
        torch.testing.assert_close(getattr(ours, name), getattr(expected, name), rtol=1e-4, atol=1e-5)


def test_nothing_supervised_stays_connected(batch):
    model = adapted()
    labels = torch.full_like(batch["labels"], -100)
    values, lengths = objective_logprobs(model, {**batch, "labels": labels}, objective := named("asft"))
    loss, _ = objective.loss(values, lengths, n_tokens=12)
    assert float(loss.detach()) == 0
    loss.backward()
    assert not any(value.grad.any() for value in model.parameters() if value.requires_grad)


def test_a_reference_of_its_own(batch):
    model, reference = adapted(), tiny()
    with torch.no_grad():
        reference.lm_head.weight.mul_(1.3)
    add_logprob_head(reference)
    values, _ = objective_logprobs(model, batch, named("asft"), reference)
    with torch.no_grad():
        others, ours = (logits_of(each, batch)[0].log_softmax(-1) for each in (reference, copy.deepcopy(model)))
    torch.testing.assert_close(values.divergence, (others.exp() * (others - ours)).sum(1), rtol=1e-3, atol=1e-5)
