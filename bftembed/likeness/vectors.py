"""Vectors of unit length, and weights of their cosines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bftembed._near import refuse_anndata

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

#: A row this much shorter than what was taken off it is at the centre but for rounding.
_ROUNDING = 1e-9


def unit(vectors: ArrayLike, *, centre: NDArray[Any] | None = None) -> NDArray[np.float32]:
    """Rows of unit length, so that their products are cosines.

    Parameters
    ----------
    vectors
        (n, d), NaN rows for those that have no vector.
    centre
        (d,), taken off first; by default the mean of the rows that have a vector.

    Returns
    -------
    (n, d) float32; a row without a vector, or at the centre, is zero: its cosine with anything is 0.

    Examples
    --------
    >>> unit([[3.0, 4.0], [float("nan"), float("nan")]], centre=np.zeros(2)).tolist()
    [[0.6000000238418579, 0.800000011920929], [0.0, 0.0]]
    """
    refuse_anndata("vectors", vectors)
    x = np.asarray(vectors, dtype=np.float64)
    has = np.asarray(np.isfinite(x).all(axis=1))
    if centre is None:
        centre = x[has].mean(axis=0) if has.any() else np.zeros(x.shape[1])
    x = np.where(has[:, None], x - centre, 0.0)
    norms = np.linalg.norm(x, axis=1, keepdims=True)
    away = norms > _ROUNDING * np.linalg.norm(centre)
    found: NDArray[np.float32] = np.divide(x, norms, out=np.zeros_like(x), where=away).astype(np.float32)
    return found


def soft(cosines: ArrayLike, temperature: float) -> NDArray[np.float32]:
    """Weights ``exp((cosine - 1) / temperature)``: 1 for the same direction, the steeper the lower the temperature.

    Parameters
    ----------
    cosines
        Of any shape; ``-inf`` gives no weight.
    temperature
        Above 0.

    Returns
    -------
    float32 of the same shape.

    Examples
    --------
    >>> soft([1.0, 0.9, 0.0], 0.1).round(3).tolist()
    [1.0, 0.36800000071525574, 0.0]
    """
    weights: NDArray[np.float32] = np.exp((np.asarray(cosines, dtype=np.float32) - np.float32(1)) / temperature)
    return weights.astype(np.float32)
