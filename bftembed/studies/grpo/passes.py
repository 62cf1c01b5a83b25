"""pass@k: how often at least one of k answers is right."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bftembed.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def pass_at_k(n: int, right: ArrayLike, k: int) -> NDArray[np.float64]:
    """Estimate, without bias, the probability that one of k answers is right, from n of which some are right.

    ``1 - C(n - c, k) / C(n, k)`` with ``c`` right ones (Chen et al. 2021, arXiv 2107.03374).

    Parameters
    ----------
    n
        Answers to each question.
    right
        How many are right, (n_questions,).
    k
        At most `n`.

    Returns
    -------
    (n_questions,), float64.

    Raises
    ------
    InputError
        If k is not between 1 and n, or a count is not between 0 and n.

    Examples
    --------
    >>> from bftembed.studies.grpo.passes import pass_at_k
    >>> pass_at_k(4, [0, 1, 4], 2).tolist()
    [0.0, 0.5, 1.0]
    """
    counts = np.asarray(right)
    if not 1 <= k <= n or (counts < 0).any() or (counts > n).any():
        msg = f"pass@k wants 1 <= k <= n and counts from 0 to n; got k = {k}, n = {n} and counts {counts.tolist()}."
        raise InputError(msg)
    wrong = (n - counts)[..., None] - np.arange(k)
    return np.asarray(1 - np.prod(np.maximum(wrong, 0) / (n - np.arange(k)), axis=-1), dtype=np.float64)
