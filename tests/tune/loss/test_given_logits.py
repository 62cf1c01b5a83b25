"""Log-probabilities of logits that exist already, against autograd on all of them."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats

from bftembed.errors import InputError
from bftembed.tune.loss.given_logits import logits_logprobs


@settings(max_examples=40)
@given(
    n=st.integers(0, 9),
    vocabulary=st.integers(1, 80),
    k=st.none() | st.integers(1, 8),
    chunk_size=st.integers(1, 12),
    seed=st.integers(0, 2**32 - 1),
)
def test_values_and_gradients_equal_those_of_all_probabilities(n, vocabulary, k, chunk_size, seed):
    draw = np.random.default_rng(seed)
    targets, back = torch.from_numpy(draw.integers(0, vocabulary, n)), torch.from_numpy(draw.normal(size=n))
    logits = torch.from_numpy(draw.normal(0, 3, (n, vocabulary))).requires_grad_()
    k = k and min(k, vocabulary)
    ours = logits_logprobs(logits, targets, chunk_size=chunk_size, entropy=True, k=k, purity=True)
    expected = logits.log_softmax(-1).gather(1, targets[:, None])[:, 0]
    torch.testing.assert_close(ours.logprobs, expected, rtol=1e-10, atol=1e-12)
    (gradient,), (slope,) = (torch.autograd.grad(values, logits, back) for values in (ours.logprobs, expected))
    torch.testing.assert_close(gradient, slope, rtol=1e-9, atol=1e-12)
    p = special.softmax(logits.detach().numpy(), axis=1)
    largest = np.sort(p, axis=1)[:, -(k or vocabulary) :]
    np.testing.assert_allclose(ours.entropy, stats.entropy(largest, axis=1) if n else [], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(ours.purity, (p**2).sum(1), rtol=1e-9)
    assert not ours.entropy.requires_grad
    assert not ours.purity.requires_grad
    plain = logits_logprobs(logits, targets, chunk_size=chunk_size)
    assert plain.entropy is plain.purity is None
    assert torch.equal(plain.logprobs, ours.logprobs)


@pytest.mark.parametrize(("options", "message"), [({"chunk_size": 0}, "`chunk_size` is 0"), ({"k": 6}, "`k` is 6")])
def test_bad_options(options, message):
    with pytest.raises(InputError, match=message):
        logits_logprobs(torch.zeros(2, 5), torch.zeros(2, dtype=torch.long), entropy=True, **options)
