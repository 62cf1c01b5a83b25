"""Batches of log-probabilities for tests of weights and objectives."""

import math

import torch
from hypothesis import settings
from hypothesis import strategies as st

from bftembed.tune.loss.logprobs import TokenLogprobs
from bftembed.tune.loss.objectives import OBJECTIVES, named

#: Log-probabilities from certainty to one in ten thousand million millions.
LOGPROBS = st.floats(-37.0, 0.0)
SAMPLES = st.lists(st.lists(LOGPROBS, max_size=30), min_size=1, max_size=5)
WINDOWS = st.integers(1, 40)
#: Objectives that need no frozen model.
ALONE = [name for name in OBJECTIVES if not named(name).needs_reference]
quick = settings(max_examples=60, deadline=None)


def flat(samples, dtype=torch.float64):
    """Log-probabilities end to end, with gradient, and the samples' lengths."""
    values = torch.tensor([value for row in samples for value in row], dtype=dtype, requires_grad=True)
    return values, torch.tensor([len(row) for row in samples])


def with_statistics(logprobs, k=20):
    """Log-probabilities with an entropy and a purity that follow from each alone: two tokens share the probability."""
    p = logprobs.detach().exp()
    entropy = torch.special.entr(p) + torch.special.entr(1 - p)
    return TokenLogprobs(logprobs, entropy.clamp(max=math.log(k)), p**2 + (1 - p) ** 2)
