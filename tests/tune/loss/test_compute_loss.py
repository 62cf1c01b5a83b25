"""The drop-in loss function."""

import pytest
import torch
from transformers.modeling_outputs import CausalLMOutputWithPast

from bftembed.errors import InputError
from bftembed.tune import Objective, make_loss
from bftembed.tune.loss.logprobs import TokenLogprobs
from tests.tune.loss.batches import ALONE


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(3)
    logits = torch.randn(4, 20, 31, generator=generator, dtype=torch.float64)
    labels = torch.randint(0, 31, (4, 20), generator=generator)
    for row, n in enumerate((3, 9, 0, 15)):
        labels[row, : 20 - n] = -100
    return logits, labels


def outputs(logits):
    return CausalLMOutputWithPast(logits=logits)


@pytest.mark.parametrize("name", ALONE)
def test_it_is_the_objective(batch, name):
    logits, labels = batch
    targets = labels[:, 1:]
    mask = targets != -100
    logprobs = logits[:, :-1].log_softmax(-1)[mask]
    p = logprobs.exp()
    likeliest = p.topk(20).values / p.topk(20).values.sum(1, keepdim=True)
    entropy = -(likeliest * likeliest.log()).sum(1)
    values = TokenLogprobs(logprobs.gather(1, targets[mask][:, None])[:, 0], entropy, (p**2).sum(1))
    expected, _ = Objective(name=name, window=5).loss(values, mask.sum(1))
    assert float(make_loss(name, window=5)(outputs(logits), labels)) == pytest.approx(float(expected), rel=1e-12)
    assert float(make_loss(name, window=5)({"logits": logits}, labels)) == pytest.approx(float(expected), rel=1e-12)


def test_sft_is_cross_entropy(batch):
    logits, labels = batch
    expected = torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten())
    assert float(make_loss("sft")(outputs(logits), labels)) == pytest.approx(float(expected), rel=1e-12)


def test_parts_add_up_to_the_whole_when_the_number_of_samples_is_known(batch):
    logits, labels = batch
    n_tokens = (labels[:, 1:] != -100).sum()
    for name in ALONE:
        loss = make_loss(name, window=5, samples_per_step=4)
        parts = [loss(outputs(logits[[row]]), labels[[row]], num_items_in_batch=n_tokens) for row in range(4)]
        whole = loss(outputs(logits), labels, num_items_in_batch=n_tokens)
        assert float(sum(parts)) == pytest.approx(float(whole), rel=1e-12)


def test_without_it_the_size_of_the_loss_does_not_grow_with_the_parts(batch):
    logits, labels = batch
    loss = make_loss("bft", window=5)
    n_tokens = (labels[:, 1:] != -100).sum()
    parts = [float(loss(outputs(logits[[row]]), labels[[row]], num_items_in_batch=n_tokens)) for row in range(4)]
    alone = [float(loss(outputs(logits[[row]]), labels[[row]])) for row in range(4)]
    lengths = (labels[:, 1:] != -100).sum(1).tolist()
    expected = sum(value * n for value, n in zip(alone, lengths, strict=True)) / sum(lengths)
    assert sum(parts) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("name", ALONE)
@pytest.mark.parametrize("given", [{"loss": torch.tensor(1.0)}, CausalLMOutputWithPast(loss=torch.tensor(1.0))])
def test_outputs_without_logits_are_refused(given, name):
    """Public code of several objectives trains plain SFT then."""
    with pytest.raises(InputError, match=rf"`{name}` objective.*gave none of the former.*use_liger_kernel"):
        make_loss(name)(given, torch.zeros(1, 3, dtype=torch.long))


def test_no_labels_are_refused(batch):
    with pytest.raises(InputError, match="needs logits and labels"):
        make_loss("bft")(outputs(batch[0]), None)


def test_all_masked_stays_connected(batch):
    logits, labels = batch
    logits.requires_grad_()
    for name in ALONE:
        loss = make_loss(name)(outputs(logits), torch.full_like(labels, -100), num_items_in_batch=torch.tensor(0))
        assert float(loss.detach()) == 0
        (grad,) = torch.autograd.grad(loss, logits)
        assert not grad.any()


@pytest.mark.parametrize("options", [{"objective": "asft"}, {"objective": "dft", "weights_from": "reference"}])
def test_what_needs_the_frozen_model_is_refused(options):
    with pytest.raises(InputError, match=r"needs the frozen model that was started from.*use `Tuner`"):
        make_loss(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"chunk_size": "large"}, "`chunk_size` is a whole number, 1 or more"),
        ({"samples_per_step": 0}, "`samples_per_step` is a whole number, 1 or more"),
        ({"samples_per_step": float("nan")}, "`samples_per_step` is a whole number, 1 or more"),
        ({"objective": Objective(name="bft"), "window": 3}, "given with its options, and `window` beside it"),
    ],
)
def test_arguments_that_would_be_passed_over(options, message):
    with pytest.raises(InputError, match=message):
        make_loss(**options)


def test_labels_of_another_shape(batch):
    logits, labels = batch
    with pytest.raises(InputError, match=r"Logits of shape .* do not fit labels of shape .*not yet shifted"):
        make_loss("sft")(outputs(logits), labels[:, 1:])


def test_labels_beyond_the_vocabulary(batch):
    logits, labels = batch
    with pytest.raises(InputError, match=r"Targets lie between .* outside the vocabulary of 31 tokens"):
        make_loss("sft")(outputs(logits), labels + 31 * (labels >= 0))
