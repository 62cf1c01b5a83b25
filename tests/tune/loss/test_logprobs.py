"""The primitive: values and gradients against autograd on full logits, memory, precision, bad input."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from bftembed.errors import InputError
from bftembed.tune.loss.given_logits import logits_logprobs
from bftembed.tune.loss.logprobs import token_logprobs


def full_logits(hidden, weight, bias=None, softcap=None, scale=1.0):
    """All logits at once: what a model with a soft cap or a scale does."""
    logits = hidden @ weight.T
    if bias is not None:
        logits = logits + bias
    logits = logits * scale
    return logits if softcap is None else torch.tanh(logits / softcap) * softcap


def picked(logits, targets):
    return logits.log_softmax(-1).gather(1, targets[:, None])[:, 0]


def draw(n, width, vocabulary, *, dtype=torch.float64, size=1.0, seed=0):
    """Hidden states, head weight, bias (all with gradient), targets, and a gradient to send back."""
    generator = torch.Generator().manual_seed(seed)
    shapes = ((n, width), (vocabulary, width), (vocabulary,))
    leaves = [(torch.randn(*shape, generator=generator, dtype=dtype) * size).requires_grad_() for shape in shapes]
    targets = torch.randint(0, vocabulary, (n,), generator=generator)
    return (*leaves, targets, torch.randn(n, generator=generator, dtype=dtype))


class Largest(TorchDispatchMode):
    """Remembers the number of elements of the largest tensor that any operation gives."""

    elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        sizes = [leaf.numel() for leaf in tree_leaves(result) if isinstance(leaf, torch.Tensor)]
        self.elements = max([self.elements, *sizes])
        return result


@settings(max_examples=80)
@given(
    n=st.integers(0, 9),
    width=st.integers(1, 5),
    vocabulary=st.integers(1, 8),
    chunk_size=st.integers(1, 12),
    softcap=st.none() | st.floats(0.5, 30.0),
    scale=st.floats(0.05, 4.0),
    trained=st.tuples(st.booleans(), st.booleans(), st.booleans()).filter(any),
    with_bias=st.booleans(),
    entropy=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_equals_autograd(n, width, vocabulary, chunk_size, softcap, scale, trained, with_bias, entropy, seed):
    hidden, weight, bias, targets, back = draw(n, width, vocabulary, seed=seed)
    leaves = [hidden, weight, bias]
    for leaf, wanted in zip(leaves, trained, strict=True):
        leaf.requires_grad_(wanted)
    used = [leaf for leaf in (leaves if with_bias else leaves[:2]) if leaf.requires_grad]
    given_bias = bias if with_bias else None
    ours, spread, *_ = token_logprobs(
        hidden, weight, targets, bias=given_bias, softcap=softcap, scale=scale, chunk_size=chunk_size, entropy=entropy
    )
    logits = full_logits(hidden, weight, given_bias, softcap, scale)
    torch.testing.assert_close(ours, picked(logits, targets), rtol=1e-10, atol=1e-12)
    if entropy:
        expected = stats.entropy(special.softmax(logits.detach().numpy(), axis=1), axis=1) if n else np.zeros(0)
        np.testing.assert_allclose(spread.detach(), expected, rtol=1e-9, atol=1e-12)
    else:
        assert spread is None
    if not used:
        assert not ours.requires_grad
        return
    gradients = torch.autograd.grad(ours, used, back)
    expected = torch.autograd.grad(picked(logits, targets), used, back)
    for gradient, slope in zip(gradients, expected, strict=True):
        torch.testing.assert_close(gradient, slope, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("softcap", [None, 3.0])
@pytest.mark.parametrize("with_bias", [True, False])
def test_gradcheck(softcap, with_bias):
    hidden, weight, bias, targets, _ = draw(5, 3, 6)

    def function(hidden, weight, bias=None):
        return token_logprobs(hidden, weight, targets, bias=bias, softcap=softcap, scale=0.7, chunk_size=2).logprobs

    assert torch.autograd.gradcheck(function, (hidden, weight, bias) if with_bias else (hidden, weight))
    logits = torch.randn(5, 6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda logits: logits_logprobs(logits, targets, chunk_size=2).logprobs, (logits,))


def test_tied_head_gets_both_gradients():
    """The table is the input embedding and the head: one gradient through the states, one through the logits."""
    table = torch.randn(7, 4, dtype=torch.float64, requires_grad=True)
    ids, targets = torch.tensor([1, 5, 5, 0, 3]), torch.tensor([5, 5, 0, 3, 2])
    hidden = torch.tanh(table[ids])
    (ours,) = torch.autograd.grad(token_logprobs(hidden, table, targets, chunk_size=2).logprobs.sum(), table)
    hidden = torch.tanh(table[ids])
    (both,) = torch.autograd.grad(picked(full_logits(hidden, table), targets).sum(), table)
    torch.testing.assert_close(ours, both)
    hidden = torch.tanh(table[ids]).detach()
    (head_only,) = torch.autograd.grad(picked(full_logits(hidden, table), targets).sum(), table)
    assert not torch.allclose(ours, head_only)


def test_gradient_of_logprobs_scales_per_token():
    """Weights of an objective reach hidden states and head, also a weight of zero."""
    hidden, weight, _, targets, back = draw(6, 3, 5)
    back[2] = 0.0
    gradients = torch.autograd.grad(token_logprobs(hidden, weight, targets).logprobs, (hidden, weight), back)
    assert not gradients[0][2].any()
    expected = torch.autograd.grad(picked(full_logits(hidden, weight), targets) @ back, (hidden, weight))
    torch.testing.assert_close(gradients, expected)


def relative(value, reference):
    return float((value.double() - reference.double()).norm() / reference.double().norm())


def errors(logprobs, exact):
    """Relative errors of confidences."""
    return (logprobs.detach().double() - exact).expm1().abs()


def rounded_product(hidden, weight, targets):
    """What a product gives that comes in bf16: a float32 log-softmax of it."""
    return picked(torch.nn.functional.linear(hidden.bfloat16(), weight.bfloat16()).float(), targets)


def real_sized(n, *, seed=0):
    """States and a head of which the target has a large logit, as in language models, where rounding is coarse."""
    generator = torch.Generator().manual_seed(seed)
    width, vocabulary = 64, 2000
    weight = torch.randn(vocabulary, width, generator=generator) / 8
    targets = torch.randint(0, vocabulary, (n,), generator=generator)
    near = 12 * weight[targets] / weight[targets].norm(dim=1, keepdim=True)
    hidden = near + torch.randn(n, width, generator=generator) * 2 + 9 * weight.mean(0) / weight.mean(0).norm()
    return hidden, weight, targets


@pytest.mark.parametrize("states", ["float32", "bfloat16"])
def test_confidences_of_half_precision_are_four_times_as_exact_as_a_rounded_product(states):
    """Against a product of the given numbers in float64; those of a model in bf16 are bf16 themselves."""
    hidden, weight, targets = real_sized(400)
    assert (hidden @ weight.T).gather(1, targets[:, None]).median() > 8
    if states == "float32":
        with torch.autocast("cpu", dtype=torch.bfloat16):
            ours = token_logprobs(hidden, weight, targets).logprobs
    else:
        hidden, weight = hidden.bfloat16(), weight.bfloat16()
        ours = token_logprobs(hidden, weight, targets).logprobs
    exact = picked(hidden.double() @ weight.double().T, targets)
    before, after = errors(rounded_product(hidden, weight, targets), exact), errors(ours, exact)
    for share in (0.5, 0.9, 1.0):
        assert after.quantile(share) < before.quantile(share) / 4


def test_confidences_of_the_embedded_model(model_dir):
    """Half precision changes a confidence by a fifth of a per cent in the median, against the float32 of all logits."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.float32)
    text = (
        "The tumour suppressor p53 responds to DNA damage by stopping the cell cycle. Mutations of its gene are found "
        "in about half of all human cancers, most of them in the domain that binds DNA. Its level is kept low by MDM2, "
        "a ubiquitin ligase whose gene p53 activates itself, so that the two proteins form a loop of negative feedback."
    )
    ids = AutoTokenizer.from_pretrained(model_dir)(text, return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        hidden, weight = model.model(ids).last_hidden_state[0, :-1], model.lm_head.weight.detach()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            ours = token_logprobs(hidden, weight, ids[0, 1:]).logprobs
        exact = picked(hidden.double() @ weight.double().T, ids[0, 1:])
        before, after = errors(rounded_product(hidden, weight, ids[0, 1:]), exact), errors(ours, exact)
    assert before.median() > 0.008
    assert after.median() < 0.002
    assert after.quantile(0.9) < before.quantile(0.9) / 4


@pytest.mark.parametrize("options", [{}, {"softcap": 15.0, "scale": 0.5}])
def test_logits_that_are_corrected_have_bias_scale_and_cap(options):
    hidden, weight, targets = real_sized(60)
    bias = torch.randn(len(weight), generator=torch.Generator().manual_seed(3)) * 3
    with torch.autocast("cpu", dtype=torch.bfloat16):
        ours = token_logprobs(hidden, weight, targets, bias=bias, **options).logprobs
    exact = picked(full_logits(hidden.double(), weight.double(), bias.double(), **options), targets)
    assert errors(ours, exact).max() < 0.02


def test_half_precision_with_a_vocabulary_of_three():
    hidden, weight, bias, targets, _ = draw(5, 4, 3, dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        ours = token_logprobs(hidden, weight, targets, bias=bias).logprobs
    torch.testing.assert_close(ours, picked(full_logits(hidden, weight, bias), targets))  # every logit is exact


def test_bf16_autocast_keeps_float32_sums():
    """Only the product is bf16: nearer to float32 than a log-softmax of bf16 logits, and nothing is lost after it."""
    hidden, weight, _, targets, back = draw(256, 64, 2000, dtype=torch.float32, size=0.4)
    exact = picked(full_logits(hidden.double(), weight.double()), targets)
    slopes = torch.autograd.grad(exact, (hidden, weight), back.double())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        ours = token_logprobs(hidden, weight, targets, chunk_size=100, entropy=True)
        logits = torch.nn.functional.linear(hidden, weight)
        in_bf16 = picked(logits.bfloat16(), targets)
    assert logits.dtype == torch.bfloat16
    assert ours.logprobs.dtype == ours.entropy.dtype == torch.float32
    assert relative(ours.logprobs.detach(), exact.detach()) < 0.1 * relative(in_bf16.detach(), exact.detach())
    gradients = torch.autograd.grad(ours.logprobs, (hidden, weight), back)
    for gradient, slope, leaf in zip(gradients, slopes, (hidden, weight), strict=True):
        assert gradient.dtype == leaf.dtype
        assert relative(gradient, slope) < 0.02
    naive = torch.autograd.grad(picked(logits.float(), targets), (hidden, weight), back)
    assert all(relative(a, s) < 2 * relative(b, s) for a, b, s in zip(gradients, naive, slopes, strict=True))


def test_bf16_parameters():
    hidden, weight, bias, targets, back = draw(64, 32, 300, dtype=torch.float32, size=0.4)
    exact = picked(full_logits(hidden, weight, bias), targets)
    slopes = torch.autograd.grad(exact, (hidden, weight, bias), back)
    leaves = [leaf.detach().bfloat16().requires_grad_() for leaf in (hidden, weight, bias)]
    ours = token_logprobs(leaves[0], leaves[1], targets, bias=leaves[2]).logprobs
    assert ours.dtype == torch.float32
    assert relative(ours.detach(), exact.detach()) < 0.01
    for gradient, slope in zip(torch.autograd.grad(ours, leaves, back), slopes, strict=True):
        assert gradient.dtype == torch.bfloat16
        assert relative(gradient, slope) < 0.02
    logits = full_logits(*(leaf.detach() for leaf in leaves)).requires_grad_()
    given_logits = logits_logprobs(logits, targets, chunk_size=10).logprobs
    assert given_logits.dtype == torch.float32
    torch.testing.assert_close(given_logits, picked(logits.float(), targets), rtol=1e-5, atol=1e-5)
    assert torch.autograd.grad(given_logits, logits, back)[0].dtype == torch.bfloat16


def test_float32_states_and_bf16_head():
    """Norms kept in float32 above a head in bf16: computed in the head's type, gradient in each one's own."""
    hidden, weight, _, targets, back = draw(16, 8, 30, dtype=torch.float32)
    head = weight.detach().bfloat16().requires_grad_()
    ours = token_logprobs(hidden, head, targets).logprobs
    assert relative(ours.detach(), picked(full_logits(hidden, weight), targets).detach()) < 0.02
    gradients = torch.autograd.grad(ours, (hidden, head), back)
    assert [gradient.dtype for gradient in gradients] == [torch.float32, torch.bfloat16]


@pytest.mark.parametrize("k", [None, 20])
@pytest.mark.parametrize("trained", [False, True])
def test_never_holds_all_logits(trained, k):
    n, width, vocabulary, chunk_size = 60, 4, 50, 7
    hidden, weight, _, targets, back = draw(n, width, vocabulary)
    weight.requires_grad_(trained)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(x.numel()) or x, lambda x: x), Largest() as run:
        values = token_logprobs(hidden, weight, targets, chunk_size=chunk_size, entropy=True, k=k, purity=True).logprobs
        values.backward(back)
    assert run.elements == chunk_size * vocabulary
    # d log p / d hidden; with the head also hidden states, weight, targets and log-sum-exp: no logits of any chunk.
    expected = [n * width, n * width, vocabulary * width, n, n] if trained else [n * width]
    assert sorted(kept) == sorted(expected)


def test_without_gradient_nothing_is_saved():
    hidden, weight, bias, targets, _ = draw(40, 3, 5)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(x) or x, lambda x: x):
        with torch.no_grad(), Largest() as run:
            values = token_logprobs(hidden, weight, targets, bias=bias, chunk_size=2, entropy=True)
        frozen = token_logprobs(hidden.detach(), weight.detach(), targets)
    assert kept == []
    assert run.elements == len(targets)  # nor is there room made for the gradient of the hidden states
    assert values.logprobs.grad_fn is None
    assert frozen.logprobs.grad_fn is None
    torch.testing.assert_close(values.logprobs, picked(full_logits(hidden, weight, bias), targets).detach())


