"""Where each row lies on a map."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any

import numpy as np

from bftembed._near import did_you_mean
from bftembed._optional import needs
from bftembed._scanpy import umap
from bftembed.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

_FEWEST_FOR_UMAP = 16  # with fewer, scanpy's 15 neighbours are all others
_COMPUTED = ("umap", "pca")


def has_direction(vectors: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which rows (n,) of vectors (n, d) are known and not zero, so that they have cosines and a place on a map.

    Examples
    --------
    >>> import numpy as np
    >>> from bftembed.vectors import has_direction
    >>> has_direction(np.array([[1, 2], [0, 0], [np.nan, 1]], dtype=np.float32)).tolist()
    [True, False, False]
    """
    found: NDArray[np.bool_] = np.isfinite(vectors).all(axis=1) & (vectors != 0).any(axis=1)
    return found


def layout_of(
    vectors: NDArray[np.float32],
    known: NDArray[np.bool_],
    held: Mapping[str, Any],
    *,
    layout: str | None,
    use_rep: str,
    seed: int = 0,
) -> tuple[NDArray[np.float32], str]:
    """Coordinates of the rows of a map.

    Parameters
    ----------
    vectors
        (n, d).
    known
        (n,) which rows have a vector.
    held
        ``obsm`` or ``varm``, with layouts that exist.
    layout
        A key of `held`, ``"umap"`` or ``"pca"``; by default ``f"{use_rep}_umap"`` or ``X_umap`` where there is one,
        else a UMAP where scanpy is installed and there are 16 vectors or more, else principal components.
    use_rep
        Key of the vectors.
    seed
        Of the UMAP.

    Returns
    -------
    coordinates
        float32, shape (n, 2); NaN rows are not on the map.
    words
        What they are.

    Raises
    ------
    InputError
        If there is no such layout, or it has not two columns.
    MissingExtraError
        If ``"umap"`` is asked for without scanpy.
    """
    found = layout or next((key for key in (f"{use_rep}_umap", "X_umap") if key in held), None)
    if found is None:
        can_umap = importlib.util.find_spec("scanpy") is not None and known.sum() >= _FEWEST_FOR_UMAP
        found = "umap" if can_umap else "pca"
    if found in held:
        return _existing(held[found], found, len(vectors)), f"{found}, as it stands in the file"
    if found not in _COMPUTED:
        msg = f"There is no layout `{found}`: give one of {', '.join((*held, *_COMPUTED))}."
        raise InputError(msg + did_you_mean(found, [*held, *_COMPUTED]))
    placed = np.full((len(vectors), 2), np.nan, dtype=np.float32)
    if found == "umap":
        needs("scanpy")
        placed[known] = umap(vectors[known], metric="cosine", seed=seed)
        return placed, f"UMAP of {use_rep} by scanpy (cosine, 15 neighbours, seed {seed})"
    placed[known], share = _principal(vectors[known].astype(np.float64))
    return placed, f"first two principal components of {use_rep} ({share:.0%} of the variance)"


def _existing(layout: Any, key: str, n: int) -> NDArray[np.float32]:
    placed = np.array(layout, dtype=np.float32)
    if placed.shape[:1] != (n,) or placed.ndim != 2 or placed.shape[1] < 2:
        msg = f"`{key}` has the shape {placed.shape}: a layout has two columns."
        raise InputError(msg)
    placed = placed[:, :2]
    placed[~np.isfinite(placed).all(axis=1)] = np.nan
    return placed


def _principal(vectors: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """Two principal components, the largest loading of each positive, and their share of the variance."""
    from sklearn.decomposition import PCA

    made = np.zeros((len(vectors), 2))
    if len(vectors) < 2 or not np.ptp(vectors, axis=0).any():
        return made, 0.0
    pca = PCA(min(2, vectors.shape[1]), svd_solver="covariance_eigh")
    made[:, : pca.n_components] = pca.fit_transform(vectors - vectors.mean(axis=0))
    return made, float(pca.explained_variance_ratio_.sum())
