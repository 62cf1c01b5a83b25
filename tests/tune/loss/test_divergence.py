"""The divergence from a frozen model against autograd of its closed form on all logits."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bftembed.errors import InputError
from bftembed.tune.loss.divergence import Reference, token_divergence
from tests.tune.loss.test_logprobs import Largest, draw, full_logits, real_sized, relative


def closed_form(logits, others):
    """KL(reference || model), written out."""
    p = others.softmax(-1)
    return (p * (others.log_softmax(-1) - logits.log_softmax(-1))).sum(-1)


@settings(max_examples=60)
@given(
    n=st.integers(0, 9),
    vocabulary=st.integers(1, 8),
    chunk_size=st.integers(1, 12),
    softcap=st.none() | st.floats(0.5, 30.0),
    scale=st.floats(0.05, 4.0),
    with_bias=st.booleans(),
    head=st.sampled_from(["frozen", "trained", "of each"]),
    seed=st.integers(0, 2**32 - 1),
)
def test_equals_autograd(n, vocabulary, chunk_size, softcap, scale, with_bias, head, seed):
    hidden, weight, bias, targets, back = draw(n, 4, vocabulary, seed=seed)
    states, rows, shift, *_ = (leaf.detach() for leaf in draw(n, 4, vocabulary, seed=seed + 1))
    bias, shift = (bias, shift) if with_bias else (None, None)
    leaves = [leaf for leaf in (hidden, weight, bias) if leaf is not None]
    if head == "frozen":
        for leaf in leaves[1:]:
            leaf.requires_grad_(False)
    if head != "of each":
        rows, shift = weight.detach(), bias if bias is None else bias.detach()
    reference = Reference(states) if head == "frozen" else Reference(states, rows, shift)
    options = {"softcap": softcap, "scale": scale}
    ours = token_divergence(hidden, weight, targets, reference, bias=bias, **options, chunk_size=chunk_size)
    expected = closed_form(full_logits(hidden, weight, bias, **options), full_logits(states, rows, shift, **options))
    torch.testing.assert_close(ours, expected, rtol=1e-9, atol=1e-12)
    used = [leaf for leaf in leaves if leaf.requires_grad]
    slopes = torch.autograd.grad(expected, used, back)
    for gradient, slope in zip(torch.autograd.grad(ours, used, back), slopes, strict=True):
        torch.testing.assert_close(gradient, slope, rtol=1e-9, atol=1e-12)


def test_gradcheck():
    hidden, weight, bias, targets, _ = draw(5, 3, 6)
    states, rows, shift, *_ = (leaf.detach() for leaf in draw(5, 3, 6, seed=1))

    def function(hidden, weight, bias):
        reference = Reference(states, rows, shift)
        return token_divergence(hidden, weight, targets, reference, bias=bias, softcap=2.0, scale=0.7, chunk_size=2)

    assert torch.autograd.gradcheck(function, (hidden, weight, bias))


@pytest.mark.parametrize("autocast", [False, True])
def test_a_model_that_has_not_moved_has_none(autocast):
    hidden, weight, targets = real_sized(50)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        found = token_divergence(hidden.requires_grad_(), weight, targets, Reference(hidden.detach()), chunk_size=7)
    assert not found.any()
    (slope,) = torch.autograd.grad(found.sum(), hidden)
    assert not slope.any()


def test_half_precision():
    hidden, weight, targets = real_sized(200)
    states = hidden + torch.randn(hidden.shape, generator=torch.Generator().manual_seed(5)) / 2
    exact = closed_form(hidden.double() @ weight.double().T, states.double() @ weight.double().T)
    hidden.requires_grad_()
    (slope,) = torch.autograd.grad(closed_form(hidden @ weight.T, states @ weight.T).sum(), hidden)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        ours = token_divergence(hidden, weight, targets, Reference(states))
    assert ours.dtype == torch.float32
    assert relative(ours.detach(), exact) < 0.01
    assert relative(torch.autograd.grad(ours.sum(), hidden)[0], slope) < 0.02


def test_never_holds_all_logits():
    n, vocabulary, chunk_size = 60, 50, 7
    hidden, weight, _, targets, back = draw(n, 4, vocabulary)
    weight.requires_grad_(False)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(x.numel()) or x, lambda x: x), Largest() as run:
        token_divergence(hidden, weight, targets, Reference(hidden.detach() + 1), chunk_size=chunk_size).backward(back)
    assert run.elements == chunk_size * vocabulary
    assert kept == [n * 4]


def test_masked_vocabulary_entries_add_nothing():
    hidden, weight, bias, targets, back = draw(6, 3, 8)
    with torch.no_grad():
        bias[5:] = -torch.inf
    states = hidden.detach().flip(0)
    reference = Reference(states, weight.detach(), bias.detach())
    ours = token_divergence(hidden, weight, targets % 5, reference, bias=bias)
    short = [leaf.detach()[:5] for leaf in (weight, bias)]
    expected = closed_form(full_logits(hidden, *short), full_logits(states, *short))
    torch.testing.assert_close(ours, expected)
    gradients = torch.autograd.grad(ours, (hidden, bias), back)
    torch.testing.assert_close(gradients[0], torch.autograd.grad(expected, hidden, back)[0])
    assert not gradients[1][5:].any()


def test_what_is_no_number_is_not_hidden():
    hidden, weight, _, targets, _ = draw(3, 2, 4)
    states = hidden.detach().clone()
    states[1, 0] = torch.inf
    found = token_divergence(hidden, weight, targets, Reference(states))
    assert found.isnan().tolist() == [False, True, False]


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        (Reference(torch.zeros(5, 3)), "The reference has 5 tokens and a vocabulary of 4, and the model 6 and 4"),
        (Reference(torch.zeros(6, 3), torch.zeros(9, 3)), "6 tokens and a vocabulary of 9, and the model 6 and 4"),
    ],
)
def test_another_text_or_vocabulary_is_refused(reference, message):
    with pytest.raises(InputError, match=message):
        token_divergence(torch.zeros(6, 3), torch.zeros(4, 3), torch.zeros(6, dtype=torch.long), reference)
