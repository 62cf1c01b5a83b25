"""How long the profile texts are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bftembed.get import profiles
from bftembed.pl._finish import finish

if TYPE_CHECKING:
    from pathlib import Path

    from anndata import AnnData
    from matplotlib.axes import Axes

    from bftembed.profiles import ProfileStore


def profile_length(
    adata: AnnData,
    *,
    key: str = "X_bft",
    store: ProfileStore | str | Path | None = None,
    ax: Axes | None = None,
    show: bool = True,
    save: str | Path | None = None,
) -> Axes:
    """Histogram of the lengths of the profiles behind an embedding, in characters.

    Parameters
    ----------
    adata
        With an embedding of genes, or the result of `bft.embed`.
    key
        Key of the embedding.
    store
        Where the texts are; by default the store that the provenance names.
    ax
        Where to draw.
    show
        Show the figure.
    save
        File to write.

    Returns
    -------
    matplotlib.axes.Axes
    """
    import matplotlib.pyplot as plt

    lengths = profiles(adata, key, store=store)["text"].dropna().str.len()
    ax = ax or plt.subplots(figsize=(4, 3))[1]
    ax.hist(lengths, bins=30)
    ax.set(xlabel="characters", ylabel="profiles", title=f"{len(lengths)} profiles, median {lengths.median():.0f}")
    finish(ax, show=show, save=save)
    return ax
