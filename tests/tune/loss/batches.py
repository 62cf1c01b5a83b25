"""Batches of log-probabilities for tests of weights and objectives."""

import torch
from hypothesis import settings
from hypothesis import strategies as st

#: Log-probabilities from certainty to one in ten thousand million millions.
LOGPROBS = st.floats(-37.0, 0.0)
SAMPLES = st.lists(st.lists(LOGPROBS, max_size=30), min_size=1, max_size=5)
WINDOWS = st.integers(1, 40)
quick = settings(max_examples=60, deadline=None)


def flat(samples, dtype=torch.float64):
    """Log-probabilities end to end, with gradient, and the samples' lengths."""
    values = torch.tensor([value for row in samples for value in row], dtype=dtype, requires_grad=True)
    return values, torch.tensor([len(row) for row in samples])