def test_statistics_carry_no_gradient():
    hidden, weight, _, targets, _ = draw(6, 3, 5)
    values = token_logprobs(hidden, weight, targets, entropy=True, purity=True)
    assert values.logprobs.requires_grad
    assert not values.entropy.requires_grad
    assert not values.purity.requires_grad


@settings(max_examples=40)
@given(
    n=st.integers(0, 9),
    vocabulary=st.integers(1, 300),
    k=st.none() | st.integers(1, 25),
    chunk_size=st.integers(1, 12),
    softcap=st.none() | st.floats(0.5, 30.0),
    scale=st.floats(0.05, 4.0),
    seed=st.integers(0, 2**32 - 1),
)
def test_statistics_equal_those_of_all_probabilities(n, vocabulary, k, chunk_size, softcap, scale, seed):
    hidden, weight, bias, targets, back = draw(n, 4, vocabulary, seed=seed)
    k = k and min(k, vocabulary)
    options = {"bias": bias, "softcap": softcap, "scale": scale}
    values = token_logprobs(hidden, weight, targets, **options, chunk_size=chunk_size, entropy=True, k=k, purity=True)
    p = special.softmax(full_logits(hidden, weight, **options).detach().numpy(), axis=1)
    largest = np.sort(p, axis=1)[:, -(k or vocabulary) :]  # scipy makes them add up to 1
    np.testing.assert_allclose(values.entropy, stats.entropy(largest, axis=1) if n else [], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(values.purity, (p**2).sum(1), rtol=1e-9)
    plain = token_logprobs(hidden, weight, targets, **options, chunk_size=chunk_size)
    assert plain.entropy is plain.purity is None
    assert torch.equal(plain.logprobs, values.logprobs)
    leaves = (hidden, weight, bias)
    both = (torch.autograd.grad(each.logprobs, leaves, back) for each in (plain, values))
    assert all(torch.equal(one, other) for one, other in zip(*both, strict=True))


def test_statistics_of_half_precision():
    """The sixteen likeliest logits are computed again in float32, so that what is left is in the tail."""
    hidden, weight, targets = real_sized(400)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        ours = token_logprobs(hidden, weight, targets, entropy=True, k=20, purity=True)
    p = special.softmax((hidden.double() @ weight.double().T).numpy(), axis=1)
    expected = stats.entropy(np.sort(p, axis=1)[:, -20:], axis=1)
    assert ours.entropy.dtype == ours.purity.dtype == torch.float32
    assert np.abs(ours.entropy.numpy() - expected).max() < 0.02
    assert np.abs(ours.purity.numpy() / (p**2).sum(1) - 1).max() < 0.02


@pytest.mark.parametrize("k", [0, -2, 6])
def test_a_number_of_likeliest_tokens_that_there_is_not(k):
    hidden, weight, _, targets, _ = draw(6, 3, 5)
    with pytest.raises(InputError, match=f"`k` is {k}; the entropy of the `k` likeliest of 5 tokens"):
        token_logprobs(hidden, weight, targets, entropy=True, k=k)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_huge_logits_stay_finite(dtype):
    weight = torch.tensor([[1e4], [-1e4], [9e3], [0.0]], dtype=dtype, requires_grad=True)
    hidden = torch.tensor([[1.0], [-1.0], [0.5]], dtype=dtype, requires_grad=True)
    targets = torch.tensor([1, 3, 0])
    values = token_logprobs(hidden, weight, targets, entropy=True)
    torch.testing.assert_close(values.logprobs, torch.tensor([-2e4, -1e4, 0.0], dtype=dtype))
    torch.testing.assert_close(values.entropy, torch.zeros(3, dtype=dtype))
    values.logprobs.sum().backward()
    expected = torch.tensor([[-2e4], [1e4], [0.0]], dtype=dtype)  # weight of the target less that of the winner
    torch.testing.assert_close(hidden.grad, expected)
    assert weight.grad.isfinite().all()
    logits = full_logits(hidden, weight).detach().requires_grad_()
    torch.testing.assert_close(logits_logprobs(logits, targets).logprobs, values.logprobs.detach())


def test_vocabulary_entries_of_logit_minus_infinity():
    """Padding of the vocabulary is masked out by some models; its probability is 0 and so is its gradient."""
    hidden, weight, bias, targets, back = draw(6, 3, 8)
    with torch.no_grad():
        bias[5:] = -torch.inf
    targets = targets % 5
    ours = token_logprobs(hidden, weight, targets, bias=bias, chunk_size=4, entropy=True, purity=True)
    short = [leaf.detach()[:5].requires_grad_() for leaf in (weight, bias)]
    expected = picked(full_logits(hidden, *short), targets)
    torch.testing.assert_close(ours.logprobs, expected)
    probabilities = special.softmax(full_logits(hidden, *short).detach().numpy(), axis=1)
    np.testing.assert_allclose(ours.entropy, stats.entropy(probabilities, axis=1), rtol=1e-9)
    np.testing.assert_allclose(ours.purity, (probabilities**2).sum(1), rtol=1e-9)
    likeliest = token_logprobs(hidden, weight, targets, bias=bias, entropy=True, k=7)  # two of them have none
    torch.testing.assert_close(likeliest.entropy, ours.entropy)
    gradients = torch.autograd.grad(ours.logprobs, (hidden, weight, bias), back)
    slopes = torch.autograd.grad(expected, (hidden, *short), back)
    torch.testing.assert_close(gradients[0], slopes[0])
    for gradient, slope in zip(gradients[1:], slopes[1:], strict=True):
        torch.testing.assert_close(gradient[:5], slope)
        assert not gradient[5:].any()
    logits = full_logits(hidden, weight, bias).detach().requires_grad_()
    given_logits = logits_logprobs(logits, targets).logprobs
    torch.testing.assert_close(given_logits, expected)
    assert not torch.autograd.grad(given_logits.sum(), logits)[0][:, 5:].any()


def test_no_tokens_stay_connected():
    hidden, weight, bias, targets, _ = draw(0, 3, 5)
    values = token_logprobs(hidden, weight, targets, bias=bias, entropy=True)
    assert values.logprobs.shape == values.entropy.shape == (0,)
    gradients = torch.autograd.grad(values.logprobs.sum(), (hidden, weight, bias))
    assert [gradient.shape for gradient in gradients] == [(0, 3), (5, 3), (5,)]
    assert not any(gradient.any() for gradient in gradients)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden": torch.zeros(2, 3, 4)}, r"`hidden` has shape \(2, 3, 4\)"),
        ({"hidden": torch.zeros(6, 4)}, r"`hidden` has shape \(6, 4\), `weight` \(5, 3\)"),
        ({"weight": torch.zeros(3)}, r"`weight` \(3,\)"),
        ({"targets": torch.zeros(5, dtype=torch.long)}, r"`targets` \(5,\)"),
        ({"targets": torch.tensor([0, 1, 2, 3, 4, 5])}, "between 0 and 5, outside the vocabulary of 5 tokens"),
        ({"targets": torch.tensor([0, 1, 2, 3, 4, -100])}, "between -100 and 4, outside"),
        ({"chunk_size": 0}, "`chunk_size` is 0"),
        ({"chunk_size": -1}, "`chunk_size` is -1"),
    ],
)
def test_bad_input(change, message):
    options = {"hidden": torch.zeros(6, 3), "weight": torch.zeros(5, 3), "targets": torch.zeros(6, dtype=torch.long)}
    with pytest.raises(InputError, match=message):
        token_logprobs(**options | change)
