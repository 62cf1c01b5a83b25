"""Weights of tokens and samples, and the windows that they look at."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.lib.stride_tricks import sliding_window_view

from bftembed.tune.loss.weights import bft, window_means
from tests.tune.loss.batches import LOGPROBS, SAMPLES, WINDOWS, flat, quick


def test_one_token_windows_keep_rare_tokens_of_a_long_batch():
    """Sums of windows must not lose a token of tiny confidence in the sum of thousands of confident ones."""
    logprobs = torch.full((5000,), -0.01, dtype=torch.float64)
    logprobs[2500] = -30.0
    token = bft(logprobs, torch.tensor([5000]), window=1, sample_weight=False).token
    torch.testing.assert_close(token, torch.ones_like(token), rtol=1e-12, atol=0)


@quick
@given(lengths=st.lists(st.integers(0, 40), min_size=1, max_size=5), level=LOGPROBS, window=WINDOWS)
def test_equal_confidences_weigh_one(lengths, level, window):
    logprobs, sizes = flat([[level] * n for n in lengths])
    weights = bft(logprobs, sizes, window=window)
    torch.testing.assert_close(weights.token, torch.ones_like(weights.token), rtol=1e-12, atol=0)
    expected = torch.tensor([1 - np.exp(level) if n else 1.0 for n in lengths], dtype=torch.float64)
    torch.testing.assert_close(weights.sample, expected, rtol=1e-9, atol=1e-14)  # a mean near 1 is rounded


@quick
@given(samples=SAMPLES, window=WINDOWS)
def test_windows_are_the_sliding_windows(samples, window):
    logprobs, lengths = flat(samples)
    values = logprobs.detach().exp()
    means = window_means(values, lengths, window).split(lengths.tolist())
    for value, mean in zip(values.split(lengths.tolist()), means, strict=True):
        n = len(value)
        if not n:
            continue
        sliding = sliding_window_view(value.numpy(), min(window, n)).mean(1)
        centred = np.clip(np.arange(n) - window // 2, 0, max(n - window, 0))
        assert set(centred) == set(range(len(sliding)))
        np.testing.assert_allclose(mean, sliding[centred], rtol=1e-9)
        np.testing.assert_allclose(float(mean.min()), sliding.min(), rtol=1e-9)


def test_a_sample_shorter_than_the_window_is_one_window():
    values = torch.tensor([0.1, 0.2, 0.6, 0.5], dtype=torch.float64)
    means = window_means(values, torch.tensor([3, 1]), 10**12)
    torch.testing.assert_close(means, torch.tensor([0.3, 0.3, 0.3, 0.5], dtype=torch.float64))
