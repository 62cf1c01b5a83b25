"""The objectives of the grid, and what each makes of the confidences of a set of samples."""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bftembed.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from bftembed.tune import Objective

#: A window that is longer than any sample: each sample is one window, itself.
WHOLE = 2**31 - 1
#: The window at which the weights of samples are left out, to set apart what both weights do.
SPLIT_WINDOW = 256


class Weighed(NamedTuple):
    """Weights of tokens and samples, and the factors of the tokens' gradients.

    Attributes
    ----------
    token
        (n_tokens,), float64.
    sample
        (n_samples,), float64.
    factor
        (n_tokens,), float64: by what the gradient of a token's negative log-likelihood is multiplied in the gradient of
        the loss of all samples as one global batch. ``sft``: 1 / n_tokens; ``dft``: w / n_tokens; ``bft`` and
        ``bft-v1``: w s / (n_b n_samples), with w the token's weight, s its sample's and n_b its sample's length.
    """

    token: NDArray[np.float64]
    sample: NDArray[np.float64]
    factor: NDArray[np.float64]


def label(window: int) -> str:
    """A window in names and tables; ``inf`` is the whole sample."""
    return "inf" if window == WHOLE else str(window)


def parse_window(value: object) -> int:
    """A window of a configuration: tokens, or ``inf``.

    Raises
    ------
    InputError
        If it is less than one token or no whole number.
    """
    if value == "inf" or (isinstance(value, float) and value == math.inf):
        return WHOLE
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= WHOLE:
        msg = f"A window has at least 1 token and is a whole number, or `inf` for the whole sample; got {value!r}."
        raise InputError(msg)
    return value


def grid(windows: Sequence[int], *, v1: bool = True, controls: bool = True) -> dict[str, Objective]:
    """Objectives of the study by name: ``bft-64``, ``bft-v1-64``, ``bft-256-even``, ``bft-1-even``.

    Parameters
    ----------
    windows
        Tokens, `WHOLE` for the whole sample.
    v1
        Also the published code's objective, for windows of more than one token.
    controls
        Also ``bft`` without weights of samples at `SPLIT_WINDOW`, and at a window of 1, where every weight is one: SFT
        with its mean over samples.

    Examples
    --------
    >>> from bftembed.studies.window.weighing import grid
    >>> list(grid([1, 64]))
    ['bft-1', 'bft-64', 'bft-v1-64', 'bft-256-even', 'bft-1-even']
    """
    from bftembed.tune import Objective

    found = {f"bft-{label(g)}": Objective(name="bft", window=g) for g in windows}
    if v1:
        found |= {f"bft-v1-{label(g)}": Objective(name="bft-v1", window=g) for g in windows if g > 1}
    if controls:
        evens = (SPLIT_WINDOW, 1)
        found |= {f"bft-{label(g)}-even": Objective(name="bft", window=g, sample_weight=False) for g in evens}
    return found


def weighed(windows: Sequence[int]) -> dict[str, Objective]:
    """All of `grid`, with ``sft`` and ``dft`` before: to weigh costs nothing."""
    from bftembed.tune import Objective

    return {"sft": Objective(name="sft"), "dft": Objective(name="dft"), **grid(windows)}


def weigh(objective: Objective, logprobs: NDArray[np.float32], lengths: NDArray[np.int64]) -> Weighed:
    """What an objective makes of the log-probabilities of samples, taken as one global batch.

    Parameters
    ----------
    objective
        Its own loss is asked for the factors, by the gradient with respect to the log-probabilities.
    logprobs, lengths
        (n_tokens,) and (n_samples,), see `Objective.weights`.
    """
    import torch

    values = torch.from_numpy(np.asarray(logprobs, dtype=np.float64)).requires_grad_()
    loss, weights = objective.loss(values, torch.from_numpy(np.asarray(lengths, dtype=np.int64)))
    (gradient,) = torch.autograd.grad(loss, values)
    return Weighed(weights.token.numpy(), weights.sample.numpy(), -gradient.numpy())


def weight_digest(weighed: Weighed) -> str:
    """What tells objectives apart that are one and the same on some samples: SHA-256 of their factors."""
    return hashlib.sha256(weighed.factor.tobytes()).hexdigest()[:16]


def same_as(digests: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Name of the first objective with the same digest, for each that is not the first.

    Examples
    --------
    >>> from bftembed.studies.window.weighing import same_as
    >>> same_as([("bft-256", "aa"), ("bft-512", "bb"), ("bft-1024", "bb")])
    {'bft-1024': 'bft-512'}
    """
    first: dict[str, str] = {}
    return {name: first[digest] for name, digest in digests if first.setdefault(digest, name) != name}
