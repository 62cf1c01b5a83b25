"""How long the profile texts are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bftembed.get import profiles
from bftembed.pl._finish import check_save, finish

if TYPE_CHECKING:
    from pathlib import Path

    from anndata import AnnData
    from matplotlib.axes import Axes

    from bftembed.profiles import ProfileStore


def profile_length(
    adata: AnnData,
    *,
    use_rep: str = "X_bft",
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
    use_rep
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

    Raises
    ------
    InputError
        If there is no such embedding, its texts cannot be found, or the file cannot be written.

    Examples
    --------
    >>> import bftembed as bft
    >>> genes = bft.embed(["TP53"], facts="none", profiles={"TP53": "Guards the genome."})
    >>> ax = bft.pl.profile_length(genes, show=False)
    >>> ax.get_title()
    '1 profiles, median 18'
    """
    import matplotlib.pyplot as plt

    check_save(save)
    lengths = profiles(adata, use_rep, store=store)["text"].dropna().str.len()
    lengths = lengths[lengths > 0]
    ax = ax or plt.subplots(figsize=(4, 3))[1]
    ax.hist(lengths, bins=30)
    ax.set(xlabel="characters", ylabel="profiles", title=f"{len(lengths)} profiles, median {lengths.median():.0f}")
    finish(ax, show=show, save=save)
    return ax
