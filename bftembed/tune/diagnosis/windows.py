"""Windows over the confidences of a text: where they lie, and how their low tokens are spread."""

from __future__ import annotations

import numpy as np


def window_bounds(n: int, window: int, stride: int) -> tuple[np.ndarray, int]:
    """First tokens of the windows of a text of `n` tokens, and how many tokens each window has.

    Windows start every `stride` tokens, and one more lies flush with the end of the text. A text shorter than the
    window has one window, itself; an empty text has none.

    Returns
    -------
    First tokens (n_windows,), int64, and the number of tokens, ``min(window, n)``.
    """
    size = min(window, n)
    if not n:
        return np.empty(0, dtype=np.int64), 0
    last = n - size
    return np.unique(np.append(np.arange(0, last + 1, stride), last)), size


def longest_runs(low: np.ndarray) -> np.ndarray:
    """Longest run of true values in each row.

    Parameters
    ----------
    low
        (n_windows, size), bool.

    Returns
    -------
    (n_windows,), int64.
    """
    if not low.size:
        return np.zeros(len(low), dtype=np.int64)
    position = np.arange(low.shape[1])
    last_high = np.maximum.accumulate(np.where(low, -1, position), axis=1)
    longest: np.ndarray = (position - last_high).max(axis=1)
    return longest


def runs(low: np.ndarray) -> np.ndarray:
    """Every run of true values, (n_runs, 2), int64: its first position, and the one after its last."""
    padded = np.concatenate([[False], low, [False]])
    return np.flatnonzero(padded[1:] != padded[:-1]).reshape(-1, 2)
