"""Which rows are near each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def neighbours(
    vectors: NDArray[np.float32], known: NDArray[np.bool_], k: int = 10
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The `k` rows with the largest cosine to each row, itself left out.

    Returns
    -------
    rows
        (n, k), best first, where k is at most the number of other rows with a vector; -1 for rows without one.
    cosines
        float32 (n, k), NaN for those.
    """
    from sklearn.neighbors import NearestNeighbors

    places = np.flatnonzero(known)
    k = max(min(k, len(places) - 1), 0)
    rows = np.full((len(vectors), k), -1, dtype=np.int64)
    found = np.full((len(vectors), k), np.nan, dtype=np.float32)
    if k:
        near = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(unit(vectors[known]))
        distances, those = near.kneighbors()
        rows[known] = places[those]
        found[known] = 1 - distances**2 / 2  # of vectors of length 1
    return rows, found


def unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Vectors of length 1."""
    made: NDArray[np.float32] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return made
